/**
 * Sees a camera come back, so that a long wait or a dead attempt need not be sat out: while there is no
 * picture, the source is probed every 2 s, and a probe that succeeds after one that failed is a return.
 * A camera that answers all the while (a wrong password) changes nothing.
 */
import type { Clock } from '../../base/clock.ts';

/** With the connection and the next key frame, a picture within 10 s of the return. */
const PROBE_EVERY_MS = 2000;

export class ReturnProbe {
  readonly #probe: (() => Promise<boolean>) | undefined;
  readonly #clock: Clock;
  readonly #onReturn: (downMs: number) => void;
  #probing: AbortController | undefined;
  #up = false;

  /** `onReturn` is given the time (monotonic) at which the source was last seen away. */
  constructor(probe: (() => Promise<boolean>) | undefined, clock: Clock, onReturn: (downMs: number) => void) {
    this.#probe = probe;
    this.#clock = clock;
    this.#onReturn = onReturn;
  }

  /** By the last probe since `start()`. */
  get answers(): boolean {
    return this.#up;
  }

  /** Idempotent. */
  start(): void {
    if (this.#probing !== undefined || this.#probe === undefined) return;
    this.#up = false;
    this.#probing = new AbortController();
    void this.#run(this.#probe, this.#probing.signal);
  }

  /** Idempotent. */
  stop(): void {
    this.#probing?.abort();
    this.#probing = undefined;
  }

  async #run(probe: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    let downMs: number | undefined;
    for (;;) {
      await this.#clock.sleep(PROBE_EVERY_MS, signal);
      if (signal.aborted) return;
      const probedMs = this.#clock.nowMs();
      const up = await probe();
      if (signal.aborted) return;
      this.#up = up;
      if (!up) downMs = probedMs;
      else if (downMs !== undefined) {
        this.#onReturn(downMs);
        downMs = undefined;
      }
    }
  }
}
