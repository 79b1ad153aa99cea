/** Defines the statistics of an interval (alerts, verdicts, precision, time to claim) and the shift report. */
import { type Static, Type } from '@sinclair/typebox';
import { AuditHead } from './audit.ts';
import { Incident, Precision } from './incident.ts';
import { Count, Name, Nullable, OneOf, strict, Text, Time } from './schema.ts';
import { Suppression } from './suppression.ts';
import { PATROL_ANSWERS, PATROL_CHARS_MAX } from './terms.ts';

export const STATISTICS_BY = ['rule', 'kind', 'box', 'site', 'hour', 'day'] as const;
export type StatisticsBy = (typeof STATISTICS_BY)[number];

export const Statistics = Type.Object(
  {
    from: Time,
    to: Time,
    timeZone: Text(64),
    rows: Type.Array(
      Type.Object(
        {
          key: Text(140, 'site/box/rule, kind, site/box, site, hour 00–23 or day'),
          ...Precision.properties,
          meanClaimS: Nullable(
            Type.Number({ description: 'time from the first event in the room to the first claim, in s' }),
          ),
          meanArrivalS: Nullable(
            Type.Number({ description: 'time from the dispatch of a patrol to its arrival, in s' }),
          ),
          suppressed: { ...Count, description: 'alerts that arrived while their rule was suppressed' },
        },
        strict,
      ),
    ),
    muted: Type.Array(
      Type.Object({ site: Name, box: Name, rule: Name, kind: Text(40), suppressed: Count, at: Time }, strict),
      { description: 'rules that reached their hourly alert limit, and the suppressed alerts' },
    ),
  },
  strict,
);
export type Statistics = Static<typeof Statistics>;

/** Open alerts of one cause: the same rule of the same box, in the same state and with the same owner. */
export const ShiftLine = Type.Object(
  {
    incident: { ...Incident, description: 'the newest of them' },
    count: Type.Integer({ minimum: 1 }),
    firstReceived: Time,
    lastReceived: Time,
  },
  strict,
);
export type ShiftLine = Static<typeof ShiftLine>;

/** A dispatch of a patrol, with the alert as it is now. */
export const Dispatched = Type.Object(
  {
    at: Time,
    account: Text(64),
    patrol: Nullable(Text(PATROL_CHARS_MAX, 'if one was named')),
    answer: Nullable(OneOf(PATROL_ANSWERS)),
    answerAt: Nullable({ ...Time, description: 'of the last dispatch of an alert' }),
    incident: Incident,
  },
  strict,
);
export type Dispatched = Static<typeof Dispatched>;

/** Alerts of a shift: `takenOver + received + reopened - closed - withdrawn = left`. */
const ShiftSums = {
  takenOver: { ...Count, description: 'alerts open at the beginning' },
  received: { ...Count, description: 'alerts that arrived; notices and conditions of boxes are none' },
  reopened: Count,
  closed: { ...Count, description: 'alerts closed by people: the sum of the verdicts' },
  verdicts: Type.Object({ confirmed: Count, 'false-alarm': Count, unclear: Count }, strict),
  withdrawn: { ...Count, description: 'alerts closed by the room because their box was revoked' },
  left: { ...Count, description: 'alerts open at the end' },
  dispatched: { ...Count, description: 'alerts of the shift that are dispatched now' },
  suppressed: { ...Count, description: 'alerts of the shift that a suppression keeps out of the queue now' },
};
const ShiftSumsOnly = Type.Object(ShiftSums, strict);
export type ShiftSums = Static<typeof ShiftSumsOnly>;

export const HandOver = Type.Object(
  {
    from: Time,
    to: Time,
    ...ShiftSums,
    claimsEnded: { ...Count, description: 'claims that expired' },
    open: Type.Array(ShiftLine, { description: 'alerts that wait or are claimed now' }),
    more: { ...Count, description: 'further ones' },
    dispatches: Type.Array(Dispatched, {
      description: 'of the interval, and earlier ones whose alert is still open',
    }),
    dispatchesMore: { ...Count, description: 'earlier ones that are not listed' },
    notes: Type.Array(
      Type.Object({ incident: Count, at: Time, account: Text(64), text: Text(1000) }, strict),
    ),
    notesMore: { ...Count, description: 'earlier ones that are not listed' },
    suppressions: Type.Array(Suppression, { description: 'those that began in the interval' }),
    camerasDown: Type.Array(
      Type.Object({ site: Name, box: Name, condition: Text(16), reasons: Type.Array(Text(40)) }, strict),
    ),
    camerasMore: { ...Count, description: 'cameras whose state is unknown' },
    stillsSeen: Count,
    record: AuditHead,
  },
  strict,
);
export type HandOver = Static<typeof HandOver>;
