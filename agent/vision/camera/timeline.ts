/**
 * Media time of a source in ms: it follows the differences of the source's time stamps and is monotonic.
 *
 * Replay starts at 0 with the clip's first frame. Live, each opening is anchored on the monotonic clock at its first
 * frame, or 1 ms after the last frame of the previous opening, whichever is later.
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

  /** Starts a new opening of the source at the next time stamp. */
  reopen(): void {
    this.#firstPtsNs = undefined;
  }

  /** Returns the media time of a time stamp, in ms. Time stamps of one opening come in sequence. */
  atMs(ptsNs: bigint): number {
    if (this.#firstPtsNs === undefined) {
      this.#firstPtsNs = ptsNs;
      this.#anchorMs = this.#live ? Math.max(this.#clock.nowMs(), this.#lastMs + 1) : this.#lastMs + 1;
    }
    const atMs = this.#anchorMs + Number(ptsNs - this.#firstPtsNs) / 1e6;
    this.#lastMs = Math.max(this.#lastMs, atMs);
    return this.#lastMs;
  }

  /** Returns the wall time of a media time, in ms since the epoch. In replay the clip starts at the epoch. */
  wallMs(atMs: number): number {
    return this.#live ? this.#clock.wallMs() + (atMs - this.#clock.nowMs()) : atMs;
  }
}
