/** Defines an incident: the combined events of one episode of a box, and the actions of people on it. */
import { type Static, Type } from '@sinclair/typebox';
import { EventObject, MOMENTS, Severity } from '../../../../agent/contract/event.ts';
import { VERDICTS } from '../../../../agent/contract/verdict.ts';
import { Count, Name, Nullable, OneOf, Ratio, strict, Text, Time } from './schema.ts';
import { Suppression } from './suppression.ts';
import {
  CLOSED_REASONS,
  NOTE_CHARS_MAX,
  NOTES_PAGE,
  PATROL_ANSWERS,
  PATROL_CHARS_MAX,
  STATES,
} from './terms.ts';

export const Incident = Type.Object(
  {
    no: Type.Integer({ minimum: 1 }),
    rev: {
      ...Count,
      description: 'increases with every change of any incident; the stream continues from it',
    },
    revision: {
      ...Count,
      description:
        'increases when a person acts, but not with a note; an action names the revision that the person saw',
    },
    site: Name,
    box: Name,
    episode: Text(64),
    severity: Severity,
    priority: Type.Integer({ minimum: 1, maximum: 3, description: '1 is the most urgent' }),
    kind: Text(40),
    rule: Name,
    place: Text(80, 'zone/<id>, line/<id> or camera'),
    startedAt: { ...Time, description: 'by the box’s clock; by the room’s clock if that is not credible' },
    endedAt: Nullable(Time),
    received: {
      ...Time,
      description: 'arrival of its first event by the room’s clock; ages are computed from it',
    },
    clockDoubt: Type.Boolean({
      description: 'the box’s clock is not synchronised, or differs from the room’s',
    }),
    objects: Type.Array(Type.Pick(EventObject, ['label', 'track'], strict), { maxItems: 8 }),
    cause: Type.Record(Type.String(), Type.Union([Text(300), Type.Number(), Type.Boolean()]), {
      description: 'numbers and short texts of the cause that the box reports',
    }),
    events: { ...Count, description: 'number of its events' },
    still: Nullable(Text(80, 'name of the picture for lists')),
    lastNote: Nullable(Type.Integer({ minimum: 1, description: 'number of its newest note' })),
    state: OneOf(STATES),
    claimedBy: Nullable(Text(64)),
    claimedUntil: Nullable(Time),
    dispatchedBy: Nullable(Text(64)),
    dispatchedAt: Nullable(Time),
    patrol: Nullable(Text(PATROL_CHARS_MAX, 'the dispatched patrol, if one was named')),
    patrolAnswer: Nullable(OneOf(PATROL_ANSWERS)),
    patrolAnswerAt: Nullable(Time),
    arrivedAt: Nullable({ ...Time, description: 'arrival of the patrol, as reported to the room' }),
    suppression: Nullable(
      Type.Integer({ minimum: 1, description: 'number of the suppression during which it arrived' }),
    ),
    isSuppressed: Type.Boolean({
      description: 'that suppression keeps it out of the queue, because no one has taken it yet',
    }),
    verdict: Nullable(OneOf(VERDICTS)),
    verdictAt: Nullable(Time),
    closedAt: Nullable(Time),
    closedReason: Nullable(OneOf(CLOSED_REASONS)),
    reopens: Nullable(Type.Integer({ minimum: 1, description: 'the entry that this one reopens' })),
  },
  { ...strict, $id: 'Incident' },
);
export type Incident = Static<typeof Incident>;

export const Still = Type.Object(
  {
    moment: OneOf(MOMENTS),
    name: Text(80),
    time: Time,
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    isStored: Type.Boolean({ description: 'the received file is the one that the event names' }),
  },
  strict,
);
export type Still = Static<typeof Still>;

export const Note = Type.Object(
  { no: Type.Integer({ minimum: 1 }), at: Time, account: Text(64), text: Text(NOTE_CHARS_MAX) },
  strict,
);
export type Note = Static<typeof Note>;

export const NotePage = Type.Object(
  {
    notes: Type.Array(Note, { maxItems: NOTES_PAGE, description: 'the newest, the oldest of them first' }),
    next: Nullable(Type.Integer({ description: '`before` of the page with earlier ones' })),
  },
  strict,
);
export type NotePage = Static<typeof NotePage>;

export const Precision = Type.Object(
  {
    alerts: Count,
    confirmed: Count,
    falseAlarms: Count,
    unclear: Count,
    share: Nullable({ ...Ratio, description: 'true / (true + false)' }),
    low: Nullable({ ...Ratio, description: 'Wilson score interval, 95 %' }),
    high: Nullable(Ratio),
  },
  strict,
);
export type Precision = Static<typeof Precision>;

export const IncidentDetail = Type.Object(
  {
    incident: Incident,
    stills: Type.Array(Still, { maxItems: 3 }),
    stillAbsent: Nullable(Text(200, 'reason reported by the box for a missing picture')),
    purpose: Nullable(Text(64)),
    legalBasis: Nullable(Text(300)),
    validUntil: Nullable(Time),
    timeZone: Nullable(Text(64, 'time zone of the site (IANA), in which its times of day are shown')),
    detectedObjects: Type.Array(EventObject, { maxItems: 64 }),
    location: Nullable(
      Type.Array(Type.Number(), {
        minItems: 4,
        maxItems: 4,
        description: '[x1, y1, x2, y2] as ratios of the frame',
      }),
    ),
    degraded: Type.Array(Text(40)),
    event: Nullable(Text(64, 'id of the first event, for a request for the sealed still')),
    sealed: Type.Boolean({ description: 'the box stores a still that only the authority can open' }),
    precision: {
      ...Precision,
      description: 'precision of this rule of this box, from the verdicts of the last 30 days',
    },
    notes: NotePage,
    nearby: Type.Array(Incident, {
      maxItems: 50,
      description: 'incidents of the same box, one hour before and after',
    }),
    nearbyMore: { ...Count, description: 'further incidents in these two hours' },
  },
  strict,
);
export type IncidentDetail = Static<typeof IncidentDetail>;

export const Queue = Type.Object(
  {
    rev: { ...Count, description: 'the stream continues from this number' },
    incidents: Type.Array(Incident, {
      maxItems: 2000,
      description: 'alerts that are not closed',
    }),
    more: { ...Count, description: 'further open alerts' },
    suppressions: Type.Array(Suppression, { description: 'those that run' }),
  },
  strict,
);
export type Queue = Static<typeof Queue>;

export const OpenCount = Type.Object(
  {
    rev: { ...Count, description: 'the number of the change up to which it holds' },
    count: { ...Count, description: 'open alerts, those beyond the list included' },
  },
  strict,
);
export type OpenCount = Static<typeof OpenCount>;
