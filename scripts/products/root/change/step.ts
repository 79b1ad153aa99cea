/**
 * The transition function of a change, from an order to `confirmed`, `rolled-back` or `failed`. It is pure: no file, no
 * clock, no process. It serves releases of both kinds and configurations.
 *
 *   idle → waiting → downloading → verified → staged → switching → probation → confirmed
 *                                                                      ↓    ↘ awaits-resume
 *                                                                 rolled-back
 *
 * INVARIANTS:
 * - What runs is changed in `switching` and later only.
 * - A phase is entered before its work is done, and the work is idempotent, so a change continues after a power cut.
 * - `returning` is never undone.
 * - A phase at rest is left only by an order or by a person.
 *
 * LIMITS:
 * - BOOTS_MAX boots in probation.
 * - UNDONE_MAX switches undone by power cuts.
 * - ROTTEN_MAX archives that differ from the signed one.
 */
import { AgentError } from '../../../../agent/base/errors.ts';
import type { Mode } from '../../../../agent/contract/mode.ts';
import {
  AT_REST,
  type Change,
  type Kind,
  ON_TRIAL,
  ROLLED_BACK_MAX,
  type StoredOrder,
  SWITCHED,
  sameTarget,
  type Target,
  type Trial,
} from './record.ts';

/** Boots in which a release may fail to prove itself. A configuration on trial does not survive a boot. */
const BOOTS_MAX: Readonly<Record<Kind, number>> = { release: 3, configuration: 0, root: 3 };
const UNDONE_MAX = 3;
/** Facts that are unknown where the agent did not answer before the switch. */
const UNKNOWN_BEFORE = { journalSize: null, authorisedUntil: null };
/**
 * First pause after an archive that differs from the signed one, s. It doubles (1, 2, 4, 8 h) within the day that a
 * download has.
 */
const ROTTEN_PAUSE_S = 3600;
const ROTTEN_MAX = 5;

/** Relation of an order's target to what runs. */
export type Relation =
  | { readonly is: 'new' }
  | { readonly is: 'running' }
  | { readonly is: 'refused'; readonly reason: string };

/** Installed state: the target, what ran before it, something else, or nothing that could run. */
export type Installed = 'target' | 'from' | 'other' | 'nothing';

/** Result of dates, window, pause and clock; undefined means go on. */
export interface Gate {
  readonly wait?: string;
  /** Reason why the order can never be carried out. */
  readonly fail?: string;
  /** Only the window is closed; a download that has begun continues. */
  readonly outsideWindow?: boolean;
}

export interface OrderInput {
  readonly on: 'order';
  readonly action: 'install' | 'pause' | 'withdraw';
  readonly keyid: string;
  readonly sha256: string;
  readonly order: StoredOrder;
  readonly target: Target;
  readonly relation: Relation;
}

export type Input =
  | OrderInput
  | { readonly on: 'order-refused'; readonly sha256: string; readonly reason: string }
  /** A person on the box starts a change; `verified` must still be staged. */
  | {
      readonly on: 'begin';
      readonly phase: 'verified' | 'staged';
      readonly target: Target;
      readonly reason: string;
    }
  /** The box has booted since the phase began. */
  | { readonly on: 'boot'; readonly installed: Installed; readonly atS: number }
  /** vigie-root starts. A record that lacks what its phase needs ends in `failed`. */
  | { readonly on: 'recover' }
  /** The worker starts, in any boot. What an earlier worker held in memory is lost. */
  | { readonly on: 'restart' }
  | { readonly on: 'gate'; readonly gate: Gate | undefined }
  | { readonly on: 'fetched' }
  | { readonly on: 'fetch-later'; readonly reason: string }
  | { readonly on: 'fetch-rotten'; readonly reason: string; readonly atS: number }
  | { readonly on: 'staged' }
  /** Staging could not be done now, which says nothing about the target: a program was killed, or the disk failed. */
  | { readonly on: 'stage-later'; readonly reason: string; readonly atS: number }
  | { readonly on: 'fail'; readonly reason: string }
  | { readonly on: 'switch'; readonly trial: Trial }
  | { readonly on: 'switched'; readonly restarts: number; readonly atS: number }
  | { readonly on: 'switch-failed'; readonly reason: string; readonly installed: Installed }
  | { readonly on: 'good' }
  /** The agent is healthy, as far as this can be tested while analysis is suspended. */
  | { readonly on: 'parked' }
  | { readonly on: 'resumed'; readonly atS: number }
  /** The agent's mode has changed for a reason that root has verified (own-record.ts). */
  | { readonly on: 'mode-changed'; readonly mode: Mode; readonly atS: number }
  | { readonly on: 'doubt'; readonly reason: string | null }
  | { readonly on: 'bad'; readonly reason: string }
  /** The previous state runs again. `other`: neither state was installed, and what was found stays. */
  | { readonly on: 'returned'; readonly outcome: 'from' | 'other' | 'nothing'; readonly reason: string };

