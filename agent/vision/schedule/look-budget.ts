/**
 * What looking may cost, in looks of the detector: a token bucket that fills at the configured rate, so that the mean
 * never exceeds it for long, whatever the street asks for. Media time: a replay spends as a box does.
 *
 * LIMITS: `SAVED_S` of the configured rate can be saved; looks that were wanted and not paid for are counted.
 */

/**
 * Saved at most: half a minute of looks, so that no minute costs more than one and a half at the configured rate, and
 * a fast car or a tram on a quiet street (10 s at 15 a second) never has to wait.
 */
const SAVED_S = 30;
/** How a frame was analysed: not looked at by the detector, looked at, or in the larger picture too. */
export type Analysis = 'held' | 'look' | 'closer look';

/**
 * A frame that the detector does not look at takes 1.4 of 13.8 CPU-ms (docs/design/005-benchmark.md); the larger picture
 * has four times the pixels.
 */
const COSTS: Readonly<Record<Analysis, number>> = { held: 0.1, look: 1, 'closer look': 5 };

export class LookBudget {
  readonly #fps: number;
  #saved: number;
  #atMs: number | undefined;

  /** `fps`: looks a second on average. */
  constructor(fps: number) {
    this.#fps = fps;
    this.#saved = SAVED_S * fps;
  }

  /** Share of what can be saved, 0..1. */
  saved(atMs: number): number {
    this.#fill(atMs);
    return Math.max(0, this.#saved) / (SAVED_S * this.#fps);
  }

  /** A frame was analysed. */
  spend(how: Analysis, atMs: number): void {
    this.#fill(atMs);
    const left = this.#saved - COSTS[how];
    // What the usual rate takes beyond the budget is owed, a look at most; a closer look is paid as far as there is
    // anything, so that a night of them holds the rate at the usual one and leaves no debt to the morning.
    this.#saved = Math.max(left, Math.min(this.#saved, how === 'closer look' ? 0 : -1));
  }

  #fill(atMs: number): void {
    const passedS = (atMs - (this.#atMs ?? atMs)) / 1000;
    this.#atMs = atMs;
    this.#saved = Math.min(SAVED_S * this.#fps, this.#saved + passedS * this.#fps);
  }
}
