/** Rate limit for a repeated log line: reported at most once per interval, with the number of suppressed ones. */
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

  /** Calls `tell`, if the interval has passed, with the number of suppressed calls since the last one. */
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
