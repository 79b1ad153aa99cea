/**
 * Kinds of events with the fields of their `cause`. The published schema is generated from this table. It is keyed by
 * the kinds of rules (rule-config.ts) and of conditions (condition.ts), so the compiler finds a missing entry.
 */
import { type TObject, type TProperties, Type } from '@sinclair/typebox';
import { Remedy } from './accuracy.ts';
import { CONDITIONS, type ConditionKind, type ReminderCondition } from './condition.ts';
import { ConfigChange } from './config-change.ts';
import { PRESENT_AT_START, type Severity } from './event.ts';
import { XyxyNorm } from './geometry.ts';
import { INSTALLATION } from './installation.ts';
import { LabelSchema } from './label.ts';
import { type RuleKind, ruleSchema } from './rule-config.ts';
import { TIME_PATTERN } from './time.ts';
import { CHANGE_KINDS } from './update.ts';

const strict = { additionalProperties: false } as const;
const Seconds = (description: string) => Type.Number({ minimum: 0, description });
const Time = (description: string) => Type.String({ pattern: TIME_PATTERN, description });
const Reason = Type.String({ maxLength: 1000, description: 'one line for a person' });

/** Fields in the cause of every event. */
const COMMON = {
  durationS: Seconds('duration of the incident'),
  ended: Type.Optional(
    Type.String({ maxLength: 200, description: 'why it ended, where that was not in the street' }),
  ),
};

export type EventKindName = RuleKind | ConditionKind | typeof PRESENT_AT_START;

export interface EventKind {
  readonly kind: EventKindName;
  readonly title: string;
  readonly severities: readonly Severity[];
  /** `rule.params`: parameters of the rule. */
  readonly params: TObject;
  /** Fields besides COMMON. An incident resumed after a restart has only those of COMMON. */
  readonly cause: TObject;
}

const associatedTrack = Type.Object(
  { track: Type.Integer({ minimum: 1 }), label: LabelSchema },
  { ...strict, description: 'track next to it when it appeared; a number, not an identity' },
);

/** The changed place, for events that concern no track. */
const region = {
  associatedTrack,
  xyxyNorm: { ...XyxyNorm, description: 'position of the thing, [x1, y1, x2, y2] as ratios of the frame' },
  areaNorm: Type.Number({ minimum: 0, maximum: 1, description: 'its area as a ratio of the frame' }),
};

function cause(properties: TProperties): TObject {
  const optional = Object.entries(properties).map(([key, schema]) => [key, Type.Optional(schema)] as const);
  return Type.Object({ ...COMMON, ...Object.fromEntries(optional) }, strict);
}

type EventTerms = Omit<EventKind, 'kind'>;

function ruleTerms(kind: RuleKind, title: string, properties: TProperties): EventTerms {
  const all: TProperties = ruleSchema(kind).properties;
  const { id: _id, kind: _kind, purpose: _purpose, zone: _zone, line: _line, ...params } = all;
  return {
    title,
    severities: ['alert', 'notice'],
    params: Type.Object(params, strict),
    cause: cause(properties),
  };
}

/** Builds the terms of a condition. If the condition lists places, they come last in its cause. */
function conditionTerms(kind: ConditionKind, properties: TProperties, params: TProperties = {}): EventTerms {
  const { title, listsPlaces } = CONDITIONS[kind];
  return {
    title,
    severities: ['system'],
    params: Type.Object(params, strict),
    cause: cause(listsPlaces ? { ...properties, places } : properties),
  };
}

/**
 * Builds the terms of a task with a due date. Each listed day before it is an incident of its own, which ends when the
 * task is done.
 */
function endingTerms(kind: ReminderCondition, subjects: readonly string[]): EventTerms {
  const properties = {
    what: Type.Union(subjects.map((name) => Type.Literal(name))),
    notAfter: Time('the end'),
    daysLeft: Type.Integer({ minimum: 0, description: 'complete days; 0: less than a day, or expired' }),
  };
  const params = {
    daysBefore: Type.Union([30, 7, 1].map((days) => Type.Literal(days))),
    notAfter: Time('the end'),
  };
  return conditionTerms(kind, properties, params);
}

