/**
 * How many frames a second are analysed: as configured, and less, step by step, where the board is hot (the agent says by
 * how many steps) or where analysing a frame takes longer than the frames are apart.
 *
 * INVARIANTS: time is media time; up by one step at a time; a step is taken back only when the faster rate would leave
 * `ROOM` for long enough, so that it does not come and go.
 * LIMITS: never slower than `FPS_MIN`, or than configured where that is slower.
 */

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
/** Frames come a little early or late. */
const EARLY = 0.85;

export interface PaceState {
  readonly step: number;
  /** Analysed frames a second. */
  readonly fps: number;
  readonly reason: 'heat' | 'load' | null;
}

export class Pace {
  readonly #intervalMs: number;
  readonly #factors: readonly number[];
  #heatSteps = 0;
  #loadSteps = 0;
  #meanMs = 0;
  #sinceMs: number | undefined;
  #analysedMs: number | undefined;
  #skipped = 0;

  constructor(fps: number) {
    this.#intervalMs = 1000 / fps;
    this.#factors = FACTORS.filter((factor) => factor === 1 || fps / factor >= FPS_MIN);
  }

  /** Frames that were left out. */
  get skipped(): number {
    return this.#skipped;
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
  isDue(atMs: number): boolean {
    const dueMs = this.#intervalMs * this.#factorAt(this.#step) * EARLY;
    if (this.#step > 0 && this.#analysedMs !== undefined && atMs - this.#analysedMs < dueMs) {
      this.#skipped += 1;
      return false;
    }
    this.#analysedMs = atMs;
    return true;
  }

  /** Analysing the frame at `atMs` took so long, inference and all. */
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

  get #step(): number {
    return Math.min(this.#factors.length - 1, Math.max(this.#heatSteps, this.#loadSteps));
  }

  #factorAt(step: number): number {
    return this.#factors[Math.min(step, this.#factors.length - 1)] as number;
  }
}
