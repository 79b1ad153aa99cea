/**
 * Frame rate control: decides how many frames a second are analysed.
 *
 * - The street sets the rate (wanted-rate.ts), within a budget that holds the mean to the configured rate
 *   (inference-budget.ts).
 * - The rate falls in steps if the board is hot (the agent sends the number of steps) or if analysing a frame takes
 *   longer than the interval.
 *
 * INVARIANTS:
 * - Time is media time.
 * - One step up at a time. A step is reverted only after the faster rate would leave `ROOM` for long enough, so that it
 *   does not oscillate.
 * LIMITS: never slower than `FPS_MIN`, or than configured if that is slower. Never faster than the frames come, or than
 * leaves `ROOM`.
 */
import { type Analysis, InferenceBudget } from './inference-budget.ts';

/** Multiples of the configured interval. */
const FACTORS = [1, 1.5, 2, 3, 4] as const;
/**
 * Lowest rate. Rules and tracker work down to a frame a second, when a walking person moves by less than their height.
 */
const FPS_MIN = 1;
/** Load from which the rate falls, as a ratio of the interval. */
const FULL = 0.95;
/**
 * Time of full load until it falls, in ms; and time with a load below `ROOM` of the shorter interval until it rises.
 */
const FULL_FOR_MS = 10_000;
const ROOM = 0.7;
const ROOM_FOR_MS = 60_000;
/** Approximate number of analysed frames in the mean. */
const MEAN_OVER = 10;
/**
 * Tolerance as a ratio of the interval: frames come slightly early or late, and a camera of 25 a second has none in
 * some fifteenths.
 */
const EARLY = 0.25;
/** Ratio of savings above which the street gets its rate; below it, the rate depends on the remainder. */
const AMPLE = 0.25;

/** Margin for sums of times that are rounded in another order, in ms. */
const ROUNDING_MS = 0.001;

export interface RateControlState {
  readonly step: number;
  /** Analysed frames a second. */
  readonly fps: number;
  readonly reason: 'heat' | 'load' | null;
}

/** Reasons to analyse a frame. */
export interface Demand {
  /** Analysed frames a second that the street demands. */
  readonly fps: number;
  /** True if a picture of this frame was stored, which could never be shown without an analysis. */
  readonly pictured: boolean;
  /** False for a frame that was passed over. None of these is due by notBeforeMs; it counts all the same. */
  readonly isHeld: boolean;
}

export class RateControl {
  readonly #intervalMs: number;
  readonly #factors: readonly number[];
  readonly #budget: InferenceBudget | undefined;
  #heatSteps = 0;
  #loadSteps = 0;
  #meanMs = 0;
  #sinceMs: number | undefined;
  #analysedMs: number | undefined;
  #nextMs = Number.NEGATIVE_INFINITY;
  #shed = 0;
  #short = 0;

  /**
   * `fps` is the configured rate. With `follows`, the rate follows the street; otherwise every frame is analysed,
   * except for heat and load.
   */
  constructor(fps: number, follows: boolean) {
    this.#intervalMs = 1000 / fps;
    this.#factors = FACTORS.filter((factor) => factor === 1 || fps / factor >= FPS_MIN);
    this.#budget = follows ? new InferenceBudget(fps) : undefined;
  }

  /** Frames skipped for heat or load. */
  get shed(): number {
    return this.#shed;
  }

  /** Frames that the street demanded and the budget could not pay. */
  get short(): number {
    return this.#short;
  }

