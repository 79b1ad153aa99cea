/** How a box gets its certificate: what lies on the card for it, and what the box says of how far it is. */
import { type Static, Type } from '@sinclair/typebox';
import { Time } from './time.ts';

const strict = { additionalProperties: false } as const;
const Name = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });

/** On the boot partition beside vigie.yaml; then /etc/vigie/enrol.json, root's, until the certificate is there. */
export const ENROL_FILE = 'enrol.json';
export const EnrolRequest = Type.Object(
  {
    version: Type.Literal(1),
    site: Name,
    box: Name,
    /** https://host[:port] of the room's enrolment; its certificate is of the authority in pki/ca.crt. */
    url: Type.String({ pattern: '^https://[^\\s/]+$', maxLength: 512 }),
    /** One-time; null: the room accepts the box by hand. */
    token: Type.Union([Type.String({ pattern: '^[A-Za-z0-9_-]{27,64}$' }), Type.Null()]),
  },
  strict,
);
export type EnrolRequest = Static<typeof EnrolRequest>;

/** For everybody on the box to read. */
export const ENROL_STATUS_FILE = '/run/vigie-enrol/status.json';
export const EnrolStatus = Type.Object(
  {
    /** `pending`: the room has it on its list and has not decided. */
    state: Type.Union(
      (['waiting', 'pending', 'refused', 'enrolled'] as const).map((state) => Type.Literal(state)),
    ),
    reason: Type.Union([Type.String({ maxLength: 500 }), Type.Null()]),
    /** When the certificate ends. */
    notAfter: Type.Union([Time, Type.Null()]),
    time: Time,
  },
  strict,
);
export type EnrolStatus = Static<typeof EnrolStatus>;
