/** Limits a rate and lets short bursts through (token bucket; Turner, "New directions in communications", 1986). */
import type { Clock } from './clock.ts';

export interface BucketLimits {
  /** As many at once. */
  readonly burst: number;
  readonly perS: number;
}

export class TokenBucket {
  readonly #limits: BucketLimits;
  readonly #clock: Pick<Clock, 'nowMs'>;
  #tokens: number;
  #atMs: number;

  constructor(limits: BucketLimits, clock: Pick<Clock, 'nowMs'>) {
    this.#limits = limits;
    this.#clock = clock;
    this.#tokens = limits.burst;
    this.#atMs = clock.nowMs();
  }

  /** Takes a token: 0; or, when there is none, the seconds until there is one. */
  take(): number {
    const { burst, perS } = this.#limits;
    const nowMs = this.#clock.nowMs();
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#atMs) / 1000) * perS);
    this.#atMs = nowMs;
    if (this.#tokens < 1) return (1 - this.#tokens) / perS;
    this.#tokens -= 1;
    return 0;
  }
}