/** Next action for a change. */
export type Action = 'none' | 'gate' | 'fetch' | 'stage' | 'switch' | 'judge' | 'await' | 'return';

export function nextAction({ phase, trial }: Change): Action {
  if (ON_TRIAL.has(phase) && trial?.returning != null) return 'return';
  switch (phase) {
    case 'waiting':
    case 'staged':
      return 'gate';
    case 'downloading':
      return 'fetch';
    case 'verified':
      return 'stage';
    case 'switching':
      return 'switch';
    case 'probation':
      return 'judge';
    case 'awaits-resume':
      return 'await';
    default:
      return 'none';
  }
}

/** Returns the change after the input. An input that no longer applies changes nothing. */
export function step(kind: Kind, change: Change, input: Input): Change {
  const { phase, trial } = change;
  switch (input.on) {
    case 'order':
      return applyOrder(change, input);
    case 'order-refused':
      return { ...change, refusal: { sha256: input.sha256, reason: input.reason } };
    case 'begin':
      return beginChange(change, input);
    case 'recover':
      return recovered(kind, change);
    case 'boot':
      return booted(kind, recovered(kind, change), input);
    case 'restart':
      // The verified result was in memory only. A change that a person started has no order to fetch it again.
      if (phase !== 'verified') return change;
      return change.order === null
        ? failed(change, 'it was interrupted; begin it again')
        : { ...change, phase: 'downloading' };
    case 'gate':
      return gated(change, input.gate);
    case 'fetched':
      return phase === 'downloading' ? { ...change, phase: 'verified', reason: null } : change;
    case 'fetch-later':
      return phase === 'downloading' ? { ...change, reason: input.reason } : change;
    case 'fetch-rotten':
      return phase === 'downloading' ? rotten(change, input) : change;
    case 'staged':
      return phase === 'verified' ? { ...change, phase: 'staged', reason: null } : change;
    case 'stage-later':
      return phase === 'verified' ? rotten({ ...change, phase: 'downloading' }, input) : change;
    case 'fail':
      return AT_REST.has(phase) || ON_TRIAL.has(phase) ? change : failed(change, input.reason);
    case 'switch':
      return phase === 'staged'
        ? { ...change, phase: 'switching', reason: null, trial: input.trial }
        : change;
    case 'switched':
      if (phase !== 'switching' || trial === null) return change;
      return {
        ...change,
        phase: 'probation',
        trial: { ...trial, restarts: input.restarts, beganS: input.atS },
      };
    case 'switch-failed':
      if (phase !== 'switching' || trial === null) return change;
      return input.installed === 'target'
        ? returning(change, trial, input.reason)
        : failed(change, input.reason);
    case 'good':
      if (phase !== 'probation' || trial?.returning !== null) return change;
      return { ...change, phase: 'confirmed', reason: probationNote(trial), undone: 0 };
    case 'parked':
      if (phase !== 'probation' || trial?.returning !== null) return change;
      return { ...change, phase: 'awaits-resume', reason: 'it is tried when the analysis resumes' };
    case 'resumed':
      if (phase !== 'awaits-resume' || trial?.returning !== null) return change;
      // From here on analysed frames count, and the earlier state of the camera does not.
      return {
        ...change,
        phase: 'probation',
        reason: null,
        trial: {
          ...trial,
          before: { ...UNKNOWN_BEFORE, ...trial.before, mode: 'active', camera: '' },
          beganS: input.atS,
        },
      };
    case 'mode-changed':
      if (phase !== 'probation' || trial?.returning !== null || trial.before === null) return change;
      // The healthy time and the limit begin again.
      return {
        ...change,
        reason: null,
        trial: { ...trial, before: { ...trial.before, mode: input.mode }, beganS: input.atS },
      };
    case 'doubt':
      return phase === 'probation' ? { ...change, reason: input.reason } : change;
    case 'bad':
      return ON_TRIAL.has(phase) && trial?.returning === null
        ? returning(change, trial, input.reason)
        : change;
    case 'returned':
      return returned(change, input);
  }
}

