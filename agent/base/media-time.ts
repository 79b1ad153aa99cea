/** Media time (of the picture) beside wall time: a live camera's runs with the monotonic clock, a clip's stands between frames. */
import type { Clock } from './clock.ts';

export interface Moment {
  /** Media time, ms. */
  readonly atMs: number;
  /** Wall time, ms since the epoch. */
  readonly wallMs: number;
}

export class MediaTime {
  readonly #clock: Pick<Clock, 'nowMs' | 'wallMs'>;
  /** The last frame's. */
  #last: Moment & { readonly nowMs: number };

  constructor(clock: Pick<Clock, 'nowMs' | 'wallMs'>) {
    this.#clock = clock;
    const nowMs = clock.nowMs();
    this.#last = { atMs: nowMs, wallMs: clock.wallMs(), nowMs };
  }

  get last(): Moment {
    return this.#last;
  }

  /** A frame of that moment has come. */
  frame({ atMs, wallMs }: Moment): void {
    this.#last = { atMs, wallMs, nowMs: this.#clock.nowMs() };
  }

  /** Media time now: the last frame's, moved on by the monotonic clock (replay: not moved). */
  nowAtMs(): number {
    return this.#last.atMs + Math.max(0, this.#clock.nowMs() - this.#last.nowMs);
  }

  /** From media time to wall time, as the last frame has it. */
  get wallAtMs(): (atMs: number) => number {
    const { atMs: lastAtMs, wallMs } = this.#last;
    return (atMs) => wallMs + atMs - lastAtMs;
  }
}
