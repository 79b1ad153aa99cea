/** A line of the log that would come again and again: told at most once in a while, with how often it was left out. */
import type { Clock } from './clock.ts';

export class RepeatedLine {
  readonly #everyMs: number;
  readonly #clock: Pick<Clock, 'nowMs'>;
  #toldAtMs = Number.NEGATIVE_INFINITY;
  #leftOut = 0;

  constructor(everyMs: number, clock: Pick<Clock, 'nowMs'>) {
    this.#everyMs = everyMs;
    this.#clock = clock;
  }

  /** `tell` is called, if it is time, with how often it was not since the last time. */
  due(tell: (leftOut: number) => void): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#toldAtMs < this.#everyMs) {
      this.#leftOut += 1;
      return;
    }
    const leftOut = this.#leftOut;
    this.#toldAtMs = nowMs;
    this.#leftOut = 0;
    tell(leftOut);
  }
}
