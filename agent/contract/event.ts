/** Published event: CloudEvents 1.0, structured JSON, QoS 1. */
import { type Static, Type } from '@sinclair/typebox';
import { DEGRADING } from './condition.ts';
import { XyxyNorm } from './geometry.ts';
import { ObjectLabel } from './label.ts';
import { Mode } from './mode.ts';
import { Redaction } from './redacted-jpeg.ts';
import { SealedNote } from './sealed-evidence.ts';
import { SiteClock } from './site-clock.ts';
import { Time } from './time.ts';

/** Name of docs/ref/events.schema.json. The number increases with each change that is incompatible for consumers. */
export const SCHEMA_ID = 'urn:vigie:schema:events:1';
/** `dataschema` of an event. CloudEvents defines it as the schema of `data`, which is in that file. */
export const EVENT_SCHEMA_URI = `${SCHEMA_ID}#/$defs/EventData` as const;
export const GAP_SCHEMA_URI = `${SCHEMA_ID}#/$defs/GapRecord` as const;
export const EVENT_CONTENT_TYPE = 'application/cloudevents+json; charset=utf-8';

const strict = { additionalProperties: false } as const;
const Id = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });

export const Severity = Type.Union([Type.Literal('alert'), Type.Literal('notice'), Type.Literal('system')]);
export type Severity = Static<typeof Severity>;

/** A vehicle was already in a watched place when analysis began. It is reported once and is not an alert. */
export const PRESENT_AT_START = 'present-at-start';

export const Phase = Type.Union([Type.Literal('start'), Type.Literal('update'), Type.Literal('end')]);
export type Phase = Static<typeof Phase>;

export const EventObject = Type.Object(
  {
    track: Type.Integer({
      minimum: 1,
      description: 'number of the object while it is in view; it identifies no one',
    }),
    label: ObjectLabel,
    score: Type.Number({
      minimum: 0,
      maximum: 1,
      description: 'the highest score of the detector up to now',
    }),
    xyxyNorm: {
      ...XyxyNorm,
      description: '[x1, y1, x2, y2] as ratios of the frame, from its top left corner',
    },
    since: Type.String({ ...Time, description: 'when the object was first seen' }),
  },
  strict,
);
export type EventObject = Static<typeof EventObject>;

const Snapshot = Type.Object(
  {
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$', description: 'of the JPEG file, in hexadecimal' }),
    bytes: Type.Integer({ minimum: 1, description: 'size of the JPEG file, in bytes' }),
    time: Type.String({ ...Time, description: 'when it was taken' }),
    redaction: Redaction,
  },
  strict,
);

/** Moment that a picture shows; `snapshot` is that of the event. */
export const MOMENTS = ['snapshot', 'before', 'deposit'] as const;
export type Moment = (typeof MOMENTS)[number];

export const Evidence = Type.Object(
  {
    snapshot: Type.Optional(Snapshot),
    before: Type.Optional(Snapshot),
    deposit: Type.Optional(Snapshot),
    sealed: Type.Optional(SealedNote),
    absent: Type.Optional(Type.String({ description: 'why a picture is missing', maxLength: 200 })),
  },
  strict,
);
export type Evidence = Static<typeof Evidence>;

/** Zone or line that the rule watches. */
const Place = Type.Object(
  {
    id: { ...Id, description: 'as in the configuration' },
    purpose: Type.String({ minLength: 1, maxLength: 64, description: 'as in the configuration' }),
    legalBasis: Type.Optional(
      Type.String({ maxLength: 300, description: 'as the authorisation says; absent in replay' }),
    ),
    validUntil: Type.Optional(Type.String({ ...Time, description: 'end of the authorisation' })),
  },
  strict,
);

export const EventData = Type.Object(
  {
    episode: Type.String({
      minLength: 1,
      maxLength: 64,
      description: 'the incident, unique within `source`: the same for start, update and end',
    }),
    phase: {
      ...Phase,
      description: 'one start, an update each minute while it lasts, one end',
    },
    severity: Severity,
    rule: Type.Object(
      {
        id: { ...Id, description: 'as in the configuration; `built-in` for reports of the box about itself' },
        kind: Type.String({ pattern: '^[a-z-]{1,40}$', description: 'the kind in `type`' }),
        params: Type.Record(Type.String(), Type.Unknown()),
      },
      strict,
    ),
    zone: Type.Optional(Place),
    line: Type.Optional(Place),
    objects: Type.Array(EventObject, { maxItems: 64 }),
    cause: Type.Record(Type.String(), Type.Unknown()),
    evidence: Evidence,
    clock: SiteClock,
    degraded: Type.Optional(
      Type.Array(Type.Union(DEGRADING.map((condition) => Type.Literal(condition))), {
        minItems: 1,
        maxItems: DEGRADING.length,
        description:
          'conditions that impaired the camera’s view and make the event less reliable; absent if there were none',
      }),
    ),
    mode: Mode,
  },
  strict,
);
export type EventData = Static<typeof EventData>;

export const VigieEvent = Type.Object(
  {
    specversion: Type.Literal('1.0'),
    id: Type.String({
      minLength: 1,
      maxLength: 64,
      description: 'unique within `source`, also over restarts; consumers de-duplicate by both',
    }),
    source: Type.String({
      pattern: '^urn:vigie:[a-z0-9-]{1,32}:[a-z0-9-]{1,32}$',
      description: 'urn:vigie:<site>:<box>',
    }),
    type: Type.String({ pattern: '^vigie\\.[a-z-]{1,40}\\.v1$', description: 'vigie.<kind>.v1' }),
    subject: Type.String({ minLength: 1, maxLength: 80, description: 'zone/<id>, line/<id> or camera' }),
    time: { ...Time, description: 'when it happened, by the box’s clock' },
    datacontenttype: Type.Literal('application/json'),
    dataschema: Type.Literal(EVENT_SCHEMA_URI),
    sequence: Type.String({
      pattern: '^\\d{10}$',
      description: 'the user property `seq` with leading zeros: per box, epoch and lane, gapless',
    }),
    data: EventData,
  },
  strict,
);
export type VigieEvent = Static<typeof VigieEvent>;
