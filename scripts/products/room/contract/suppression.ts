/** Defines a suppression: for one hour, new incidents of a rule or a camera stay out of the queue. */
import { type Static, Type } from '@sinclair/typebox';
import { Count, Name, Nullable, strict, Text, Time } from './schema.ts';
import { SUPPRESSION_REASON_CHARS } from './terms.ts';

const Reason = Text(SUPPRESSION_REASON_CHARS.max);

export const Suppression = Type.Object(
  {
    no: Type.Integer({ minimum: 1 }),
    site: Name,
    box: Name,
    rule: Nullable(Name),
    reason: Reason,
    account: Text(64, 'who suppresses'),
    startedAt: Time,
    until: { ...Time, description: 'end, if no one ends it earlier' },
    endedAt: Nullable(Time),
    endedBy: Nullable(Text(64, 'who ended it; null if its time was over')),
    incidents: { ...Count, description: 'incidents that arrived meanwhile and did not enter the queue' },
  },
  { ...strict, $id: 'Suppression' },
);
export type Suppression = Static<typeof Suppression>;
