/**
 * Updates of many boxes. The room's orders are `…/update/desired` and `…/config/desired`: retained DSSE envelopes
 * signed by an ops key. Root's updater publishes its status on the box. The box reports on `…/update/reported`:
 * retained, signed by its journal key.
 *
 * An order selects among releases that release keys have signed; it contains none.
 */
import { type Static, Type } from '@sinclair/typebox';
import { CommandKey } from './config.ts';
import { Mode } from './mode.ts';
import { Arch, Board, ReleaseKind } from './release.ts';
import { Time } from './time.ts';

const strict = { additionalProperties: false } as const;
const Name = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
const Clock = Type.String({ pattern: '^([01]\\d|2[0-3]):[0-5]\\d$|^24:00$' });
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });
const Count = Type.Integer({ minimum: 0 });
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) =>
  Type.Union([type, Type.Null()]);

/** DSSE payload types. */
export const UPDATE_ORDER_TYPE = 'application/vnd.vigie.update-desired+json';
export const CONFIG_ORDER_TYPE = 'application/vnd.vigie.config-desired+json';
export const UPDATE_REPORT_TYPE = 'application/vnd.vigie.update-reported+json';

/** Maximum sizes of envelopes in bytes; a configuration has at most CONFIG_TEXT_MAX characters. */
export const UPDATE_ORDER_BYTES_MAX = 16_384;
export const UPDATE_REPORT_BYTES_MAX = 16_384;
export const CONFIG_TEXT_MAX = 262_144;
export const CONFIG_ORDER_BYTES_MAX = 524_288;

/**
 * Files in the agent's state folder with the newest order of each kind as received, for root, which verifies it again.
 */
export const UPDATE_ORDER_FILE = 'update-desired.dsse.json';
export const CONFIG_ORDER_FILE = 'config-desired.dsse.json';

/** Data folder of root's updater. STATUS_FILE and HISTORY_FILE are world-readable. */
export const UPDATE_DIR = '/var/lib/vigie-root';
export const STATUS_FILE = 'status.json';
export const HISTORY_FILE = 'history.jsonl';

const Rollout = Type.String({
  pattern: '^[a-z0-9.-]{1,64}$',
  description: 'names the rollout, for people and records',
});
const Reason = Type.String({ maxLength: 500 });

/**
 * Period in the site's time in which a box may begin and switch. A span that ends before it begins continues into the
 * next day.
 */
