/**
 * The record of root's change machine, one file: how far the changes of the release, of the configuration and of root's own
 * program are, and what the box must never go below.
 */
import { type Static, Type } from '@sinclair/typebox';
import { Mode } from '../../../../agent/contract/mode.ts';
import { Time } from '../../../../agent/contract/time.ts';
import {
  type CHANGE_KINDS,
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
/** `commands.keys` has 16 keys at a time; a box that had more than this over its life takes no order of another key. */
export const COUNTERS_MAX = 256;

/** What is kept of a verified order: its dates, its window, and what its key may do. */
export const StoredOrder = Type.Object(
  {
    rollout: Rollout,
    counter: Type.Integer({ minimum: 1 }),
    notBefore: Time,
    notAfter: Time,
    window: nullable(Window),
    may: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 64 }),
  },
  strict,
);
export type StoredOrder = Static<typeof StoredOrder>;

/** Content of the configuration file before and after a switch, by SHA-256. */
const Files = Type.Object({ former: Sha256, tried: Sha256 }, strict);

/** The switch that is under way, or was last. */
export const Trial = Type.Object(
  {
    /** Names a technician's trial in requests; null: the trial belongs to an order or to a command at the box. */
    id: nullable(Type.String({ pattern: '^[0-9a-f]{16}$' })),
    /** What ran before; null: nothing. */
    from: nullable(ChangeTarget),
    /** What the agent reported before the switch; null: it did not answer. */
    before: nullable(Type.Object({ mode: Mode, camera: Type.String(), journalEntries: Count }, strict)),
    /** Units that ran before the switch. */
    started: Type.Array(Unit),
    files: nullable(Files),
    /** Restarts that systemd had counted when the new state was started. */
    restarts: Count,
    /** Boots since the switch. */
    boots: Count,
    /** Start of the probation in this boot, CLOCK_BOOTTIME, s; null: it has not begun. */
    beganS: nullable(Type.Number({ minimum: 0 })),
    /** Why the box rolls back; null: it does not. */
    returning: nullable(Reason),
  },
  strict,
);
export type Trial = Static<typeof Trial>;

export const Change = Type.Object(
  {
    phase: ChangePhase,
    since: Time,
    /** Boot in which the phase began, and CLOCK_BOOTTIME then, s. */
    boot: Type.String({ maxLength: 64 }),
    sinceS: Type.Number({ minimum: 0 }),
    reason: nullable(Reason),
    rollout: nullable(Rollout),
    target: nullable(ChangeTarget),
    /** The order that is carried out, or was last; null: a person at the box began the change. */
    order: nullable(StoredOrder),
    paused: Type.Boolean(),
    /** Newest order of each key, by the key's fingerprint. */
    counters: Type.Record(
      Type.String({ pattern: '^[0-9a-f]{64}$' }),
      Type.Object({ counter: Type.Integer({ minimum: 1 }), sha256: Sha256 }, strict),
      { additionalProperties: false },
    ),
    /** The newest order that was refused. */
    refused: nullable(Type.Object({ sha256: Sha256, reason: Reason }, strict)),
    /** Not tried again in the same rollout. */
    rolledBack: Type.Array(Type.Object({ rollout: nullable(Rollout), number: Count }, strict), {
      maxItems: ROLLED_BACK_MAX,
    }),
    /** Switches of this target that a power cut has undone. */
    undone: Count,
    /** Archives of this target that were not what was signed, and the CLOCK_BOOTTIME before which none is fetched, s. */
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
    /** Boot in which a program of root's has looked at this record last. */
    boot: Type.String({ maxLength: 64 }),
    release: Change,
    configuration: Change,
    root: Change,
    /** The release that has proved itself: a box that has lost its link is put on it. */
    proven: nullable(ChangeTarget),
    /** The release that is kept beside the current one. */
    previous: nullable(ChangeTarget),
    /** The box runs no release below this number. */
    seqMin: Count,
    /** `seqMin` once the target is confirmed. */
    targetSeqMin: Count,
    /** Orders that are valid from before this are refused, since it is not known which were obeyed, ms. */
    ordersFromMs: Count,
    /** The latest time on which this box has acted, ms. */
    seenMs: Count,
    /** Units that are still to be started. */
    starts: Type.Array(Unit),
    /** Versions of the TUF roles that were verified last. */
    metadata: nullable(
      Type.Object({ root: Count, timestamp: Count, snapshot: Count, targets: Count }, strict),
    ),
    osUpdates: nullable(Type.Object({ atMs: Count, pending: Count }, strict)),
    /** The newest record of the history: written here first. */
    last: nullable(ChangeRecord),
  },
  strict,
);
export type State = Static<typeof State>;

/** No change is under way. */
export const AT_REST: ReadonlySet<Phase> = new Set(['idle', 'confirmed', 'rolled-back', 'failed']);
/** The switch has begun: no order counts until it is over. */
export const SWITCHED: ReadonlySet<Phase> = new Set(['switching', 'probation']);
/** Something is installed that may still be rolled back. */
export const ON_TRIAL: ReadonlySet<Phase> = new Set([...SWITCHED, 'awaits-resume']);

export const sameTarget = (one: Target | null, other: Target | null): boolean =>
  one !== null && other !== null && one.number === other.number && one.name === other.name;

/** A switch before it begins, from nothing. */
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
  since: new Date(0).toISOString(),
  boot: '',
  sinceS: 0,
  reason: null,
  rollout: null,
  target: null,
  order: null,
  paused: false,
  counters: {},
  refused: null,
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