function applyOrder(change: Change, input: OrderInput): Change {
  const { phase } = change;
  if (SWITCHED.has(phase)) throw new AgentError('bug', 'an order in the middle of a switch');
  const { keyid, sha256, order, action } = input;
  const counters = { ...change.counters, [keyid]: { counter: order.counter, sha256 } };
  const nextChange = { ...change, counters, refusal: null };
  if (phase === 'awaits-resume') return applyOrderOnTrial(change, nextChange, input);
  if (action === 'install') return installing(nextChange, input);
  if (AT_REST.has(phase)) return nextChange;
  if (action === 'pause')
    return {
      ...nextChange,
      order,
      phase: isFetching(phase) ? 'waiting' : phase,
      paused: true,
      reason: 'paused by the room',
    };
  return {
    ...nextChange,
    phase: 'idle',
    target: null,
    rollout: null,
    order: null,
    paused: false,
    reason: 'withdrawn by the room',
  };
}

/** Handles an order during a trial. A replacing order is taken once the previous state runs again. */
function applyOrderOnTrial(change: Change, nextChange: Change, { action, target }: OrderInput): Change {
  const { trial } = change;
  if (trial === null || action === 'pause') return nextChange;
  if (action === 'withdraw') return returning(nextChange, trial, 'withdrawn by the room');
  if (sameTarget(target, change.target)) return nextChange;
  return returning(change, trial, 'another order has come');
}

const isFetching = (phase: Change['phase']): boolean => phase === 'downloading' || phase === 'verified';

function installing(change: Change, { order, target, relation }: OrderInput): Change {
  const { phase, rolledBack } = change;
  const { rollout } = order;
  const next = { ...change, order, rollout, target, paused: false };
  // The same target with other dates, another window, or after a pause: the work done so far stays.
  if (!AT_REST.has(phase) && sameTarget(change.target, target)) return { ...next, reason: null };
  const reset = { ...next, undone: 0, rotten: { count: 0, untilS: 0 }, trial: null };
  if (rolledBack.some((one) => one.rollout === rollout && one.number === target.number))
    return {
      ...reset,
      phase: 'failed',
      reason: `it was rolled back in ${rollout} already; another rollout tries it again`,
    };
  if (relation.is === 'running') return { ...reset, phase: 'confirmed', reason: 'it ran already' };
  if (relation.is === 'refused') return { ...reset, phase: 'failed', reason: relation.reason };
  return { ...reset, phase: 'waiting', reason: null };
}

function beginChange(change: Change, { phase, target, reason }: Extract<Input, { on: 'begin' }>): Change {
  if (ON_TRIAL.has(change.phase)) throw new AgentError('bug', `begun in the phase ${change.phase}`);
  const none = { rollout: null, order: null, paused: false, trial: null, undone: 0 };
  const counters = AT_REST.has(change.phase) ? change.counters : withoutOrder(change);
  return { ...change, ...none, counters, rotten: { count: 0, untilS: 0 }, phase, target, reason };
}

/**
 * Lowers the counter below the waiting order's, so that it is accepted again once the person has finished. Earlier
 * orders are still refused, and so are those of other keys.
 */
