/** Defines the routes of suppressions. */
import { type Static, Type } from '@sinclair/typebox';
import { No } from './action-routes.ts';
import type { Route } from './route.ts';
import { Name, strict, Time } from './schema.ts';
import { Suppression } from './suppression.ts';
import { SUPPRESSION_REASON_CHARS, SUPPRESSIONS_MAX } from './terms.ts';
import { Undo } from './undo.ts';

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

/** Suppression after an action. */
export const ActedSuppression = Type.Object(
  { ...Suppression.properties, undo: Undo },
  { ...strict, $id: 'ActedSuppression' },
);
export type ActedSuppression = Static<typeof ActedSuppression>;

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
    gives: ActedSuppression,
    refusals: [404, 409],
  },
  unsuppress: {
    method: 'POST',
    path: '/api/suppressions/:no/end',
    summary: 'end a suppression; its open incidents enter the queue',
    action: 'suppress',
    params: No,
    body: Type.Object({}, strict),
    gives: ActedSuppression,
  },
} as const satisfies Readonly<Record<string, Route>>;
