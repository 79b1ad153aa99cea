/**
 * Detects that a lost camera answers again, so that a long wait or a dead attempt can end early.
 *
 * While there is no picture, the source is probed every 2 s. A success after a failure counts as a return. A camera
 * that answers all the time (a wrong password) changes nothing.
 */
import type { Clock } from '../../base/clock.ts';

/**
 * Interval of the probes, in ms. With the connection and the next key frame, a picture comes within 10 s of the return.
 */
const PROBE_EVERY_MS = 2000;

export class ReturnProbe {
  readonly #probe: (() => Promise<boolean>) | undefined;
  readonly #clock: Clock;
  readonly #onReturn: (downMs: number) => void;
  #probing: AbortController | undefined;
  #up = false;

  /** `onReturn` receives the monotonic time at which the source was last unreachable. */
  constructor(probe: (() => Promise<boolean>) | undefined, clock: Clock, onReturn: (downMs: number) => void) {
    this.#probe = probe;
    this.#clock = clock;
    this.#onReturn = onReturn;
  }

  /** True if the last probe since `start()` succeeded. */
  get answers(): boolean {
    return this.#up;
  }

  /** Starts probing. Idempotent. */
  start(): void {
    if (this.#probing !== undefined || this.#probe === undefined) return;
    this.#up = false;
    this.#probing = new AbortController();
    void this.#run(this.#probe, this.#probing.signal);
  }

  /** Stops probing. Idempotent. */
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
