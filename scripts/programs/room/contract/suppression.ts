/** Defines a suppression: for one hour, new incidents of a rule or a camera stay out of the queue. */
import { type Static, Type } from '@sinclair/typebox';
import type { Route } from './route.ts';
import { Count, Name, Nullable, strict, Text, Time } from './schema.ts';
import { SUPPRESSION_REASON_CHARS, SUPPRESSIONS_MAX } from './terms.ts';

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

const Suppressions = Type.Object(
  {
    now: Time,
    suppressions: Type.Array(Suppression, { maxItems: SUPPRESSIONS_MAX, description: 'those that run' }),
  },
  strict,
);

/** Subject and reason. Without a rule, the whole camera is suppressed. */
const SuppressionRequest = Type.Object(
  {
    site: Name,
    box: Name,
    rule: Type.Optional(Name),
    reason: Type.String({
      minLength: SUPPRESSION_REASON_CHARS.min,
      maxLength: SUPPRESSION_REASON_CHARS.max,
    }),
  },
  strict,
);

export const SUPPRESSION_ROUTES = {
  suppressions: {
    method: 'GET',
    path: '/api/suppressions',
    summary: 'suppressions that run',
    action: 'see-incidents',
    gives: Suppressions,
  },
  suppress: {
    method: 'POST',
    path: '/api/suppressions',
    summary: 'keep new incidents of a rule or a camera out of the queue for an hour; never priority 1',
    action: 'suppress',
    body: SuppressionRequest,
    gives: Suppression,
  },
  unsuppress: {
    method: 'POST',
    path: '/api/suppressions/:no/end',
    summary: 'end a suppression; its open incidents enter the queue',
    action: 'suppress',
    params: Type.Object({ no: Type.Integer({ minimum: 1 }) }, strict),
    body: Type.Object({}, strict),
    gives: Suppression,
  },
} as const satisfies Readonly<Record<string, Route>>;
