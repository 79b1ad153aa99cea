/**
 * Schema of the change machine's record, one file. It holds the progress of the changes of release, configuration and
 * vigie-root, and the minimum versions that the box accepts.
 */
import { type Static, Type } from '@sinclair/typebox';
import { Mode } from '../../../../agent/contract/mode.ts';
import { Time } from '../../../../agent/contract/time.ts';
import {
  CHANGE_KINDS,
  ChangePhase,
  ChangeRecord,
  ChangeTarget,
  Window,
} from '../../../../agent/contract/update.ts';

const strict = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0 });
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });
const Reason = Type.String({ maxLength: 500 });
const Rollout = Type.String({ maxLength: 64 });
const Unit = Type.String({ pattern: '^vigie[a-z-]*\\.(service|socket)$' });
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) =>
  Type.Union([type, Type.Null()]);

export const REASON_CHARS_MAX = 500;
export const ROLLED_BACK_MAX = 64;
/**
 * Maximum number of keys with a counter. `commands.keys` has 16 at a time; a box that has seen more than 256 in its
 * lifetime accepts no further key.
 */
export const COUNTERS_MAX = 256;

/** Stored part of a verified order: its dates, its window and the rights of its key. */
export const StoredOrder = Type.Object(
  {
    rollout: Rollout,
    /** Fingerprint of the key that signed it. */
    keyid: Sha256,
    counter: Type.Integer({ minimum: 1 }),
    notBefore: Time,
    notAfter: Time,
    window: nullable(Window),
    may: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 64 }),
  },
  strict,
);
export type StoredOrder = Static<typeof StoredOrder>;

/** SHA-256 of the configuration file before and after a switch. */
const Files = Type.Object({ former: Sha256, tried: Sha256 }, strict);

/** State with which a probation compares. */
export const TrialStart = Type.Object(
  {
    mode: Mode,
    camera: Type.String(),
    /** Size of the journal in root's own record; null if there is none. */
    journalSize: nullable(Count),
    /** End of the authorisation that root's configuration names; null if none is valid. */
    authorisedUntil: nullable(Time),
  },
  strict,
);
export type TrialStart = Static<typeof TrialStart>;

/** The switch that is under way, or the last one. */
export const Trial = Type.Object(
  {
    /** Names a technician's trial in requests; null for a trial of an order or of a command on the box. */
    id: nullable(Type.String({ pattern: '^[0-9a-f]{16}$' })),
    /** Target that ran before; null if none did. */
    from: nullable(ChangeTarget),
    /** State before the switch, or since a change of the mode that root has verified; null if the agent did not answer. */
    before: nullable(TrialStart),
    started: Type.Array(Unit),
    files: nullable(Files),
    /** systemd's count of restarts when the new state was started. */
    restarts: Count,
    /** Number of boots since the switch. */
    boots: Count,
    /** Start of the probation in this boot, CLOCK_BOOTTIME, s; null if it has not begun. */
    beganS: nullable(Type.Number({ minimum: 0 })),
    /** Reason for rolling back; null if the box does not. */
    returning: nullable(Reason),
  },
  strict,
);
export type Trial = Static<typeof Trial>;

export const Change = Type.Object(
  {
    phase: ChangePhase,
    phaseStartedAt: Time,
    /** Boot in which the phase began, and its CLOCK_BOOTTIME, s. */
    boot: Type.String({ maxLength: 64 }),
    phaseStartedS: Type.Number({ minimum: 0 }),
    reason: nullable(Reason),
    rollout: nullable(Rollout),
    target: nullable(ChangeTarget),
    /** The order that is carried out, or the last one; null if a person on the box started the change. */
    order: nullable(StoredOrder),
    paused: Type.Boolean(),
    /** Newest order of each key, by the key's fingerprint. */
    counters: Type.Record(
      Type.String({ pattern: '^[0-9a-f]{64}$' }),
      Type.Object({ counter: Type.Integer({ minimum: 1 }), sha256: Sha256 }, strict),
      { additionalProperties: false },
    ),
    refusal: nullable(Type.Object({ sha256: Sha256, reason: Reason }, strict)),
    /** Targets that are not tried again in the same rollout. */
    rolledBack: Type.Array(Type.Object({ rollout: nullable(Rollout), number: Count }, strict), {
      maxItems: ROLLED_BACK_MAX,
    }),
    /** Number of switches to this target that a power cut has undone. */
    undone: Count,
    /**
     * Number of archives of this target that differed from the signed one, and the CLOCK_BOOTTIME before which none is
     * fetched, s.
     */
    rotten: Type.Object({ count: Count, untilS: Type.Number({ minimum: 0 }) }, strict),
    trial: nullable(Trial),
  },
  strict,
);
export type Change = Static<typeof Change>;
export type Phase = Change['phase'];
export type Target = NonNullable<Change['target']>;
export type Kind = (typeof CHANGE_KINDS)[number];