function withoutOrder({ counters, order }: Change): Change['counters'] {
  if (order === null) return counters;
  const { [order.keyid]: newest, ...others } = counters;
  if (newest === undefined || newest.counter !== order.counter) return counters;
  if (newest.counter === 1) return others;
  return { ...others, [order.keyid]: { counter: newest.counter - 1, sha256: '0'.repeat(64) } };
}

function recovered(kind: Kind, change: Change): Change {
  const { phase, target, trial, order } = change;
  if (AT_REST.has(phase)) return change;
  // The technician is waiting on site, and without the trial's name no one could keep it.
  if (kind === 'configuration' && phase === 'staged' && order === null)
    return failed(change, 'it was interrupted; try it again');
  const isComplete = target !== null && (trial !== null || !ON_TRIAL.has(phase));
  return isComplete ? change : failed(change, 'its record is not complete; a new order is needed');
}

function booted(kind: Kind, change: Change, { installed, atS }: Extract<Input, { on: 'boot' }>): Change {
  const { phase, trial, undone, rotten } = change;
  const now = { ...change, rotten: { ...rotten, untilS: 0 } };
  if (trial === null || !SWITCHED.has(phase) || trial.returning !== null) return now;
  if (phase === 'switching' && installed !== 'target') {
    if (undone >= UNDONE_MAX) return failed(now, `power was lost in ${undone + 1} switches`);
    const reason = 'power was lost before the switch';
    // A person's trial is not repeated without the person.
    if (change.order === null) return failed(now, reason);
    return { ...now, phase: 'staged', reason, undone: undone + 1 };
  }
  const boots = trial.boots + 1;
  if (boots > BOOTS_MAX[kind] || trial.id !== null) {
    const reason =
      kind === 'configuration'
        ? 'the box was restarted while it was on trial'
        : `started ${boots} times without having proved itself`;
    return returning(now, { ...trial, boots }, reason);
  }
  return { ...now, phase: 'probation', trial: { ...trial, boots, beganS: atS, restarts: 0 } };
}

function gated(change: Change, gate: Gate | undefined): Change {
  const { phase } = change;
  if (AT_REST.has(phase) || ON_TRIAL.has(phase)) return change;
  if (gate?.fail !== undefined) return failed(change, gate.fail);
  if (isFetching(phase)) {
    if (gate === undefined || gate.outsideWindow === true) return change;
    return { ...change, phase: 'waiting', reason: gate.wait ?? null };
  }
  if (gate !== undefined) return { ...change, reason: gate.wait ?? null };
  return phase === 'waiting' ? { ...change, phase: 'downloading', reason: null } : change;
}

function rotten(
  change: Change,
  { reason, atS }: Extract<Input, { on: 'fetch-rotten' | 'stage-later' }>,
): Change {
  const count = change.rotten.count + 1;
  if (count >= ROTTEN_MAX) return failed(change, `${count} times in vain: ${reason}`);
  const pauseS = ROTTEN_PAUSE_S * 2 ** (count - 1);
  return {
    ...change,
    rotten: { count, untilS: atS + pauseS },
    reason: `tried again in ${pauseS / 3600} h: ${reason}`,
  };
}

const failed = (change: Change, reason: string): Change => ({ ...change, phase: 'failed', reason });

const returning = (change: Change, trial: Trial, reason: string): Change => ({
  ...change,
  trial: { ...trial, returning: reason },
});

function probationNote({ started }: Trial): string | null {
  if (started.includes('vigie.service')) return null;
  return 'the agent did not run before: only the start of its program was checked';
}

function returned(change: Change, { outcome, reason }: Extract<Input, { on: 'returned' }>): Change {
  const { phase, rollout, target, rolledBack } = change;
  if (!ON_TRIAL.has(phase)) return change;
  if (outcome !== 'from') return failed(change, reason);
  const one = { rollout, number: target?.number ?? 0 };
  return {
    ...change,
    phase: 'rolled-back',
    reason,
    rolledBack: [...rolledBack, one].slice(-ROLLED_BACK_MAX),
  };
}
