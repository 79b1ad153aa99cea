/**
 * Limits how long one request may wait for the server in all, from the connection to the last byte.
 *
 * METHOD  A credit of time. A request begins with `graceMs`; waiting uses it up, and each byte of the body adds the
 * time it takes at `bytesPerS`. A request of n bytes therefore ends after at most graceMs + n / bytesPerS of waiting,
 * whatever else is sent. A trickle ends once it has been slower than that for as long as there was credit.
 */
import type { AgentError } from '../../../agent/base/errors.ts';

export interface PatienceLimits {
  /** Credit for the connection and the response head, including informational responses, ms. */
  readonly graceMs: number;
  /** Minimum rate of the body. */
  readonly bytesPerS: number;
  /** Maximum credit that a fast beginning can save up for a slow end, ms. */
  readonly creditMaxMs: number;
  /** Maximum time without a byte of the body, ms. */
  readonly silenceMs: number;
}

export const PATIENCE: PatienceLimits = {
  /**
   * A mobile cell may be unavailable for a minute without closing the connection, and TLS takes its time after that.
   */
  graceMs: 90_000,
  /** A tenth of the rate of EDGE, the slowest network of a box. */
  bytesPerS: 1024,
  creditMaxMs: 300_000,
  silenceMs: 60_000,
};

export class ServerPatience {
  readonly #limits: PatienceLimits;
  #creditMs: number;

  constructor(limits: PatienceLimits) {
    this.#limits = limits;
    this.#creditMs = limits.graceMs;
  }

  /**
   * Waits for something from the server; only this time counts.
   *
   * @param give aborts the wait with an error
   * @param failure makes the error from its reason
   */
  async wait<T>(
    part: 'head' | 'body',
    operation: () => Promise<T>,
    give: (error: AgentError) => void,
    failure: (reason: string) => AgentError,
  ): Promise<T> {
    const { graceMs, bytesPerS, silenceMs } = this.#limits;
    const isSilent = part === 'body' && silenceMs < this.#creditMs;
    const reason =
      part === 'head'
        ? `has not answered within ${graceMs / 1000} s`
        : isSilent
          ? `has sent nothing for ${silenceMs / 1000} s`
          : `sends slower than ${bytesPerS} bytes a second`;
    const beganMs = performance.now();
    const timer = setTimeout(() => give(failure(reason)), isSilent ? silenceMs : this.#creditMs);
    try {
      return await operation();
    } finally {
      clearTimeout(timer);
      this.#creditMs = Math.max(0, this.#creditMs - (performance.now() - beganMs));
    }
  }

  received(bytes: number): void {
    const { bytesPerS, creditMaxMs } = this.#limits;
    this.#creditMs = Math.min(creditMaxMs, this.#creditMs + (bytes * 1000) / bytesPerS);
  }
}
