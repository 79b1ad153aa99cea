/**
 * Every kind of event, with what its `cause` may say: the list from which the published schema is made.
 * A new rule or condition is published only when it stands here; the tests refuse what does not.
 */
import { type TObject, type TProperties, Type } from '@sinclair/typebox';
import { Remedy } from './accuracy.ts';
import { ConfigChange } from './config-change.ts';
import type { Severity } from './event.ts';
import { XyxyNorm } from './geometry.ts';
import { LabelSchema } from './label.ts';
import {
  CrowdGathering,
  Graffiti,
  IllegalDumping,
  IllegalParking,
  LineCrossing,
  Loitering,
  type RuleConfig,
  VehicleInPedestrianZone,
  WrongWay,
} from './rule-config.ts';
import { TIME_PATTERN } from './time.ts';
import { CHANGE_KINDS } from './update.ts';

const strict = { additionalProperties: false } as const;
const Seconds = (description: string) => Type.Number({ minimum: 0, description });
const Time = (description: string) => Type.String({ pattern: TIME_PATTERN, description });
const Reason = Type.String({ maxLength: 1000, description: 'one line for a person' });

/** In the cause of every event. */
const COMMON = {
  standingS: Seconds('how long the incident has stood'),
  ended: Type.Optional(
    Type.String({ maxLength: 200, description: 'why it ended, where that was not in the street' }),
  ),
};

/** Of the condition that a technician looks at redacted pictures: no fault. */
export const PREVIEW_CONDITION = 'preview';

export interface EventKind {
  readonly kind: string;
  readonly title: string;
  readonly severities: readonly Severity[];
  /** `rule.params`: what the rule was set to. */
  readonly params: TObject;
  /** Besides COMMON; an incident that was taken up after a restart has nothing but that. */
  readonly cause: TObject;
}

const carrier = Type.Object(
  { track: Type.Integer({ minimum: 1 }), label: LabelSchema },
  { ...strict, description: 'who was beside it when it appeared; a number, nobody’s name' },
);

/** Of the changed place, for events that are about no track. */
const region = {
  carrier,
  xyxyNorm: { ...XyxyNorm, description: 'where the thing is, [x1, y1, x2, y2] as shares of the frame' },
  areaNorm: Type.Number({ minimum: 0, maximum: 1, description: 'its area as a share of the frame' }),
};

function cause(properties: TProperties): TObject {
  const optional = Object.entries(properties).map(([key, schema]) => [key, Type.Optional(schema)] as const);
  return Type.Object({ ...COMMON, ...Object.fromEntries(optional) }, strict);
}

function ruleKind(schema: TObject, title: string, properties: TProperties): EventKind {
  const { id: _id, kind, purpose: _purpose, zone: _zone, line: _line, ...params } = schema.properties;
  return {
    kind: String(kind?.['const']),
    title,
    severities: ['alert', 'notice'],
    params: Type.Object(params, strict),
    cause: cause(properties),
  };
}

function conditionKind(kind: string, title: string, properties: TProperties): EventKind {
  const params = Type.Object({}, strict);
  return { kind, title, severities: ['system'], params, cause: cause(properties) };
}

/** What a person must do by a date; each of the days before it is an incident of its own, which ends when it is done. */
function reminderKind(kind: string, title: string, what: readonly string[]): EventKind {
  const params = {
    daysBefore: Type.Union([30, 7, 1].map((days) => Type.Literal(days))),
    notAfter: Time('the end'),
  };
  return {
    kind,
    title,
    severities: ['system'],
    params: Type.Object(params, strict),
    cause: cause({
      what: Type.Union(what.map((name) => Type.Literal(name))),
      notAfter: Time('the end'),
      daysLeft: Type.Integer({ minimum: 0, description: 'whole days; 0: hours, or it is over' }),
    }),
  };
}

