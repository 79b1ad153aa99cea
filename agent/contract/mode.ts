/**
 * Mode of the box (analysis on or off) as a signed statement that others can verify, and the two commands that change
 * it.
 */
import { type Static, Type } from '@sinclair/typebox';
import { COMMAND_BYTES_MAX, envelopeOf } from './command.ts';
import { Time } from './time.ts';

const strict = { additionalProperties: false } as const;
const Name = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
const Text = Type.String({ maxLength: 500 });
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) =>
  Type.Union([type, Type.Null()]);

export const MODES = ['active', 'suspended', 'unauthorised'] as const;
export const Mode = Type.Union(MODES.map((mode) => Type.Literal(mode)));
export type Mode = (typeof MODES)[number];

/** DSSE payload types. */
export const MODE_TYPE = 'application/vnd.vigie.mode+json';
export const RESUME_TYPE = 'application/vnd.vigie.resume+json';

/** Number of different keys that must sign to resume a suspended box. */
export const RESUME_SIGNATURES = 2;

/** Id of a suspension. A resume names the suspension that it ends. */
const SuspensionId = Type.String({ pattern: '^[0-9a-f]{16}$' });

/** File in the agent's state folder with the newest command `suspend`, for root, which verifies it again. */
export const SUSPEND_FILE = 'suspend.dsse.json';

const Installation = Type.Boolean({
  description: 'the authorisation is for installation: the box may analyse video, but no rule runs',
});

/** Payload signed on `vigie/<site>/<box>/mode` with the box's journal key. */
export const ModeStatement = Type.Object(
  {
    site: Name,
    box: Name,
    boot: Type.String({ maxLength: 64 }),
    time: Type.String({ ...Time, description: 'when this was signed' }),
    mode: Mode,
    since: Type.String({ ...Time, description: 'when this mode began, or the agent found it at its start' }),
    reason: nullable(Text),
    framesRead: Type.Integer({ minimum: 0, description: 'decoded since the start of the agent' }),
    packetsWatched: Type.Integer({
      minimum: 0,
      description: 'compressed pictures that were received since then and never decoded',
    }),
    order: nullable(Text),
    validUntil: nullable(Time),
    installation: Installation,
    suspension: nullable(SuspensionId),
  },
  strict,
);
export type ModeStatement = Static<typeof ModeStatement>;

/** Payload that the keys sign together. */
export const Resume = Type.Object(
  {
    site: Name,
    box: Name,
    suspension: SuspensionId,
    reason: Type.String({ minLength: 1, maxLength: 500 }),
    notBefore: Time,
    notAfter: Time,
  },
  strict,
);
export type Resume = Static<typeof Resume>;

/** Maximum size in bytes, so that the inner envelope fits into that of its command. */
export const RESUME_BYTES_MAX = COMMAND_BYTES_MAX / 4;

/** `args` of the command `suspend`. */
export const SuspendArgs = Type.Object({ reason: Type.String({ minLength: 1, maxLength: 500 }) }, strict);

/** Reply to `suspend` and `resume`. */
export const RestraintResult = Type.Object(
  {
    ...Type.Pick(ModeStatement, ['mode', 'since', 'reason', 'framesRead', 'packetsWatched', 'suspension'])
      .properties,
    recorded: Type.Optional(
      Type.Boolean({
        description: 'root has recorded the suspension too; absent if root keeps no record',
      }),
    ),
  },
  strict,
);

/** Reply to `reset-time`: the box's time for validity checks, before and after the command. */
export const TimeResetResult = Type.Object(
  { before: Type.String({ maxLength: 40 }), after: Type.String({ maxLength: 40 }) },
  strict,
);
export type TimeResetResult = Static<typeof TimeResetResult>;

/** `args` of the command `resume`: the envelope signed by the keys. */
export const ResumeArgs = Type.Object({ envelope: envelopeOf(RESUME_BYTES_MAX, RESUME_SIGNATURES) }, strict);

/** Status of each rule, running or not; part of the health report. */
export const RestraintReport = Type.Object(
  {
    since: Time,
    reason: nullable(Text),
    order: nullable(Text),
    validUntil: nullable(Time),
    installation: Installation,
    rules: Type.Array(
      Type.Object(
        {
          id: Name,
          state: Type.Union(
            (['active', 'shadow', 'unauthorised'] as const).map((state) => Type.Literal(state)),
          ),
          reason: nullable(Text),
          shadowed: Type.Integer({ minimum: 0, description: 'incidents that shadow mode has suppressed' }),
        },
        strict,
      ),
    ),
  },
  strict,
);
export type RestraintReport = Static<typeof RestraintReport>;

/** State that the agent writes to its state folder for the commands on the box. */
export const LocalMode = Type.Object(
  {
    pid: Type.Integer({ minimum: 1 }),
    statement: ModeStatement,
    /** Outcome of the last request to resume. */
    answer: nullable(Type.Object({ request: Type.String(), refused: nullable(Text) }, strict)),
  },
  strict,
);
export type LocalMode = Static<typeof LocalMode>;
