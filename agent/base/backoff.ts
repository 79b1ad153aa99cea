/**
 * Capped exponential backoff with full jitter below the exponential step
 * (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015: "equal jitter").
 */
export interface BackoffLimits {
  readonly firstMs: number;
  readonly maxMs: number;
}

export class Backoff {
  #attempts = 0;
  readonly #limits: BackoffLimits;

  constructor(limits: BackoffLimits) {
    this.#limits = limits;
  }

  /** Returns the delay before the next attempt in ms: half of the step plus a random part of the other half. */
  nextMs(): number {
    const step = Math.min(this.#limits.maxMs, this.#limits.firstMs * 2 ** Math.min(this.#attempts, 30));
    this.#attempts += 1;
    return step / 2 + (step / 2) * Math.random();
  }

  reset(): void {
    this.#attempts = 0;
  }
}
