/** What a box's newest report says of a rollout. */
import type { ChangePhase, UpdateReport } from '../../../../agent/contract/update.ts';
import type { Progress } from './states.ts';

export type RolloutKind = 'release' | 'configuration';

/** What a box should have. */
export interface Target {
  readonly kind: RolloutKind;
  readonly rollout: string;
  /** Of a release; 0 for a configuration. */
  readonly seq: number;
  /** Of a configuration; empty for a release. */
  readonly sha256: string;
}

export interface Said {
  readonly progress: Progress;
  /** As the box says it: the phase of this rollout, or what it runs. */
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

export function progressOf(report: UpdateReport | undefined, target: Target): Said {
  if (report === undefined) return { progress: 'none', phase: '', reason: null };
  const { phase, progress, reason, rollout, isThere } =
    target.kind === 'release' ? ofRelease(report, target) : ofConfig(report, target);
  const mine = rollout === target.rollout;
  // What it has tried and not yet kept is not there.
  const there = isThere && (mine ? progress === 'none' : !TRYING.includes(progress));
  if (there) return { progress: 'confirmed', phase, reason: null };
  return mine ? { progress, phase, reason } : { progress: 'none', phase: '', reason };
}

function ofRelease({ updater, refused }: UpdateReport, { seq }: Target) {
  if (updater === null)
    return {
      phase: '',
      progress: 'none',
      reason: refused ?? 'it has no updater',
      rollout: null,
      isThere: false,
    } as const;
  const { phase, reason, rollout, release } = updater;
  return {
    phase,
    progress: PROGRESS[phase],
    reason: reason ?? refused,
    rollout,
    isThere: release?.seq === seq,
  };
}

function ofConfig({ config }: UpdateReport, { sha256 }: Target) {
  const { phase, reason, refused, rollout } = config;
  return {
    phase,
    progress: PROGRESS[phase],
    reason: reason ?? refused,
    rollout,
    isThere: config.sha256 === sha256,
  };
}
