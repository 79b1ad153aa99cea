/**
 * A rollout as a machine of states, without a clock, a broker or a store: what is known goes in, what is to be done comes
 * out. Called again with what it gave back it does the same again: who dies between two calls has lost nothing.
 *
 * INVARIANTS: an order to install goes only to boxes of waves up to the present one, and none while the rollout is paused,
 * halted or over. A box that is offline holds nobody up. Every box that was sent for ends as confirmed, rolled back,
 * failed, parked, withdrawn or expired; where a later word of a withdrawn or expired box says otherwise, that counts.
 */
import type { Thresholds } from './plan.ts';

/** `finishing`: every wave has had its time, and some boxes have not come yet. */
export const ROLLOUT_STATES = ['running', 'finishing', 'paused', 'halted', 'aborted', 'done'] as const;
export type RolloutState = (typeof ROLLOUT_STATES)[number];

/**
 * `planned`: nothing was sent; `ordered`: it has not begun; `begun`: it loads, and nothing is changed; `switched`: it
 * tries; `parked`: a configuration that a suspended box tries when it looks again.
 */
export const BOX_STATES = [
  'planned',
  'ordered',
  'begun',
  'switched',
  'parked',
  'confirmed',
  'rolled-back',
  'failed',
  'expired',
  'withdrawn',
] as const;
export type BoxState = (typeof BOX_STATES)[number];

/** What the newest report of a box says of this rollout; `none`: nothing. */
export const PROGRESSES = [
  'none',
  'waiting',
  'begun',
  'switched',
  'parked',
  'confirmed',
  'rolled-back',
  'failed',
] as const;
export type Progress = (typeof PROGRESSES)[number];

export type Action = 'install' | 'pause' | 'withdraw';

export interface RolloutBox {
  /** `site/box`. */
  readonly id: string;
  readonly wave: number;
  readonly state: BoxState;
  /** Of the newest order; null: none was made. */
  readonly action: Action | null;
  readonly progress: Progress;
  readonly online: boolean;
}

export interface Tried {
  readonly failures: number;
  readonly tried: number;
}

export interface Rollout {
  readonly state: RolloutState;
  /** The present wave; 0 are the canaries. */
  readonly wave: number;
  /** When enough boxes of it were confirmed; null: not yet. */
  readonly reachedMs: number | null;
  /** Of each wave, ms. */
  readonly soakMs: readonly number[];
  readonly notAfterMs: number;
  readonly thresholds: Thresholds;
  /** What a person has seen and gone on with. */
  readonly accepted: Tried;
  /** What a person wants, once. */
  readonly wanted: 'pause' | 'resume' | 'abort' | null;
  readonly reason: string | null;
}

export interface Step {
  readonly rollout: Rollout;
  /** States of all boxes, in their order. */
  readonly states: readonly BoxState[];
  readonly orders: readonly { readonly id: string; readonly action: Action }[];
  /** When something is due even if nobody says anything. */
  readonly nextMs: number | undefined;
}

/** It may still change by itself; a box in any other state has ended, or was never sent for. */
export const OPEN: readonly BoxState[] = ['ordered', 'begun', 'switched'];
const NOT_SWITCHED: readonly BoxState[] = ['ordered', 'begun'];
const FAILURES: readonly BoxState[] = ['rolled-back', 'failed'];
/** It has tried, or is trying. */
const TRIED: readonly BoxState[] = ['confirmed', 'parked', 'switched', ...FAILURES];
const ENDED: readonly BoxState[] = ['confirmed', 'parked', ...FAILURES];

const STATE_OF: Record<Progress, BoxState> = {
  none: 'ordered',
  waiting: 'ordered',
  begun: 'begun',
  switched: 'switched',
  parked: 'parked',
  confirmed: 'confirmed',
  'rolled-back': 'rolled-back',
  failed: 'failed',
};

/** What comes next, at this time. */
export function step(rollout: Rollout, boxes: readonly RolloutBox[], nowMs: number): Step {
  const machine = new Machine(rollout, boxes, nowMs);
  machine.run();
  return machine.result();
}