export const State = Type.Object(
  {
    version: Type.Literal(1),
    /** Boot in which vigie-root last read this record. */
    boot: Type.String({ maxLength: 64 }),
    release: Change,
    configuration: Change,
    root: Change,
    /** The last confirmed release, to which a box without its link is restored. */
    proven: nullable(ChangeTarget),
    /** Release that is stored beside the current one. */
    previous: nullable(ChangeTarget),
    /** Lowest release number that the box accepts. */
    seqMin: Count,
    /** New `seqMin` once the target is confirmed. */
    targetSeqMin: Count,
    /** Orders that are valid from an earlier time are refused, because it is unknown which were obeyed, ms. */
    ordersFromMs: Count,
    /** Latest time at which this box has acted, ms. */
    seenMs: Count,
    /** Units that still have to be started. */
    starts: Type.Array(Unit),
    /** Versions of the TUF roles that were verified last. */
    metadata: nullable(
      Type.Object({ root: Count, timestamp: Count, snapshot: Count, targets: Count }, strict),
    ),
    osUpdates: nullable(Type.Object({ atMs: Count, pending: Count }, strict)),
    /** The newest record of the history; it is written here first. */
    last: nullable(ChangeRecord),
  },
  strict,
);
export type State = Static<typeof State>;

/** Phases in which no change is under way. */
export const AT_REST: ReadonlySet<Phase> = new Set(['idle', 'confirmed', 'rolled-back', 'failed']);
/** Phases after the switch has begun: no order counts until it is over. */
export const SWITCHED: ReadonlySet<Phase> = new Set(['switching', 'probation']);
/** Phases in which something is installed that may still be rolled back. */
export const ON_TRIAL: ReadonlySet<Phase> = new Set([...SWITCHED, 'awaits-resume']);

/** Returns another kind that is on trial now; while there is one, no change of `kind` begins, resumes or is rolled back. */
export const otherOnTrial = (state: State, kind: Kind): Kind | undefined =>
  CHANGE_KINDS.find((one) => one !== kind && SWITCHED.has(state[one].phase));

export const sameTarget = (one: Target | null, other: Target | null): boolean =>
  one !== null && other !== null && one.number === other.number && one.name === other.name;

/** Initial trial: a switch from nothing that has not begun. */
export const FIRST_TRIAL: Trial = {
  id: null,
  from: null,
  before: null,
  started: [],
  files: null,
  restarts: 0,
  boots: 0,
  beganS: null,
  returning: null,
};

export const FIRST_CHANGE: Change = {
  phase: 'idle',
  phaseStartedAt: new Date(0).toISOString(),
  boot: '',
  phaseStartedS: 0,
  reason: null,
  rollout: null,
  target: null,
  order: null,
  paused: false,
  counters: {},
  refusal: null,
  rolledBack: [],
  undone: 0,
  rotten: { count: 0, untilS: 0 },
  trial: null,
};

export const FIRST_STATE: State = {
  version: 1,
  boot: '',
  release: FIRST_CHANGE,
  configuration: FIRST_CHANGE,
  root: FIRST_CHANGE,
  proven: null,
  previous: null,
  seqMin: 0,
  targetSeqMin: 0,
  ordersFromMs: 0,
  seenMs: 0,
  starts: [],
  metadata: null,
  osUpdates: null,
  last: null,
};
