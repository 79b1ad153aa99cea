/** Accuracy of the box: precision from the control room's verdicts, and recall from walk tests. */
import { type Static, Type } from '@sinclair/typebox';
import { PointNorm, XyxyNorm } from './geometry.ts';
import { Time } from './time.ts';

const strict = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0 });
const Ratio = Type.Number({ minimum: 0, maximum: 1 });
const Unknown = Type.Union([Ratio, Type.Null()]);

/** Result of the last walk test of a rule: the staged scenes, and the number of them that raised an alert. */
export const WalkResult = Type.Object(
  {
    time: Time,
    passes: Type.Integer({ minimum: 1 }),
    seen: Count,
    /** Passes that the technician discarded and repeated. */
    repeated: Count,
    recall: Ratio,
    /** Wilson score interval, 95 %. */
    low: Ratio,
    high: Ratio,
  },
  strict,
);
export type WalkResult = Static<typeof WalkResult>;

export const RuleAccuracy = Type.Object(
  {
    rule: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
    /** Alerts raised within the retention period. Alerts and verdicts of walk tests are not counted. */
    alerts: Count,
    confirmed: Count,
    falseAlarms: Count,
    unclear: Count,
    /** true / (true + false); null without any such verdict. */
    precision: Unknown,
    low: Unknown,
    high: Unknown,
    walk: Type.Union([WalkResult, Type.Null()]),
  },
  strict,
);
export type RuleAccuracy = Static<typeof RuleAccuracy>;

/** Verdicts received from the room since the start of the process. */
export const VerdictCounts = Type.Object(
  {
    taken: Count,
    /** Not newer than the recorded verdict: repeated, or overtaken by a later one. */
    repeated: Count,
    /** Verdicts on alerts that this box never raised or whose retention has ended. */
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
    /** Alerts and verdicts that could not be written to disk since the start of the process. */
    unrecorded: Count,
    /** Alerts removed at the end of their retention (`expired`), or earlier for lack of space (`dropped`). */
    expired: Count,
    dropped: Count,
  },
  strict,
);
export type AccuracyReport = Static<typeof AccuracyReport>;

/** Change that would avoid the same false alert in future. A person decides, and edits the configuration. */
export const Remedy = Type.Union([
  Type.Object(
    {
      kind: Type.Literal('threshold'),
      parameter: Type.Union([Type.Literal('scoreMin'), Type.Literal('minAreaNorm')]),
      value: {
        ...Ratio,
        description: 'above the values of all false alarms there, below those of all confirmed alerts',
      },
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

/** Spot at which a rule was repeatedly wrong. */
export const Proposal = Type.Object(
  {
    rule: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
    xyxyNorm: { ...XyxyNorm, description: 'the spot' },
    falseAlarms: { ...Count, description: 'false alarms of the rule there' },
    confirmed: { ...Count, description: 'confirmed alerts of the rule there' },
    remedy: Remedy,
  },
  strict,
);
export type Proposal = Static<typeof Proposal>;