/** Of a condition in which nothing is seen: its `standingS` is the time for which these were not watched. */
const places = Type.Array(Type.String({ pattern: '^[a-z0-9-]{1,32}$' }), {
  maxItems: 64,
  description: 'zones and lines with a rule, none of which is watched meanwhile',
});

const RULE_KINDS: Readonly<Record<RuleConfig['kind'], EventKind>> = {
  'vehicle-in-pedestrian-zone': ruleKind(VehicleInPedestrianZone, 'a vehicle in a zone for pedestrians', {
    stayedS: Seconds('in the zone so far'),
  }),
  loitering: ruleKind(Loitering, 'somebody stays in a zone', { stayedS: Seconds('in the zone so far') }),
  'line-crossing': ruleKind(LineCrossing, 'a line was crossed', {
    direction: Type.Union([Type.Literal('left'), Type.Literal('right')]),
  }),
  'wrong-way': ruleKind(WrongWay, 'a vehicle goes the wrong way', {
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
  'crowd-gathering': ruleKind(CrowdGathering, 'people gather and stay', {
    count: Type.Integer({ minimum: 0, description: 'people who stay' }),
    stayedS: Seconds('since so many have stayed'),
    peoplePerM2: Type.Number({ minimum: 0, description: 'of the zone’s ground, where that is known' }),
  }),
  'illegal-dumping': ruleKind(IllegalDumping, 'something was left behind', {
    ...region,
    depositTime: Time('when it appeared'),
    leftTime: Time('when the carrier was last beside it'),
    unattendedS: Seconds('without anybody beside it'),
  }),
  graffiti: ruleKind(Graffiti, 'a wall was painted', {
    ...region,
    besideS: Seconds('the carrier was beside the place before it changed'),
    beforeTime: Time('the last still that shows the place as it was'),
    changeTime: Time('when it began to change'),
    doneTime: Time('when it last grew'),
  }),
  'illegal-parking': ruleKind(IllegalParking, 'a vehicle stands where it must not', {
    stoodS: Seconds('at this place so far'),
    presence: Type.Union([Type.Literal('seen'), Type.Literal('held'), Type.Literal('hidden')], {
      description:
        '`held`: not detected now, but the place looks the same; `hidden`: out of sight, behind something as a rule',
    }),
  }),
};

const ChangedPlace = Type.Object(
  {
    ...ConfigChange.properties.places.items.properties,
    outlined: Type.Optional(
      Type.Boolean({
        description:
          'of a zone or line: an outline of the order that holds says where it may lie, and it lies there',
      }),
    ),
  },
  strict,
);

const { id, change } = ConfigChange.properties.masksLost.items.properties;
/** A mask of which a part is black no more. */
const LostMask = Type.Object({ id, change }, strict);

export const EVENT_KINDS: readonly EventKind[] = [
  ...Object.values(RULE_KINDS),
  {
    kind: 'alert-limit',
    title: 'a rule has used up its alerts of the hour; further ones are held back',
    severities: ['system'],
    params: Type.Object(
      {
        kind: Type.String({ description: 'the rule’s own kind' }),
        alertsPerHour: Type.Integer({ minimum: 1 }),
      },
      strict,
    ),
    cause: cause({ heldBack: Type.Integer({ minimum: 0, description: 'told at the end' }) }),
  },
  {
    kind: 'rule-unauthorised',
    title: 'a rule does not run: the authorisation does not name it so',
    severities: ['system'],
    params: Type.Object({ kind: Type.String({ description: 'the rule’s own kind' }) }, strict),
    cause: cause({ reason: Reason }),
  },
  {
    kind: 'present-at-start',
    title: 'a vehicle stood there when the box began to look: nobody saw it come, and it is no alert',
    severities: ['notice'],
    params: Type.Object({ kind: Type.String({ description: 'the rule’s own kind' }) }, strict),
    cause: cause({
      stoodS: Seconds('at this place while the box looked'),
      zone: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
      label: LabelSchema,
      xyxyNorm: { ...XyxyNorm, description: 'where it stands, [x1, y1, x2, y2] as shares of the frame' },
    }),
  },
  conditionKind('suspended', 'the box is suspended and does not look', { reason: Reason }),
  conditionKind('unauthorised', 'no authorisation holds: the box does not look', { reason: Reason }),
  conditionKind('stream-lost', 'the camera’s stream is lost', { reason: Reason, places }),
  conditionKind('frozen', 'the camera sends the same picture again and again', { places }),
  conditionKind('covered', 'the camera is covered, or its picture black', { places }),
  conditionKind('too-dark', 'it is too dark for the camera', { places }),
  conditionKind('moved', 'the camera shows another view than before', { places }),
  conditionKind(
    'cannot-see',
    'nothing can be seen: the picture is veiled, or what passes is not detected; with fewer places than the rules watch, only there',
    { places },
  ),
  conditionKind('defocused', 'the camera’s picture is far less sharp than before', {}),
  conditionKind('detector-down', 'the detector cannot run', { reason: Reason }),
  conditionKind('detector-fallback', 'the detector runs, but not the model or provider that is configured', {
    reason: Reason,
  }),
  conditionKind(PREVIEW_CONDITION, 'a technician at the box looks at redacted pictures of its camera', {}),
  conditionKind('config-refused', 'the configuration is refused; the last good one runs', {
    reason: Reason,
  }),
  conditionKind('vision-failed', 'vision ended by a fault of its own, or may not look, and is started anew', {
    reason: Reason,
    places,
  }),
  conditionKind('decoder-crashloop', 'vision ends again and again', {
    ends: Type.Integer({ minimum: 0, description: 'ends of the vision process since the agent started' }),
  }),
  conditionKind('load-shed', 'fewer frames are analysed than configured', {
    reason: Type.Union([Type.Literal('heat'), Type.Literal('load')], {
      description: '`heat`: the board is hot; `load`: it is too slow for its camera',
    }),
    fps: Type.Number({ minimum: 0, description: 'analysed frames a second' }),
  }),
  conditionKind('storage-readonly', 'the disk refuses writes; the outbox is in memory', {
    reason: Reason,
  }),
  conditionKind('journal-down', 'the tamper-evident journal cannot be written', { reason: Reason }),
  conditionKind('identity-conflict', 'another client uses the box’s name', { reason: Reason }),
  reminderKind('certificate-ends', 'a certificate of the broker’s connection ends soon', [
    'certificate',
    'ca',
  ]),
  reminderKind('order-ends', 'the order under which the box looks ends soon', ['order']),
  {
    kind: 'often-false',
    title: 'a rule was judged false again and again at one spot; a person should see to it',
    severities: ['system'],
    params: Type.Object({ remedy: Remedy }, strict),
    cause: cause({
      xyxyNorm: { ...XyxyNorm, description: 'the spot' },
      false: Type.Integer({ minimum: 0, description: 'alerts there that were judged false' }),
      true: Type.Integer({ minimum: 0, description: 'and true' }),
    }),
  },
  conditionKind('config-changed', 'the configuration is another than at the start before', {
    lists: ConfigChange.properties.lists,
    changed: Type.Array(ChangedPlace, { maxItems: 64 }),
    more: Type.Integer({ minimum: 1, description: 'places that are not named here' }),
    reason: Reason,
  }),
  conditionKind(
    'mask-removed',
    'a privacy mask of the configuration was removed or made smaller, and no mask of the order covers the same place',
    { masks: Type.Array(LostMask, { maxItems: 64 }), reason: Reason },
  ),
  conditionKind('update-failed', 'an update was given up or taken back; what ran before runs', {
    what: Type.Union(CHANGE_KINDS.map((kind) => Type.Literal(kind))),
    rollout: Type.String({ maxLength: 64 }),
    phase: Type.Union([Type.Literal('rolled-back'), Type.Literal('failed')]),
    reason: Reason,
  }),
  conditionKind('certificate', 'the broker’s or the box’s certificate is refused', { reason: Reason }),
];
