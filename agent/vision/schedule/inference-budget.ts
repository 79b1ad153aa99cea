/**
 * Budget of detector runs: a token bucket that fills at the configured rate. So the mean never exceeds it for long,
 * whatever the street demands. It uses media time, so a replay spends like a box.
 *
 * LIMITS: `SAVED_S` of the configured rate can be saved; unaffordable runs are counted.
 */

/**
 * Maximum savings, in seconds of runs. With half a minute, no minute costs more than one and a half at the configured
 * rate. A fast car or a tram on a quiet street (10 s at 15 a second) never has to wait.
 */
const SAVED_S = 30;
/** Analysis of a frame: without the detector, with it, or on the larger picture too. */
export type Analysis = 'held' | 'look' | 'closer look';

/**
 * Costs in detector runs. A frame without one takes 1.4 of 13.8 CPU-ms; the larger picture has
 * four times the pixels.
 */
const COSTS: Readonly<Record<Analysis, number>> = { held: 0.1, look: 1, 'closer look': 5 };

export class InferenceBudget {
  readonly #fps: number;
  #saved: number;
  #atMs: number | undefined;

  /** `fps` is the mean number of runs a second. */
  constructor(fps: number) {
    this.#fps = fps;
    this.#saved = SAVED_S * fps;
  }

  /** Returns the savings at a time from the last payment on, as a ratio of their maximum, 0..1. */
  savedAt(atMs: number): number {
    return Math.max(0, this.#filled(atMs)) / (SAVED_S * this.#fps);
  }

  /** Pays for an analysed frame. */
  spend(analysis: Analysis, atMs: number): void {
    this.#saved = this.#filled(atMs);
    this.#atMs = atMs;
    const remaining = this.#saved - COSTS[analysis];
    // The usual rate may go into debt by at most one run. A high-resolution pass is paid only from the savings. So a
    // night of them keeps the rate at the usual one and leaves no debt to the morning.
    this.#saved = Math.max(remaining, Math.min(this.#saved, analysis === 'closer look' ? 0 : -1));
  }

  #filled(atMs: number): number {
    const passedS = (atMs - (this.#atMs ?? atMs)) / 1000;
    return Math.min(SAVED_S * this.#fps, this.#saved + passedS * this.#fps);
  }
}