export const Window = Type.Object(
  {
    tz: Type.String({ minLength: 1, maxLength: 64, description: 'IANA time zone' }),
    days: Type.Array(
      Type.Union(
        (['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const).map((day) => Type.Literal(day)),
      ),
      { minItems: 1, maxItems: 7, uniqueItems: true },
    ),
    from: Clock,
    to: Clock,
  },
  strict,
);
export type Window = Static<typeof Window>;

const order = {
  rollout: Rollout,
  site: Name,
  box: Name,
  /** `pause`: do not progress until another order. `withdraw`: discard the order, unless the switch has begun. */
  action: Type.Union((['install', 'pause', 'withdraw'] as const).map((action) => Type.Literal(action))),
  /** The rollout is over and sends nothing more. This is for later readers of the order; a box does not need it. */
  final: Type.Optional(Type.Literal(true)),
  counter: Type.Integer({
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'per key and kind of order, larger than any before; the same one again is the same order',
  }),
  notBefore: Time,
  notAfter: Time,
  /** Null: at any time. */
  window: nullable(Window),
};

export const UpdateOrder = Type.Object(
  {
    ...order,
    /** An order for one kind withdraws the order for the other. */
    what: ReleaseKind,
    seq: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
    version: Type.String({ pattern: '^\\d{1,5}\\.\\d{1,5}\\.\\d{1,5}$' }),
  },
  strict,
);
export type UpdateOrder = Static<typeof UpdateOrder>;

export const ConfigOrder = Type.Object(
  {
    ...order,
    revision: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
    /** Hash of this text: the camera's login is `***` in it, and stays unchanged on the box. */
    sha256: Sha256,
    yaml: Type.String({ minLength: 1, maxLength: CONFIG_TEXT_MAX }),
  },
  strict,
);
export type ConfigOrder = Static<typeof ConfigOrder>;

/** Reply to the command `read-configuration`: the file on disk, with the camera's login as `***`. */
export const ConfigCopy = Type.Object(
  { sha256: Sha256, yaml: Type.String({ maxLength: CONFIG_TEXT_MAX }) },
  strict,
);
export type ConfigCopy = Static<typeof ConfigCopy>;

/** Subjects that root changes on a box: a release of the agent, a configuration, root's own program. */
export const CHANGE_KINDS = ['release', 'configuration', 'root'] as const;

/**
 * Phases in their order.
 * - `failed`: cancelled, and nothing was changed.
 * - `awaits-resume`: a configuration installed on a suspended or unauthorised box, to be tried when analysis resumes.
 */
export const CHANGE_PHASES = [
  'idle',
  'waiting',
  'downloading',
  'verified',
  'staged',
  'switching',
  'probation',
  'awaits-resume',
  'confirmed',
  'rolled-back',
  'failed',
] as const;
export const ChangePhase = Type.Union(CHANGE_PHASES.map((phase) => Type.Literal(phase)));
export type ChangePhase = (typeof CHANGE_PHASES)[number];

/**
 * Target of a change. A release of either kind has its sequence number and version. A configuration has its revision
 * and the SHA-256 of its text with the camera's login as `***`.
 */
export const ChangeTarget = Type.Object({ number: Count, name: Type.String({ maxLength: 64 }) }, strict);
export type ChangeTarget = Static<typeof ChangeTarget>;

const Release = Type.Object({ seq: Count, version: Type.String({ maxLength: 32 }) }, strict);

const UpdateProgress = {
  phase: ChangePhase,
  /** Start of the phase. */
  since: Time,
  rollout: nullable(Rollout),
  /** Desired release. */
  target: nullable(Release),
  reason: nullable(Reason),
  /** Progress of a download. */
  bytes: nullable(Type.Object({ done: Count, total: Count }, strict)),
};

/** Content of STATUS_FILE, written by root's updater. */
export const UpdaterStatus = Type.Object(
  {
    version: Type.Literal(1),
    at: Time,
    board: Board,
    arch: Arch,
    os: Type.String({ maxLength: 64 }),
    kernel: Type.String({ maxLength: 128 }),
    node: Type.String({ maxLength: 32 }),
    release: nullable(Release),
    /** Release stored beside the running one. */
    previous: nullable(Release),
    ...UpdateProgress,
    /** Versions of the TUF roles that this box has verified; null before the first. */
    metadata: nullable(
      Type.Object({ root: Count, timestamp: Count, snapshot: Count, targets: Count }, strict),
    ),
    osUpdates: nullable(Type.Object({ pending: Count, reboot: Type.Boolean() }, strict)),
    freeBytes: Count,
    /** Number of the newest line of HISTORY_FILE. */
    history: Count,
    /** Root's own program: the running release, and the progress of a change. */
    root: Type.Object(
      {
        release: nullable(Release),
        phase: ChangePhase,
        since: Time,
        rollout: nullable(Rollout),
        target: nullable(Release),
        reason: nullable(Reason),
      },
      strict,
    ),
    configuration: Type.Object(
      {
        phase: ChangePhase,
        rollout: nullable(Rollout),
        /** Desired configuration, and the previous one. */
        target: nullable(ChangeTarget),
        former: nullable(ChangeTarget),
        reason: nullable(Reason),
      },
      strict,
    ),
  },
  strict,
);
export type UpdaterStatus = Static<typeof UpdaterStatus>;

/** Phases that the journal records. */
export const RECORDED_PHASES = [
  'staged',
  'switching',
  'probation',
  'awaits-resume',
  'confirmed',
  'rolled-back',
  'failed',
] as const satisfies readonly ChangePhase[];

/** Line of HISTORY_FILE. */
export const ChangeRecord = Type.Object(
  {
    /** Line number from 1 without gaps, over all kinds. */
    n: Type.Integer({ minimum: 1 }),
    at: Time,
    what: Type.Union(CHANGE_KINDS.map((kind) => Type.Literal(kind))),
    rollout: nullable(Rollout),
    phase: Type.Union(RECORDED_PHASES.map((phase) => Type.Literal(phase))),
    from: nullable(ChangeTarget),
    to: nullable(ChangeTarget),
    reason: nullable(Reason),
  },
  strict,
);
export type ChangeRecord = Static<typeof ChangeRecord>;

/** Payload signed on `vigie/<site>/<box>/update/reported`. */
export const UpdateReport = Type.Object(
  {
    site: Name,
    box: Name,
    /** Public half of the signing key, which is the journal's. The room stores the first one it receives. */
    key: CommandKey.properties.publicKey,
    at: Time,
    boot: Type.String({ maxLength: 64 }),
    /** Running version. */
    version: Type.String({ maxLength: 32 }),
    /** Null on a box without the updater. */
    updater: nullable(Type.Omit(UpdaterStatus, ['version', 'configuration'])),
    /** Counter of the order that the agent has written for root; null if there is none. */
    order: nullable(Count),
    /** Reason why the agent has refused the newest order received. */
    refused: nullable(Reason),
    config: Type.Object(
      {
        /**
         * Hash of the configuration file with the camera's login as `***` (config/secrets.ts); null if it cannot be
         * read.
         */
        sha256: nullable(Sha256),
        phase: ChangePhase,
        rollout: nullable(Rollout),
        revision: Count,
        reason: nullable(Reason),
        order: nullable(Count),
        refused: nullable(Reason),
      },
      strict,
    ),
    mode: Mode,
    /** The authority's authorisation. */
    authorisation: nullable(Type.String({ maxLength: 128 })),
    orderNotAfter: nullable(Time),
    certNotAfter: nullable(Time),
    /** Entries of the journal at this time. */
    journalIndex: Count,
  },
  strict,
);
export type UpdateReport = Static<typeof UpdateReport>;
