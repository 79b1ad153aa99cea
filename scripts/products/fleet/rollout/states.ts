/** States of rollouts and boxes, and the input and output of a step of the waves. */
import type { Window } from '../../../../agent/contract/update.ts';
import type { Thresholds } from './plan.ts';

/**
 * States of a rollout. `finishing`: every wave has had its time, and some boxes are still missing. `incomplete`: it is
 * over, and some boxes are not confirmed.
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
/** Final states. */
export const OVER: readonly RolloutState[] = ['aborted', 'incomplete', 'done'];

/**
 * States of a box:
 *
 * - `planned`: nothing was sent
 * - `ordered`: it has not begun
 * - `begun`: it downloads, and nothing has changed
 * - `switched`: it is on probation
 * - `parked`: a configuration that a suspended box tries when its analysis resumes
 * - `skipped`: a person has left it out
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

/** Progress of this rollout in a box's newest report; `none` if the report does not mention it. */
export type Progress =
  | 'none'
  | 'waiting'
  | Exclude<BoxState, 'planned' | 'ordered' | 'expired' | 'withdrawn' | 'skipped'>;

export type Action = 'install' | 'pause' | 'withdraw';

export interface RolloutBox {
  /** Box in the form `site/box`. */
  readonly id: string;
  readonly wave: number;
  readonly state: BoxState;
  /** Action of the newest order; null if none was made. */
  readonly action: Action | null;
  readonly progress: Progress;
  readonly online: boolean;
  /** Time of its last change of state. */
  readonly sinceMs: number;
  /** Latest time at which it is known to have been connected; for a connected box the present time. */
  readonly heardMs: number;
  /** Earliest time since which it is known not to be connected. */
  readonly goneMs: number;
  /** Its longest silence in the two weeks before its order, ms; 0 if none is known. */
  readonly silenceMs: number;
  /** A person has left it out. */
  readonly isSkipped: boolean;
}

export interface TrialCounts {
  readonly failures: number;
  readonly triedCount: number;
}

export interface Rollout {
  readonly state: RolloutState;
  /** Beginning of this state. */
  readonly sinceMs: number;
  readonly madeMs: number;
  /** The present wave; 0 is that of the canaries. */
  readonly wave: number;
  /** Time at which enough of its boxes were confirmed; null if not yet. */
  readonly reachedMs: number | null;
  /** Soak time of each wave, ms. */
  readonly soakMs: readonly number[];
  readonly notAfterMs: number;
  readonly thresholds: Thresholds;
  /** Time window in which boxes begin; null means at any time. */
  readonly window: Window | null;
  /** Failures that a person has seen and accepted when the rollout continued. */
  readonly accepted: TrialCounts;
  /** A person's request, handled once. */
  readonly request: 'pause' | 'resume' | 'abort' | null;
  readonly reason: string | null;
}

/** Boxes for which the present wave waits, and since when nothing has changed in it. */
export interface Waits {
  readonly sinceMs: number;
  /** Time at which the rollout halts if nothing changes. */
  readonly haltsMs: number;
  /** Boxes that are connected and not confirmed. */
  readonly connected: readonly string[];
  /** Boxes that began or confirmed, and were not heard afterwards. */
  readonly unheard: readonly string[];
}

export interface Step {
  readonly rollout: Rollout;
  /** States of all boxes, in their order. */
  readonly states: readonly BoxState[];
  readonly orders: readonly { readonly id: string; readonly action: Action }[];
  /** Time at which something is due even without a message. */
  readonly nextMs: number | undefined;
  /** Null if it waits only for time to pass, or for nothing. */
  readonly waits: Waits | null;
  /** One line about the boxes for which the wave waits, or the reason of the state; null without either. */
  readonly explanation: string | null;
  /** Boxes that have begun and are silent. */
  readonly silent: readonly string[];
}

/** States that may still change on their own. In any other state a box has finished, or was never ordered. */
export const OPEN: readonly BoxState[] = ['ordered', 'begun', 'switched'];
export const NOT_SWITCHED: readonly BoxState[] = ['ordered', 'begun'];
export const FAILURES: readonly BoxState[] = ['rolled-back', 'failed'];
/** States of boxes that have tried the change, or are trying it. */
export const TRIED_STATES: readonly BoxState[] = ['confirmed', 'parked', 'switched', ...FAILURES];
export const ENDED_STATES: readonly BoxState[] = ['confirmed', 'parked', ...FAILURES];
/** States of boxes on which the change has had an effect. */
export const BEGAN_STATES: readonly BoxState[] = ['begun', ...TRIED_STATES];

/** Returns the state of a box with this progress in its newest report. */
export function stateOf(progress: Progress): BoxState {
  return progress === 'none' || progress === 'waiting' ? 'ordered' : progress;
}
