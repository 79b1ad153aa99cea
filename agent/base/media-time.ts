/**
 * Media time (of the picture) and its relation to wall time. For a live camera it advances with the monotonic clock;
 * for a clip it stays constant between frames.
 */
import type { Clock } from './clock.ts';

export interface Moment {
  /** Media time in ms. */
  readonly atMs: number;
  /** Wall time in ms since the epoch. */
  readonly wallMs: number;
}

export class MediaTime {
  readonly #clock: Pick<Clock, 'nowMs' | 'wallMs'>;
  /** Times of the last frame. */
  #last: Moment & { readonly nowMs: number };

  constructor(clock: Pick<Clock, 'nowMs' | 'wallMs'>) {
    this.#clock = clock;
    const nowMs = clock.nowMs();
    this.#last = { atMs: nowMs, wallMs: clock.wallMs(), nowMs };
  }

  get last(): Moment {
    return this.#last;
  }

  /** Records a new frame. */
  frame({ atMs, wallMs }: Moment): void {
    this.#last = { atMs, wallMs, nowMs: this.#clock.nowMs() };
  }

  /** Returns the current media time: the last frame's, advanced by the monotonic clock (not in replay). */
  nowAtMs(): number {
    return this.#last.atMs + Math.max(0, this.#clock.nowMs() - this.#last.nowMs);
  }

  /** Returns a conversion from media time to wall time, based on the last frame. */
  get wallAtMs(): (atMs: number) => number {
    const { atMs: lastAtMs, wallMs } = this.#last;
    return (atMs) => wallMs + atMs - lastAtMs;
  }
}
