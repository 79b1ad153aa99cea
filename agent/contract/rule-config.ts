/** Configuration parameters of every kind of rule. */
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { AgentError } from '../base/errors.ts';
import { id, strict } from './config-fields.ts';
import { UNKNOWN } from './label.ts';

const WatchedZone = id('id of the zone that is watched');
const VehicleLabel = Type.Union(['car', 'truck', 'bus', 'motorcycle'].map((label) => Type.Literal(label)));
const VehicleClasses = Type.Array(VehicleLabel, {
  minItems: 1,
  default: ['car', 'truck', 'bus', 'motorcycle'],
  description: 'labels that count',
});
const StreetLabel = Type.Union(
  ['person', 'bicycle', 'car', 'motorcycle', 'bus', 'truck', 'dog'].map((label) => Type.Literal(label)),
);

function rule<K extends string, P extends Record<string, TSchema>>(kind: K, parameters: P) {
  return Type.Object(
    {
      id: id('name of the rule'),
      kind: Type.Literal(kind, { title: 'chooses the rule' }),
      purpose: Type.String({
        minLength: 1,
        maxLength: 64,
        description: 'the purpose for which this rule may run; `evaluation` is for replay only',
      }),
      ...parameters,
    },
    strict,
  );
}

const Day = Type.Union(
  (['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun', 'holiday'] as const).map((day) => Type.Literal(day)),
);
const TimeOfDay = Type.String({
  pattern: '^([01]\\d|2[0-3]):[0-5]\\d$|^24:00$',
  description: 'HH:MM, site time',
});

export const ScheduleSpan = Type.Object(
  { days: Type.Array(Day, { minItems: 1 }), from: TimeOfDay, to: TimeOfDay },
  strict,
);
export type ScheduleSpan = Static<typeof ScheduleSpan>;

const Schedule = Type.Optional(
  Type.Array(ScheduleSpan, {
    minItems: 1,
    maxItems: 32,
    description: 'when the rule is on; absent = always. `holiday` = the dates in `holidays`',
  }),
);

const ScoreMin = Type.Optional(
  Type.Number({
    minimum: 0,
    maximum: 1,
    description:
      'least score that the detector must have given an object once for it to count; absent: as the rule has it. Verdicts may teach a higher one (`vigie accuracy`)',
  }),
);

const afterS = (seconds: number, description: string) =>
  Type.Number({ minimum: 0, maximum: 86_400, default: seconds, description });

export const VehicleInPedestrianZone = rule('vehicle-in-pedestrian-zone', {
  zone: WatchedZone,
  classes: VehicleClasses,
  afterS: afterS(2, 'seconds a vehicle must have been in the zone'),
  scoreMin: ScoreMin,
  schedule: Schedule,
});
export type VehicleInPedestrianZone = Static<typeof VehicleInPedestrianZone>;

export const Loitering = rule('loitering', {
  zone: WatchedZone,
  classes: Type.Array(StreetLabel, { minItems: 1, default: ['person'], description: 'labels that count' }),
  afterS: afterS(120, 'seconds a person must have stayed in the zone'),
  scoreMin: ScoreMin,
});
export type Loitering = Static<typeof Loitering>;

export const LineCrossing = rule('line-crossing', {
  line: id('id of the line that is watched'),
  classes: Type.Array(Type.Union([...StreetLabel.anyOf, Type.Literal(UNKNOWN)]), {
    minItems: 1,
    default: ['person', 'bicycle', 'car', 'motorcycle', 'bus', 'truck'],
    description:
      'labels that count; `unknown` is an object with the same motion that the detector cannot classify, for example at night',
  }),
  direction: Type.Union([Type.Literal('both'), Type.Literal('left'), Type.Literal('right')], {
    default: 'both',
    description: 'side towards which the line is crossed, seen from `from` to `to`',
  }),
  scoreMin: ScoreMin,
});
export type LineCrossing = Static<typeof LineCrossing>;

export const IllegalParking = rule('illegal-parking', {
  zone: WatchedZone,
  classes: VehicleClasses,
  afterS: afterS(60, 'seconds a vehicle must have been stationary in the zone'),
  moveTolerance: Type.Number({
    minimum: 0.05,
    maximum: 1,
    default: 0.25,
    description: 'how far it may move and still count as stationary, in sizes of its box',
  }),
  scoreMin: ScoreMin,
  schedule: Schedule,
});
export type IllegalParking = Static<typeof IllegalParking>;

export const WrongWay = rule('wrong-way', {
  zone: WatchedZone,
  classes: VehicleClasses,
  directionDeg: Type.Number({
    minimum: 0,
    maximum: 360,
    description: 'the right way, degrees counter-clockwise in the picture: 0 = to the right, 90 = up',
  }),
  toleranceDeg: Type.Number({
    minimum: 1,
    maximum: 90,
    default: 60,
    description: 'how far a heading may lie from the opposite of directionDeg and still be the wrong way',
  }),
  minTravel: Type.Number({
    minimum: 0.01,
    maximum: 1,
    default: 0.1,
    description: 'way to be travelled, in heights of the frame',
  }),
  scoreMin: ScoreMin,
});
export type WrongWay = Static<typeof WrongWay>;

export const CrowdGathering = rule('crowd-gathering', {
  zone: WatchedZone,
  minCount: Type.Integer({ minimum: 2, maximum: 500, default: 10, description: 'people who stay' }),
  afterS: afterS(20, 'seconds that this number of people must have stayed'),
});
export type CrowdGathering = Static<typeof CrowdGathering>;

export const IllegalDumping = rule('illegal-dumping', {
  zone: WatchedZone,
  afterS: afterS(30, 'seconds a thing must have been unattended'),
  minAreaNorm: Type.Number({
    minimum: 0.0001,
    maximum: 1,
    default: 0.0005,
    description: 'minimum size of the thing, as a ratio of the frame',
  }),
});
export type IllegalDumping = Static<typeof IllegalDumping>;

export const Graffiti = rule('graffiti', {
  zone: id('id of the zone that is watched: a wall'),
  dwellS: afterS(5, 'seconds a person must have been next to the changed place'),
  persistS: afterS(30, 'seconds the change must have lasted'),
});
export type Graffiti = Static<typeof Graffiti>;

export const RULE_SCHEMAS = [
  VehicleInPedestrianZone,
  Loitering,
  LineCrossing,
  WrongWay,
  CrowdGathering,
  IllegalDumping,
  Graffiti,
  IllegalParking,
] as const;
export const RuleConfig = Type.Union([...RULE_SCHEMAS]);
export type RuleConfig = Static<typeof RuleConfig>;

/**
 * Kinds of rules. Code that must handle every kind has a table keyed by `RuleKind`, so the compiler reports it when
 * RULE_SCHEMAS grows.
 */
export type RuleKind = RuleConfig['kind'];
export const RULE_KINDS: readonly RuleKind[] = RULE_SCHEMAS.map(({ properties }) => properties.kind.const);

export type RuleSchema = (typeof RULE_SCHEMAS)[number];

export function isRuleKind(text: string): text is RuleKind {
  return RULE_KINDS.some((kind) => kind === text);
}

export function ruleSchema(kind: RuleKind): RuleSchema {
  const schema = RULE_SCHEMAS.find(({ properties }) => properties.kind.const === kind);
  if (schema === undefined) throw new AgentError('bug', `${kind}: RULE_SCHEMAS lacks this kind`);
  return schema;
}
