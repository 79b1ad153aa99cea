/**
 * Patience with one request: how long the server may be waited for in all, from the connection to the last byte.
 *
 * METHOD  A credit of time. A request begins with `graceMs`; waiting uses it up, and each byte of the body adds what it
 * takes at `bytesPerS`. So a request of n bytes ends after graceMs + n / bytesPerS of waiting at the latest, whatever is
 * sent besides, and a trickle ends as soon as it has been slower than that for as long as there was credit.
 */
import type { AgentError } from '../../../agent/base/errors.ts';

export interface PatienceLimits {
  /** For connecting, and the head of the answer with any informational ones before it, ms. */
  readonly graceMs: number;
  /** The slowest that a body may come. */
  readonly bytesPerS: number;
  /** The most that a fast beginning may save up for a slow end, ms. */
  readonly creditMaxMs: number;
  /** For not a byte of the body, ms. */
  readonly silenceMs: number;
}

export const PATIENCE: PatienceLimits = {
  /** A cell of a mobile network may be away for a minute with the connection kept, and TLS takes its time after that. */
  graceMs: 90_000,
  /** A tenth of what EDGE gives, the slowest network that boxes are on. */
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
   * Waits for something of the server; only this time counts.
   *
   * @param give ends what is waited for, with why
   * @param failure the error for a server that `why`
   */
  async wait<T>(
    part: 'head' | 'body',
    what: () => Promise<T>,
    give: (error: AgentError) => void,
    failure: (why: string) => AgentError,
  ): Promise<T> {
    const { graceMs, bytesPerS, silenceMs } = this.#limits;
    const isSilent = part === 'body' && silenceMs < this.#creditMs;
    const why =
      part === 'head'
        ? `has not answered within ${graceMs / 1000} s`
        : isSilent
          ? `has sent nothing for ${silenceMs / 1000} s`
          : `sends slower than ${bytesPerS} bytes a second`;
    const beganMs = performance.now();
    const timer = setTimeout(() => give(failure(why)), isSilent ? silenceMs : this.#creditMs);
    try {
      return await what();
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
