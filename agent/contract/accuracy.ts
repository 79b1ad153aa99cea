/** How right the box was: by the room's verdicts (precision), and by scenes acted before it (recall). */
import { type Static, Type } from '@sinclair/typebox';
import { PointNorm, XyxyNorm } from './geometry.ts';
import { Time } from './time.ts';

const strict = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0 });
const Share = Type.Number({ minimum: 0, maximum: 1 });
const Unknown = Type.Union([Share, Type.Null()]);

/** The last walk test of a rule: scenes acted at the foot of the pole, and how many of them raised it. */
export const WalkResult = Type.Object(
  {
    time: Time,
    passes: Type.Integer({ minimum: 1 }),
    seen: Count,
    /** Passes that the technician threw away and did again. */
    repeated: Count,
    recall: Share,
    /** Wilson score interval, 95 %. */
    low: Share,
    high: Share,
  },
  strict,
);
export type WalkResult = Static<typeof WalkResult>;

export const RuleAccuracy = Type.Object(
  {
    rule: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
    /** Alerts raised within the retention; those of walk tests are left out, here and in the verdicts. */
    alerts: Count,
    true: Count,
    false: Count,
    unclear: Count,
    /** true / (true + false); null while there is neither. */
    precision: Unknown,
    low: Unknown,
    high: Unknown,
    walk: Type.Union([WalkResult, Type.Null()]),
  },
  strict,
);
export type RuleAccuracy = Static<typeof RuleAccuracy>;

/** Verdicts from the room since the start of the process. */
export const VerdictCounts = Type.Object(
  {
    taken: Count,
    /** Not newer than what is on record: a repetition, or overtaken. */
    repeated: Count,
    /** On an alert that this box never raised, or whose retention has ended. */
    unknown: Count,
    malformed: Count,
  },
  strict,
);
export type VerdictCounts = Static<typeof VerdictCounts>;

export const AccuracyReport = Type.Object(
  {
    rules: Type.Array(RuleAccuracy, { maxItems: 64 }),
    verdicts: VerdictCounts,
    /** Alerts and verdicts that the disk refused since the start of the process. */
    unrecorded: Count,
    /** Alerts that left the record at the end of their retention, and before it for want of room. */
    expired: Count,
    dropped: Count,
  },
  strict,
);
export type AccuracyReport = Static<typeof AccuracyReport>;

/** What would spare the room the same false alert again; a person decides, and writes it into the configuration. */
export const Remedy = Type.Union([
  Type.Object(
    {
      kind: Type.Literal('threshold'),
      parameter: Type.Union([Type.Literal('scoreMin'), Type.Literal('minAreaNorm')]),
      value: { ...Share, description: 'above what all false alerts had there, below what all true ones had' },
    },
    strict,
  ),
  Type.Object(
    {
      kind: Type.Literal('mask'),
      polygon: Type.Array(PointNorm, { minItems: 4, maxItems: 4, description: 'black from then on' }),
    },
    strict,
  ),
  Type.Object({ kind: Type.Literal('redraw', { description: 'neither would do: the zone itself' }) }, strict),
]);

/** A spot at which a rule was wrong again and again. */
export const Proposal = Type.Object(
  {
    rule: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
    xyxyNorm: { ...XyxyNorm, description: 'the spot' },
    false: { ...Count, description: 'alerts of the rule there that were judged false' },
    true: { ...Count, description: 'and true' },
    remedy: Remedy,
  },
  strict,
);
export type Proposal = Static<typeof Proposal>;
