/** Enrolment of a box: the request on the card by which it gets its certificate, and the status it reports. */
import { type Static, Type } from '@sinclair/typebox';
import { Time } from './time.ts';

const strict = { additionalProperties: false } as const;
const Name = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });

/**
 * Stored on the boot partition beside vigie.yaml, then in /etc/vigie/enrol.json, owned by root, until the certificate
 * is issued.
 */
export const ENROL_FILE = 'enrol.json';
export const EnrolRequest = Type.Object(
  {
    version: Type.Literal(1),
    site: Name,
    box: Name,
    /**
     * https://host[:port] of the room's enrolment service. Its certificate is issued by the authority in pki/ca.crt.
     */
    url: Type.String({ pattern: '^https://[^\\s/]+$', maxLength: 512 }),
    /** One-time token; null if the room accepts the box by hand. */
    token: Type.Union([Type.String({ pattern: '^[A-Za-z0-9_-]{27,64}$' }), Type.Null()]),
  },
  strict,
);
export type EnrolRequest = Static<typeof EnrolRequest>;

/** World-readable on the box. */
export const ENROL_STATUS_FILE = '/run/vigie-enrol/status.json';
export const EnrolStatus = Type.Object(
  {
    /** `pending`: listed in the room and not yet decided. */
    state: Type.Union(
      (['waiting', 'pending', 'refused', 'enrolled'] as const).map((state) => Type.Literal(state)),
    ),
    reason: Type.Union([Type.String({ maxLength: 500 }), Type.Null()]),
    /** Expiry of the certificate. */
    notAfter: Type.Union([Time, Type.Null()]),
    time: Time,
  },
  strict,
);
export type EnrolStatus = Static<typeof EnrolStatus>;
