/** Defines the session of a logged-in person, the list of sessions, and the login. */
import { type Static, Type } from '@sinclair/typebox';
import { ROLES } from './roles.ts';
import { Count, OneOf, strict, Text, Time } from './schema.ts';

export const Session = Type.Object(
  {
    user: Text(64),
    role: OneOf(ROLES),
    ends: { ...Time, description: 'latest end; ends earlier without use' },
    now: { ...Time, description: 'room’s clock, from which ages are computed' },
    timeZone: Text(64, 'of the room, IANA'),
    people: Type.Array(Text(64), {
      description: 'people to whom an incident can be reassigned; for supervisors',
    }),
    signer: Type.Boolean({ description: 'searches and sealed stills can be requested' }),
    plan: Type.Boolean({ description: 'a map is configured' }),
    demo: Type.Boolean({ description: 'accounts without a password, on this machine only' }),
  },
  { ...strict, $id: 'Session' },
);
export type Session = Static<typeof Session>;

/** Logged-in people, by account. */
export const Present = Type.Object(
  {
    now: Time,
    people: Type.Array(
      Type.Object(
        {
          user: Text(64),
          role: OneOf(ROLES),
          sessions: Count,
          startedAt: { ...Time, description: 'start of the oldest session' },
          lastUsedAt: {
            ...Time,
            description: 'time of the last activity in any session, to the minute',
          },
        },
        strict,
      ),
      { maxItems: 1000 },
    ),
  },
  strict,
);
export type Present = Static<typeof Present>;

/** Login methods, readable without a session. */
export const Login = Type.Object(
  {
    method: OneOf(['oidc', 'local'] as const),
    accounts: Type.Array(Type.Object({ name: Text(64), role: OneOf(ROLES) }, strict), {
      description: 'accounts of a demonstration on loopback; empty with OIDC',
    }),
  },
  strict,
);
export type Login = Static<typeof Login>;
