/**
 * Media time of a source: ms that grow by the differences of its time stamps and never go back.
 *
 * Replay starts at 0 with the clip's first frame. Live, each opening is anchored on the monotonic clock
 * at its first frame, or 1 ms after the last frame of the opening before, whichever is later.
 */
import type { Clock } from '../../base/clock.ts';

export class Timeline {
  readonly #clock: Clock;
  readonly #live: boolean;
  #firstPtsNs: bigint | undefined;
  #anchorMs = 0;
  #lastMs = -1;

  constructor(clock: Clock, live: boolean) {
    this.#clock = clock;
    this.#live = live;
  }

  /** The next time stamp belongs to a new opening of the source. */
  reopen(): void {
    this.#firstPtsNs = undefined;
  }

  /** Media time of a time stamp, ms. Time stamps of one opening come in order. */
  atMs(ptsNs: bigint): number {
    if (this.#firstPtsNs === undefined) {
      this.#firstPtsNs = ptsNs;
      this.#anchorMs = this.#live ? Math.max(this.#clock.nowMs(), this.#lastMs + 1) : this.#lastMs + 1;
    }
    const atMs = this.#anchorMs + Number(ptsNs - this.#firstPtsNs) / 1e6;
    this.#lastMs = Math.max(this.#lastMs, atMs);
    return this.#lastMs;
  }

  /** Wall time of a media time, ms since the epoch; in replay the clip starts at the epoch. */
  wallMs(atMs: number): number {
    return this.#live ? this.#clock.wallMs() + (atMs - this.#clock.nowMs()) : atMs;
  }
}