  get state(): RateControlState {
    const step = this.#step;
    const reason = step === 0 ? null : this.#heatSteps >= this.#loadSteps ? 'heat' : 'load';
    return { step, fps: Math.round(100_000 / (this.#intervalMs * this.#factorAt(step))) / 100, reason };
  }

  /** Sets the agent's number of steps for heat. */
  heat(steps: number): void {
    this.#heatSteps = steps;
  }

  /** Reports whether the frame at `atMs` is to be analysed. */
  isDue(atMs: number, { fps, pictured, isHeld }: Demand): boolean {
    const step = this.#step;
    const usualMs = this.#intervalMs * this.#factorAt(step);
    const due = this.#budget === undefined && step === 0;
    if (due || (pictured && step === 0)) return isHeld && this.#take(atMs, usualMs);
    const wantedMs = this.#budget === undefined ? usualMs : 1000 / fps;
    const intervalMs = Math.max(wantedMs, step === 0 ? this.#affordableMs(atMs) : usualMs);
    if (this.#isTime(atMs, intervalMs)) return isHeld && this.#take(atMs, intervalMs);
    if (step > 0 && wantedMs <= usualMs) this.#shed += 1;
    else if (this.#isTime(atMs, wantedMs)) this.#short += 1;
    return false;
  }

  /**
   * Returns a media time before which no frame is due, unless one is pictured. Until then, the street demands between
   * `leastFps` and `fps`.
   */
  notBeforeMs(fps: number, leastFps: number): number {
    const step = this.#step;
    const lastMs = this.#analysedMs;
    if (lastMs === undefined || (this.#budget === undefined && step === 0)) return Number.NEGATIVE_INFINITY;
    const usualMs = this.#intervalMs * this.#factorAt(step);
    const wantedMs = this.#budget === undefined ? usualMs : 1000 / fps;
    // Savings grow, so the affordable interval shrinks until the frame.
    const affordable = (atMs: number): number => (step === 0 ? this.#affordableMs(atMs) : usualMs);
    const laterMs = this.#budget === undefined ? usualMs : 1000 / leastFps;
    const longestMs = Math.max(laterMs, affordable(lastMs));
    const shortestMs = Math.max(wantedMs, affordable(lastMs + longestMs));
    // A longer interval has half of it later and more tolerance: the earliest time is that of the one between.
    const betweenMs = (this.#nextMs - lastMs) / (0.5 + EARLY);
    const intervalMs = Math.min(longestMs, Math.max(shortestMs, betweenMs));
    const onGridMs = Math.max(lastMs + intervalMs / 2, this.#nextMs - EARLY * intervalMs);
    return Math.min(lastMs + shortestMs, onGridMs) - ROUNDING_MS;
  }

  /** Records that the frame at `atMs` was analysed. */
  noteAnalysed(analysis: Analysis, atMs: number): void {
    this.#budget?.spend(analysis, atMs);
  }

  /** Records the thread's CPU time for analysing the frame at `atMs`, including inference. */
  noteDuration(ms: number, atMs: number): void {
    this.#meanMs += (ms - this.#meanMs) / MEAN_OVER;
    const full = this.#meanMs > FULL * this.#intervalMs * this.#factorAt(this.#loadSteps);
    const room =
      this.#loadSteps > 0 && this.#meanMs < ROOM * this.#intervalMs * this.#factorAt(this.#loadSteps - 1);
    const may = full ? this.#loadSteps < this.#factors.length - 1 : room;
    if (!may) {
      this.#sinceMs = undefined;
      return;
    }
    this.#sinceMs ??= atMs;
    if (atMs - this.#sinceMs < (full ? FULL_FOR_MS : ROOM_FOR_MS)) return;
    this.#loadSteps += full ? 1 : -1;
    this.#sinceMs = undefined;
  }

  /** Returns the shortest interval that the budget and the board allow. */
  #affordableMs(atMs: number): number {
    const saved = Math.min(1, (this.#budget?.savedAt(atMs) ?? 0) / AMPLE);
    return Math.max(this.#meanMs / ROOM, this.#intervalMs * (1 - saved));
  }

  #isTime(atMs: number, intervalMs: number): boolean {
    const sinceMs = this.#analysedMs === undefined ? intervalMs : atMs - this.#analysedMs;
    // A grid evens out early and late frames; after a change of rate, the last frame counts instead.
    return sinceMs >= intervalMs || (sinceMs >= intervalMs / 2 && atMs >= this.#nextMs - EARLY * intervalMs);
  }

  #take(atMs: number, intervalMs: number): true {
    this.#analysedMs = atMs;
    const onGrid = Math.abs(this.#nextMs - atMs) <= intervalMs / 2;
    this.#nextMs = (onGrid ? this.#nextMs : atMs) + intervalMs;
    return true;
  }

  get #step(): number {
    return Math.min(this.#factors.length - 1, Math.max(this.#heatSteps, this.#loadSteps));
  }

  #factorAt(step: number): number {
    return this.#factors[Math.min(step, this.#factors.length - 1)] as number;
  }
}
