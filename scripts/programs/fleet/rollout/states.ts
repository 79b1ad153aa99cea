/** Rollouts and boxes as the waves see them: their states, what goes into a decision, and what comes out of it. */
import type { Window } from '../../../../agent/contract/update.ts';
import type { Thresholds } from './plan.ts';

/**
 * `finishing`: every wave has had its time, and some boxes have not come yet. `incomplete`: it is over, and boxes are not
 * confirmed.
 */
export const ROLLOUT_STATES = [
  'running',
  'finishing',
  'paused',
  'halted',
  'aborted',
  'incomplete',
  'done',
] as const;
export type RolloutState = (typeof ROLLOUT_STATES)[number];
/** Nothing more happens. */
export const OVER: readonly RolloutState[] = ['aborted', 'incomplete', 'done'];

/**
 * `planned`: nothing was sent; `ordered`: it has not begun; `begun`: it loads, and nothing is changed; `switched`: it
 * tries; `parked`: a configuration that a suspended box tries when it looks again; `skipped`: a person leaves it out.
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
  'skipped',
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
  /** When its state changed last. */
  readonly sinceMs: number;
  /** When it was connected or has reported last; of a connected box the present time. */
  readonly heardMs: number;
  /** A person leaves it out. */
  readonly isSkipped: boolean;
}

export interface Tried {
  readonly failures: number;
  readonly tried: number;
}

/** What a person has seen and gone on with. */
export interface Accepted extends Tried {
  /** Boxes that are silent since before it count no more; 0: nothing was accepted. */
  readonly atMs: number;
}

export interface Rollout {
  readonly state: RolloutState;
  /** Since when it is in this state. */
  readonly sinceMs: number;
  readonly madeMs: number;
  /** The present wave; 0 are the canaries. */
  readonly wave: number;
  /** When enough boxes of it were confirmed; null: not yet. */
  readonly reachedMs: number | null;
  /** Of each wave, ms. */
  readonly soakMs: readonly number[];
  readonly notAfterMs: number;
  readonly thresholds: Thresholds;
  /** In which boxes begin; null: at any time. */
  readonly window: Window | null;
  readonly accepted: Accepted;
  /** What a person wants, once. */
  readonly wanted: 'pause' | 'resume' | 'abort' | null;
  readonly reason: string | null;
}

/** Boxes for which the present wave waits, and since when nothing has changed in it. */
export interface Waits {
  readonly sinceMs: number;
  /** When the rollout halts if nothing changes. */
  readonly haltsMs: number;
  /** Connected, and not confirmed. */
  readonly connected: readonly string[];
  /** They began, or confirmed, and were not heard after that. */
  readonly unheard: readonly string[];
}

export interface Step {
  readonly rollout: Rollout;
  /** States of all boxes, in their order. */
  readonly states: readonly BoxState[];
  readonly orders: readonly { readonly id: string; readonly action: Action }[];
  /** When something is due even if nobody says anything. */
  readonly nextMs: number | undefined;
  /** Null: it waits for the time to pass, or for nothing. */
  readonly waits: Waits | null;
  /** Boxes that have begun and are silent. */
  readonly silent: readonly string[];
}

/** It may still change by itself; a box in any other state has ended, or was never sent for. */
export const OPEN: readonly BoxState[] = ['ordered', 'begun', 'switched'];
export const NOT_SWITCHED: readonly BoxState[] = ['ordered', 'begun'];
export const FAILURES: readonly BoxState[] = ['rolled-back', 'failed'];
/** It has tried, or is trying. */
export const TRIED: readonly BoxState[] = ['confirmed', 'parked', 'switched', ...FAILURES];
export const ENDED: readonly BoxState[] = ['confirmed', 'parked', ...FAILURES];
/** Something of the change has happened on the box. */
export const BEGAN: readonly BoxState[] = ['begun', ...TRIED];

/** What the newest report makes of a box. */
export const STATE_OF: Record<Progress, BoxState> = {
  none: 'ordered',
  waiting: 'ordered',
  begun: 'begun',
  switched: 'switched',
  parked: 'parked',
  confirmed: 'confirmed',
  'rolled-back': 'rolled-back',
  failed: 'failed',
};
