/** What the updater knows, in one record: state.json. */
import { type Static, Type } from '@sinclair/typebox';
import { Mode } from '../../../agent/contract/mode.ts';
import { Time } from '../../../agent/contract/time.ts';
import { UpdateOrder, UpdatePhase, UpdateRecord } from '../../../agent/contract/update.ts';

const strict = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0 });
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });
const Reason = Type.String({ maxLength: 500 });
const Release = Type.Object(
  { seq: Type.Integer({ minimum: 1 }), version: Type.String({ maxLength: 32 }) },
  strict,
);
const Unit = Type.String({ pattern: '^vigie[a-z-]*\\.(service|socket)$' });
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) =>
  Type.Union([type, Type.Null()]);

export const REASON_CHARS_MAX = 500;
export const ROLLED_BACK_MAX = 64;
/** `commands.keys` has 16 at a time; who once had another key may have no more than these. */
export const COUNTERS_MAX = 256;

/** What is being switched, or was last. */
const Switch = Type.Object(
  {
    from: nullable(Release),
    /** What the agent said before; null: nobody answered. */
    before: nullable(Type.Object({ mode: Mode, camera: Type.String(), journalEntries: Count }, strict)),
    /** Units that had been started before. */
    started: Type.Array(Unit),
    /** Restarts that systemd had counted when the new release was started. */
    restarts: Count,
    /** Boots since. */
    boots: Count,
    /** When the probation began in this boot, CLOCK_BOOTTIME, s. */
    probationS: nullable(Type.Number({ minimum: 0 })),
    /** Why it goes back; null: it does not. */
    returning: nullable(Reason),
  },
  strict,
);

export const State = Type.Object(
  {
    version: Type.Literal(1),
    phase: UpdatePhase,
    since: Time,
    /** Of the kernel, when the phase began; and CLOCK_BOOTTIME then, s. */
    boot: Type.String({ maxLength: 64 }),
    sinceS: Type.Number({ minimum: 0 }),
    reason: nullable(Reason),
    rollout: nullable(Type.String({ maxLength: 64 })),
    target: nullable(Release),
    /** The release that is kept beside the current one. */
    previous: nullable(Release),
    /** The one that is carried out, or was last. */
    order: nullable(UpdateOrder),
    paused: Type.Boolean(),
    /** Newest order of each key, by the key's fingerprint. */
    counters: Type.Record(
      Type.String({ pattern: '^[0-9a-f]{64}$' }),
      Type.Object({ counter: Type.Integer({ minimum: 1 }), sha256: Sha256 }, strict),
      { additionalProperties: false },
    ),
    /** Orders that are valid from before are refused: which were obeyed then is not known any more, ms. */
    ordersFromMs: Count,
    /** The newest thing laid that was not taken, and why. */
    refused: nullable(Type.Object({ sha256: Sha256, reason: Reason }, strict)),
    /** Not tried again in the same rollout. */
    rolledBack: Type.Array(Type.Object({ rollout: nullable(Type.String()), seq: Count }, strict), {
      maxItems: ROLLED_BACK_MAX,
    }),
    /** The current release must not be left for one below. */
    seqMin: Count,
    /** The same of the one that is wanted. */
    targetSeqMin: Count,
    /** Switches of this target that a power cut has undone. */
    undone: Count,
    switch: nullable(Switch),
    /** Units that are still to be started. */
    starts: Type.Array(Unit),
    /** The newest time that this box has acted on, ms. */
    seenMs: Count,
    metadata: nullable(
      Type.Object({ root: Count, timestamp: Count, snapshot: Count, targets: Count }, strict),
    ),
    osUpdates: nullable(Type.Object({ atMs: Count, pending: Count }, strict)),
    /** The newest of the history: written here first. */
    last: nullable(UpdateRecord),
  },
  strict,
);
export type State = Static<typeof State>;
export type SwitchState = Static<typeof Switch>;

/** Nothing is under way. */
export const AT_REST: ReadonlySet<State['phase']> = new Set(['idle', 'confirmed', 'rolled-back', 'failed']);
/** The switch has begun: no order counts until it is over. */
export const SWITCHED: ReadonlySet<State['phase']> = new Set(['switching', 'probation']);

export const FIRST_STATE: State = {
  version: 1,
  phase: 'idle',
  since: new Date(0).toISOString(),
  boot: '',
  sinceS: 0,
  reason: null,
  rollout: null,
  target: null,
  previous: null,
  order: null,
  paused: false,
  counters: {},
  ordersFromMs: 0,
  refused: null,
  rolledBack: [],
  seqMin: 0,
  targetSeqMin: 0,
  undone: 0,
  switch: null,
  starts: [],
  seenMs: 0,
  metadata: null,
  osUpdates: null,
  last: null,
};
