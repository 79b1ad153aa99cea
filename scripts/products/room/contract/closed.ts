/** Defines the list of closed incidents. */
import { type Static, Type } from '@sinclair/typebox';
import { Incident } from './incident.ts';
import { AskedTime, Name, Nullable, OneOf, strict, Text } from './schema.ts';

export const ClosedQuery = Type.Object(
  {
    from: Type.Optional({ ...AskedTime, description: 'closed at this time or later' }),
    to: Type.Optional({ ...AskedTime, description: 'closed before this time' }),
    site: Type.Optional(Name),
    box: Type.Optional(Name),
    kind: Type.Optional(Text(40)),
    verdict: Type.Optional(OneOf(['confirmed', 'false-alarm', 'unclear', 'none'] as const)),
    closedBy: Type.Optional(Text(64, 'account that gave the verdict; an operator may name only itself')),
    cursor: Type.Optional(Text(80)),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
  },
  strict,
);
export type ClosedQuery = Static<typeof ClosedQuery>;

export const ClosedIncident = Type.Object(
  {
    ...Incident.properties,
    closedBy: Nullable(
      Text(64, 'account that gave the verdict; an operator sees only its own, null for the others'),
    ),
    reopenedAs: Nullable(Type.Integer({ minimum: 1, description: 'the entry that reopens this one' })),
  },
  { ...strict, $id: 'ClosedIncident' },
);
export type ClosedIncident = Static<typeof ClosedIncident>;

export const ClosedPage = Type.Object(
  { incidents: Type.Array(ClosedIncident, { maxItems: 500 }), next: Nullable(Text(80)) },
  strict,
);
export type ClosedPage = Static<typeof ClosedPage>;
