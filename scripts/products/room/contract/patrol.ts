/** Defines the patrols that the city lists, and their answers to a dispatch. Names are functions, never persons. */
import { type Static, Type } from '@sinclair/typebox';
import type { Route } from './route.ts';
import { Count, Name, OneOf, strict, Text } from './schema.ts';
import { PATROL_ANSWERS, PATROL_CHARS_MAX } from './terms.ts';
import { ActedIncident } from './undo.ts';

export const PatrolName = Type.String({ minLength: 1, maxLength: PATROL_CHARS_MAX });

export const Patrols = Type.Object(
  {
    patrols: Type.Array(
      Type.Object(
        {
          name: Text(PATROL_CHARS_MAX),
          sites: Type.Array(Name, { description: 'sites that it serves; empty for all' }),
          open: { ...Count, description: 'open incidents to which it is dispatched and has not declined' },
        },
        strict,
      ),
    ),
  },
  strict,
);
export type Patrols = Static<typeof Patrols>;

const PatrolReport = Type.Object({ patrol: PatrolName, answer: OneOf(PATROL_ANSWERS) }, strict);

export const PATROL_ROUTES = {
  patrol: {
    method: 'POST',
    path: '/api/incidents/:no/patrol',
    summary:
      'report what the dispatched patrol has answered, or its arrival; the same report again has no effect',
    action: 'dispatch',
    params: Type.Object({ no: Type.Integer({ minimum: 1 }) }, strict),
    body: PatrolReport,
    gives: ActedIncident,
  },
  patrols: {
    method: 'GET',
    path: '/api/patrols',
    summary: 'patrols that can be dispatched, as the room lists them',
    action: 'see-incidents',
    gives: Patrols,
  },
} as const satisfies Readonly<Record<string, Route>>;