class Machine {
  #rollout: Rollout;
  readonly #boxes: readonly RolloutBox[];
  readonly #nowMs: number;
  readonly #states: BoxState[];
  readonly #orders = new Map<string, Action>();

  constructor(rollout: Rollout, boxes: readonly RolloutBox[], nowMs: number) {
    this.#rollout = rollout;
    this.#boxes = boxes;
    this.#nowMs = nowMs;
    this.#states = boxes.map(heard);
  }

  run(): void {
    this.#obey();
    if (this.#nowMs > this.#rollout.notAfterMs) this.#expire();
    if (['running', 'finishing', 'paused'].includes(this.#rollout.state)) this.#halt();
    // A wave without anybody, or with nobody who is there, is reached at once.
    do {
      while (this.#rollout.state === 'running' && this.#advance());
      this.#order();
    } while (this.#rollout.state === 'running' && this.#rollout.reachedMs === null && this.#isReached());
    if (this.#rollout.state === 'finishing' && !this.#states.some((state) => OPEN.includes(state)))
      this.#to('done', null);
  }

  result(): Step {
    const { state, reachedMs, soakMs, wave, notAfterMs } = this.#rollout;
    const soaked = state === 'running' && reachedMs !== null ? reachedMs + (soakMs[wave] ?? 0) : undefined;
    const over = state === 'done' || state === 'aborted';
    const due = [soaked, over ? undefined : notAfterMs + 1].filter(
      (ms) => ms !== undefined && ms > this.#nowMs,
    );
    return {
      rollout: this.#rollout,
      states: this.#states,
      orders: [...this.#orders].map(([id, action]) => ({ id, action })),
      nextMs: due.length === 0 ? undefined : Math.min(...(due as number[])),
    };
  }

  #to(state: RolloutState, reason: string | null): void {
    this.#rollout = { ...this.#rollout, state, reason };
  }

  /** What a person wants; it is done once, and what does not fit is passed over. */
  #obey(): void {
    const { wanted, state } = this.#rollout;
    this.#rollout = { ...this.#rollout, wanted: null };
    const over = state === 'done' || state === 'aborted';
    if (wanted === 'abort' && !over) this.#to('aborted', 'aborted by a person');
    if (wanted === 'pause' && (state === 'running' || state === 'finishing'))
      this.#to('paused', 'paused by a person');
    if (wanted === 'resume' && (state === 'paused' || state === 'halted')) {
      // What was seen is accepted: it halts again by what comes from now on.
      this.#rollout = { ...this.#rollout, accepted: this.#tried(() => true), reachedMs: null };
      this.#to('running', null);
    }
  }

  #expire(): void {
    for (const [i, state] of this.#states.entries()) if (OPEN.includes(state)) this.#states[i] = 'expired';
    const { state } = this.#rollout;
    if (state === 'done' || state === 'aborted') return;
    const left = this.#count((now) => now === 'planned');
    if (state === 'halted' || left > 0)
      this.#to(
        'aborted',
        `its time is over; ${left} boxes were never sent for${state === 'halted' ? ', it had halted' : ''}`,
      );
    else this.#to('done', null);
  }

  #halt(): void {
    const { thresholds, accepted } = this.#rollout;
    const { canaryFailures, failures: share, failuresMin } = thresholds;
    const canaries = this.#tried((box) => box.wave === 0).failures;
    const { failures, tried } = this.#tried(() => true);
    const [newFailures, newTried] = [failures - accepted.failures, tried - accepted.tried];
    if (newFailures <= 0) return;
    const broken = this.#count((state) => state === 'failed');
    const what = broken === 0 ? 'went back' : `went back or failed (${broken} failed)`;
    // Fewer than the limit, and all of them: nobody is left to be well.
    const limit = Math.min(canaryFailures, this.#boxes.filter((box) => box.wave === 0).length);
    if (canaries >= limit && this.#rollout.wave === 0) this.#to('halted', `${canaries} canaries ${what}`);
    else if (newFailures >= failuresMin && newFailures > share * newTried)
      this.#to('halted', `${newFailures} of ${newTried} boxes that were tried ${what}`);
  }

  /** True when the next wave has begun. */
  #advance(): boolean {
    const { wave, soakMs, reachedMs } = this.#rollout;
    const last = wave === soakMs.length - 1;
    if (!this.#isReached()) return false;
    const reached = reachedMs ?? this.#nowMs;
    this.#rollout = { ...this.#rollout, reachedMs: reached };
    const members = this.#boxes.some((box) => box.wave === wave);
    if (members && this.#nowMs < reached + (soakMs[wave] ?? 0)) return false;
    if (last) {
      this.#to('finishing', null);
      return false;
    }
    this.#rollout = { ...this.#rollout, wave: wave + 1, reachedMs: null };
    return true;
  }

  /**
   * Enough of those who can answer have said that they are well. Failures are the other rule's: below its limit they do
   * not hold up the rest. A canary at least must be well: silence is no proof.
   */
  #isReached(): boolean {
    const { wave, thresholds } = this.#rollout;
    let [well, asked] = [0, 0];
    for (const [i, box] of this.#boxes.entries()) {
      const state = this.#states[i] ?? 'planned';
      if (box.wave !== wave || FAILURES.includes(state)) continue;
      // A box of the wave that has no order yet gets it now.
      if (state === 'planned' && box.progress !== 'confirmed') return false;
      const isWell = ENDED.includes(state) || box.progress === 'confirmed';
      if (isWell) well += 1;
      if (isWell || box.online) asked += 1;
    }
    return well >= thresholds.confirmed * asked && (wave > 0 || well > 0);
  }

  /** Whoever should have another order than it has. */
  #order(): void {
    for (const [i, box] of this.#boxes.entries()) {
      const state = this.#states[i] ?? 'planned';
      const action = this.#action(box, state);
      if (action === undefined || action === (this.#orders.get(box.id) ?? box.action)) continue;
      if (action === 'install') this.#states[i] = 'ordered';
      if (action === 'withdraw' && NOT_SWITCHED.includes(state)) this.#states[i] = 'withdrawn';
      this.#orders.set(box.id, action);
    }
  }

  #action(box: RolloutBox, state: BoxState): Action | undefined {
    const { state: rollout, wave } = this.#rollout;
    if (rollout === 'halted' || rollout === 'aborted')
      return NOT_SWITCHED.includes(state) ? 'withdraw' : undefined;
    if (rollout === 'paused') return NOT_SWITCHED.includes(state) ? 'pause' : undefined;
    if (rollout !== 'running' && rollout !== 'finishing') return undefined;
    if (box.wave > wave) return undefined;
    return state === 'planned' || state === 'withdrawn' || NOT_SWITCHED.includes(state)
      ? 'install'
      : undefined;
  }

  #tried(of: (box: RolloutBox) => boolean): Tried {
    let [failures, tried] = [0, 0];
    for (const [i, box] of this.#boxes.entries()) {
      const state = this.#states[i] ?? 'planned';
      if (!of(box)) continue;
      if (FAILURES.includes(state)) failures += 1;
      if (TRIED.includes(state)) tried += 1;
    }
    return { failures, tried };
  }

  #count(of: (state: BoxState) => boolean): number {
    return this.#states.filter(of).length;
  }
}

/** The state of a box by what it says now. */
function heard({ state, action, progress }: RolloutBox): BoxState {
  // Already there, by another way; nothing was sent, and nothing will be.
  if (action === null) return state === 'planned' && progress === 'confirmed' ? 'confirmed' : state;
  const said = STATE_OF[progress];
  if (state === 'confirmed' || FAILURES.includes(state)) return state;
  if (ENDED.includes(said)) return said;
  if (state === 'parked') return state;
  // Too late to be called back or to be waited for: it had switched, or switched all the same.
  if (said === 'switched') return said;
  if (state === 'expired') return state;
  return action === 'withdraw' ? 'withdrawn' : said;
}
