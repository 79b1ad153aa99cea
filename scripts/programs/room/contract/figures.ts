/** Defines the statistics of an interval (alerts, verdicts, precision, time to claim) and the shift report. */
import { type Static, Type } from '@sinclair/typebox';
import { AuditHead } from './audit.ts';
import { Incident, Precision } from './incident.ts';
import { Count, Name, Nullable, strict, Text, Time } from './schema.ts';

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
            Type.Number({ description: 'from the room’s first event to the first claim, s' }),
          ),
        },
        strict,
      ),
    ),
    muted: Type.Array(
      Type.Object({ site: Name, box: Name, rule: Name, kind: Text(40), suppressed: Count, at: Time }, strict),
      { description: 'rules that had used up their alerts of the hour, and what was held back' },
    ),
  },
  strict,
);
export type Statistics = Static<typeof Statistics>;

export const HandOver = Type.Object(
  {
    from: Time,
    to: Time,
    received: Count,
    closed: { ...Count, description: 'by people' },
    withdrawn: { ...Count, description: 'closed by the room, since their box was revoked' },
    verdicts: Type.Object({ confirmed: Count, 'false-alarm': Count, unclear: Count }, strict),
    /** Incidents left to the next shift. */
    open: Type.Array(Incident),
    dispatched: Type.Array(Incident),
    more: { ...Count, description: 'open and dispatched ones beyond these' },
    notes: Type.Array(
      Type.Object({ incident: Count, at: Time, account: Text(64), text: Text(1000) }, strict),
    ),
    camerasDown: Type.Array(
      Type.Object({ site: Name, box: Name, condition: Text(16), reasons: Type.Array(Text(40)) }, strict),
    ),
    camerasMore: { ...Count, description: 'cameras of which is not known here whether they are down' },
    stillsSeen: Count,
    record: AuditHead,
  },
  strict,
);
export type HandOver = Static<typeof HandOver>;
