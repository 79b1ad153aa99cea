/**
 * How many frames a second are analysed: as the street asks (wanted-rate.ts), within a budget that holds the
 * mean to the configured rate (look-budget.ts); and less, step by step, where the board is hot (the agent says by how
 * many steps) or where analysing a frame takes longer than the frames are apart.
 *
 * INVARIANTS: time is media time; up by one step at a time; a step is taken back only when the faster rate would leave
 * `ROOM` for long enough, so that it does not come and go.
 * LIMITS: never slower than `FPS_MIN`, or than configured where that is slower; never faster than the frames come, or
 * than leaves `ROOM`.
 */
import { type Analysis, LookBudget } from './look-budget.ts';

/** Of the configured interval. */
const FACTORS = [1, 1.5, 2, 3, 4] as const;
/** Rules and tracker work down to a frame a second: a person who walks then moves by less than his height. */
const FPS_MIN = 1;
/** Slower than the frames come when analysing takes so much of the interval … */
const FULL = 0.95;
/** … for so long; faster again when it would take less than this of the shorter interval, for longer. */
const FULL_FOR_MS = 10_000;
const ROOM = 0.7;
const ROOM_FOR_MS = 60_000;
/** Mean over about so many analysed frames. */
const MEAN_OVER = 10;
/** Of the interval: frames come a little early or late, and from a camera of 25 a second not at all in a fifteenth. */
const EARLY = 0.25;
/** While more than this share of the budget is saved the street gets what it asks for; below, by what is left. */
const AMPLE = 0.25;

export interface PaceState {
  readonly step: number;
  /** Analysed frames a second. */
  readonly fps: number;
  readonly reason: 'heat' | 'load' | null;
}

/** What speaks for the analysis of a frame. */
export interface Demand {
  /** Analysed frames a second that the street asks for. */
  readonly fps: number;
  /** A picture was kept of this frame: without an analysis it could never be shown. */
  readonly pictured: boolean;
}

export class Pace {
  readonly #intervalMs: number;
  readonly #factors: readonly number[];
  readonly #budget: LookBudget | undefined;
  #heatSteps = 0;
  #loadSteps = 0;
  #meanMs = 0;
  #sinceMs: number | undefined;
  #analysedMs: number | undefined;
  #nextMs = Number.NEGATIVE_INFINITY;
  #shed = 0;
  #short = 0;

  /** `fps`: as configured. `follows`: more or fewer by the street; otherwise every frame that comes, but for heat and load. */
  constructor(fps: number, follows: boolean) {
    this.#intervalMs = 1000 / fps;
    this.#factors = FACTORS.filter((factor) => factor === 1 || fps / factor >= FPS_MIN);
    this.#budget = follows ? new LookBudget(fps) : undefined;
  }

  /** Frames that were left out for heat or load. */
  get shed(): number {
    return this.#shed;
  }

  /** Frames that the street asked for and the budget did not have. */
  get short(): number {
    return this.#short;
  }

  get state(): PaceState {
    const step = this.#step;
    const reason = step === 0 ? null : this.#heatSteps >= this.#loadSteps ? 'heat' : 'load';
    return { step, fps: Math.round(100_000 / (this.#intervalMs * this.#factorAt(step))) / 100, reason };
  }

  /** The agent's word on heat. */
  heat(steps: number): void {
    this.#heatSteps = steps;
  }

  /** Whether the frame at `atMs` is to be analysed. */
  isDue(atMs: number, { fps, pictured }: Demand): boolean {
    const step = this.#step;
    const usualMs = this.#intervalMs * this.#factorAt(step);
    const due = this.#budget === undefined && step === 0;
    if (due || (pictured && step === 0)) return this.#take(atMs, usualMs);
    const wantedMs = this.#budget === undefined ? usualMs : 1000 / fps;
    const intervalMs = Math.max(wantedMs, step === 0 ? this.#affordableMs(atMs) : usualMs);
    if (this.#isTime(atMs, intervalMs)) return this.#take(atMs, intervalMs);
    if (step > 0 && wantedMs <= usualMs) this.#shed += 1;
    else if (this.#isTime(atMs, wantedMs)) this.#short += 1;
    return false;
  }

  /** The frame at `atMs` was analysed. */
  noteAnalysed(how: Analysis, atMs: number): void {
    this.#budget?.spend(how, atMs);
  }

  /** Analysing the frame at `atMs` took so much of the thread's CPU time, inference and all. */
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

  /** The shortest interval that the budget and the board allow. */
  #affordableMs(atMs: number): number {
    const saved = Math.min(1, (this.#budget?.saved(atMs) ?? 0) / AMPLE);
    return Math.max(this.#meanMs / ROOM, this.#intervalMs * (1 - saved));
  }

  #isTime(atMs: number, intervalMs: number): boolean {
    const sinceMs = this.#analysedMs === undefined ? intervalMs : atMs - this.#analysedMs;
    // By a grid, so that early and late frames even out; by the last one where the rate has just changed.
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