/** Places of a condition that makes the box blind. Its `durationS` is the time for which they were not watched. */
const places = Type.Array(Type.String({ pattern: '^[a-z0-9-]{1,32}$' }), {
  maxItems: 64,
  description: 'zones and lines with a rule, none of which is watched meanwhile',
});

const ChangedPlace = Type.Object(
  {
    ...ConfigChange.properties.places.items.properties,
    outlined: Type.Optional(
      Type.Boolean({
        description: 'of a zone or line: it lies inside an outline of the current authorisation',
      }),
    ),
  },
  strict,
);

const { id, change, by } = ConfigChange.properties.masksLost.items.properties;
/** Mask of which a part is no longer black. */
const LostMask = Type.Object({ id, change, by }, strict);

const unobservedS = Seconds(
  'of interruptions, if there were any: it was not seen whether the same object stayed',
);
const OfRule = Type.String({ description: 'the rule’s own kind' });

const TERMS: Readonly<Record<EventKindName, EventTerms>> = {
  'vehicle-in-pedestrian-zone': ruleTerms(
    'vehicle-in-pedestrian-zone',
    'a vehicle in a zone for pedestrians',
    {
      dwellS: Seconds('in the zone up to now, with interruptions'),
      unobservedS,
    },
  ),
  loitering: ruleTerms('loitering', 'a person stays in a zone', {
    dwellS: Seconds('observed in the zone up to now, without interruptions'),
    unobservedS,
  }),
  'line-crossing': ruleTerms('line-crossing', 'a line was crossed', {
    direction: Type.Union([Type.Literal('left'), Type.Literal('right')]),
  }),
  'wrong-way': ruleTerms('wrong-way', 'a vehicle goes the wrong way', {
    headingDeg: Type.Number({
      minimum: 0,
      maximum: 360,
      description: 'counter-clockwise in the picture, 0 = to the right',
    }),
    travel: Type.Number({
      minimum: 0,
      description: 'way gone against the direction, in heights of the frame',
    }),
  }),
  'crowd-gathering': ruleTerms('crowd-gathering', 'people gather and stay', {
    count: Type.Integer({ minimum: 0, description: 'people who stay' }),
    dwellS: Seconds('since that number of people has stayed'),
    peoplePerM2: Type.Number({ minimum: 0, description: 'of the zone’s ground, where that is known' }),
  }),
  'illegal-dumping': ruleTerms('illegal-dumping', 'something was left behind', {
    ...region,
    depositTime: Time('when it appeared'),
    leftTime: Time('when the associated track was last next to it'),
    unattendedS: Seconds('without anybody beside it'),
  }),
  graffiti: ruleTerms('graffiti', 'a wall was painted', {
    ...region,
    nearbyS: Seconds('the associated track was next to the place before it changed'),
    beforeTime: Time('the last still that shows the unchanged place'),
    changeTime: Time('when it began to change'),
    doneTime: Time('when it last grew'),
  }),
  'illegal-parking': ruleTerms('illegal-parking', 'a vehicle is parked where it must not be', {
    stationaryS: Seconds('at this place up to now, with interruptions'),
    unobservedS,
    presence: Type.Union([Type.Literal('seen'), Type.Literal('held'), Type.Literal('hidden')], {
      description:
        '`held`: not detected now, but the place looks the same; `hidden`: out of sight, usually behind something',
    }),
  }),
  'alert-limit': conditionTerms(
    'alert-limit',
    { suppressed: Type.Integer({ minimum: 0, description: 'reported at the end' }) },
    { kind: OfRule, alertsPerHour: Type.Integer({ minimum: 1 }) },
  ),
  'rule-unauthorised': conditionTerms('rule-unauthorised', { reason: Reason }, { kind: OfRule }),
  [PRESENT_AT_START]: {
    title:
      'a vehicle was already there when the analysis began: its arrival was not detected, and it raises no alert',
    severities: ['notice'],
    params: Type.Object({ kind: OfRule }, strict),
    cause: cause({
      stationaryS: Seconds('at this place during the analysis'),
      zone: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
      label: LabelSchema,
      xyxyNorm: { ...XyxyNorm, description: 'its position, [x1, y1, x2, y2] as ratios of the frame' },
    }),
  },
  suspended: conditionTerms('suspended', { reason: Reason }),
  unauthorised: conditionTerms('unauthorised', { reason: Reason }),
  'stream-lost': conditionTerms('stream-lost', { reason: Reason }),
  frozen: conditionTerms('frozen', {}),
  covered: conditionTerms('covered', {}),
  'too-dark': conditionTerms('too-dark', {}),
  moved: conditionTerms('moved', {}),
  'cannot-see': conditionTerms('cannot-see', {}),
  defocused: conditionTerms('defocused', {}),
  'detector-down': conditionTerms('detector-down', { reason: Reason }),
  'detector-fallback': conditionTerms('detector-fallback', { reason: Reason }),
  preview: conditionTerms('preview', {}),
  'config-refused': conditionTerms('config-refused', { reason: Reason }),
  'vision-failed': conditionTerms('vision-failed', { reason: Reason }),
  'decoder-crashloop': conditionTerms('decoder-crashloop', {
    ends: Type.Integer({ minimum: 0, description: 'ends of the vision process since the agent started' }),
  }),
  'load-shed': conditionTerms('load-shed', {
    reason: Type.Union([Type.Literal('heat'), Type.Literal('load')], {
      description: '`heat`: the board is hot; `load`: it is too slow for its camera',
    }),
    fps: Type.Number({ minimum: 0, description: 'analysed frames a second' }),
  }),
  'storage-readonly': conditionTerms('storage-readonly', { reason: Reason }),
  'journal-down': conditionTerms('journal-down', { reason: Reason }),
  'identity-conflict': conditionTerms('identity-conflict', { reason: Reason }),
  'certificate-expiring': endingTerms('certificate-expiring', ['certificate', 'ca']),
  'authorisation-expiring': endingTerms('authorisation-expiring', ['order']),
  'high-false-alarm-rate': conditionTerms(
    'high-false-alarm-rate',
    {
      xyxyNorm: { ...XyxyNorm, description: 'the spot' },
      falseAlarms: Type.Integer({ minimum: 0, description: 'false alarms there' }),
      confirmed: Type.Integer({ minimum: 0, description: 'confirmed alerts there' }),
    },
    { remedy: Remedy },
  ),
  installed: conditionTerms('installed', INSTALLATION),
  'config-changed': conditionTerms('config-changed', {
    lists: ConfigChange.properties.lists,
    changed: Type.Array(ChangedPlace, { maxItems: 64 }),
    more: Type.Integer({ minimum: 1, description: 'places that are not named here' }),
    reason: Reason,
  }),
  'mask-removed': conditionTerms('mask-removed', {
    masks: Type.Array(LostMask, { maxItems: 64 }),
    removed: Type.String({ maxLength: 300, description: 'names of the removed masks' }),
    smaller: Type.String({ maxLength: 300, description: 'names of the masks that cover less' }),
    by: Type.Union([by, Type.Literal('several')], { description: 'origin of the change' }),
    reason: Reason,
  }),
  'update-failed': conditionTerms('update-failed', {
    what: Type.Union(CHANGE_KINDS.map((kind) => Type.Literal(kind))),
    rollout: Type.String({ maxLength: 64 }),
    phase: Type.Union([Type.Literal('rolled-back'), Type.Literal('failed')]),
    reason: Reason,
  }),
  'certificate-refused': conditionTerms('certificate-refused', { reason: Reason }),
};

export const EVENT_KINDS: readonly EventKind[] = Object.keys(TERMS)
  .filter(isEventKind)
  .map((kind) => ({ kind, ...TERMS[kind] }));

function isEventKind(text: string): text is EventKindName {
  return Object.hasOwn(TERMS, text);
}
