/** Extracts the progress of a rollout from a box's newest report. */
import type { ChangePhase, UpdateReport } from '../../../../agent/contract/update.ts';
import { CHANGE_IN, ORDER_IN, ORDER_KIND_OF, type OrderFields, type RolloutKind } from './kinds.ts';
import type { Progress } from './states.ts';

/** Desired state of a box. */
export interface Target {
  readonly kind: RolloutKind;
  readonly rollout: string;
  readonly fields: OrderFields;
}

export interface ProgressReport {
  readonly progress: Progress;
  /** Phase of this rollout, or what the box runs, in the box's words. */
  readonly phase: string;
  readonly reason: string | null;
}

const PROGRESS: Record<ChangePhase, Progress> = {
  idle: 'none',
  waiting: 'waiting',
  downloading: 'begun',
  verified: 'begun',
  staged: 'begun',
  switching: 'switched',
  probation: 'switched',
  'awaits-resume': 'parked',
  confirmed: 'confirmed',
  'rolled-back': 'rolled-back',
  failed: 'failed',
};
const TRYING: readonly Progress[] = ['switched', 'parked'];

export function progressOf(report: UpdateReport | undefined, target: Target): ProgressReport {
  if (report === undefined) return { progress: 'none', phase: '', reason: null };
  const { kind, fields, rollout } = target;
  const { refusal } = ORDER_IN[ORDER_KIND_OF[kind]](report);
  const change = CHANGE_IN[kind](report);
  if (change === undefined) return { progress: 'none', phase: '', reason: refusal ?? 'it has no updater' };
  const { phase } = change;
  const reason = change.reason ?? refusal;
  const progress = PROGRESS[phase];
  const isOwn = rollout === change.rollout;
  // A target on trial does not count as installed.
  const isInstalled = change.runs(fields) && (isOwn ? progress === 'none' : !TRYING.includes(progress));
  if (isInstalled) return { progress: 'confirmed', phase, reason: null };
  return isOwn ? { progress, phase, reason } : { progress: 'none', phase: '', reason };
}
