/**
 * What an authority allows one box to do: a DSSE envelope (envelope.ts in agent/restraint) with ed25519, signed by
 * the authority's key off the box. Analysis runs under it and not without it.
 */
import { type Static, Type } from '@sinclair/typebox';
import { CommandKey } from './config.ts';

const strict = { additionalProperties: false } as const;
const Id = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
const Time = Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$' });
const Text = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, pattern: '^[^\\u0000-\\u001f\\u007f]+$', description });
const Days = (maximum: number) => Type.Integer({ minimum: 1, maximum });

/** The DSSE payload type. */
export const AUTHORISATION_TYPE = 'application/vnd.vigie.authorisation+json';

/** With every list full some 100 kB would do; an order of a usual site has 2. */
export const AUTHORISATION_BYTES_MAX = 131_072;

export const AuthorisedRule = Type.Object(
  {
    kind: Type.String({ pattern: '^[a-z-]{1,40}$', description: 'kind of the rule' }),
    zones: Type.Union([Type.Literal('all'), Type.Array(Id, { minItems: 1, maxItems: 128 })], {
      description: '`all`, or the ids of the zones and lines that it may watch',
    }),
    purpose: Text(64, 'the purpose, as the configuration of the box names it'),
    legalBasis: Text(300, 'the law, order or decree that this purpose rests on'),
    shadow: Type.Optional(
      Type.Boolean({ description: 'only count what would have been raised: no event, no snapshot' }),
    ),
  },
  strict,
);
export type AuthorisedRule = Static<typeof AuthorisedRule>;

export const ResumeKey = Type.Object(
  { name: Id, publicKey: CommandKey.properties.publicKey },
  { ...strict, description: 'whose signature counts when a suspended box is to go on' },
);

export const Authorisation = Type.Object(
  {
    order: Text(100, 'number of the order'),
    authority: Text(200, 'the public body that gives it'),
    site: Id,
    box: Id,
    camera: Text(1024, 'what the box looks at: `camera.source` without user and password'),
    rules: Type.Array(AuthorisedRule, { minItems: 1, maxItems: 64 }),
    notBefore: Time,
    notAfter: Time,
    retention: Type.Object(
      { eventsDays: Days(366), snapshotsDays: Days(30), sealedDays: Days(30) },
      { ...strict, description: 'the longest times that anything may be kept' },
    ),
    resumeKeys: Type.Array(ResumeKey, { minItems: 2, maxItems: 16 }),
    ageRecipients: Type.Optional(
      Type.Array(Type.String({ pattern: '^age1[a-z0-9]{58}$' }), {
        minItems: 1,
        maxItems: 16,
        description: 'age keys to which unredacted evidence may be sealed; none: nothing is sealed',
      }),
    ),
  },
  strict,
);
export type Authorisation = Static<typeof Authorisation>;

/** The source of a camera as an order names it: without user, password and query. */
export function cameraAddress(source: string): string {
  const [, scheme, host = '', path = ''] = /^(rtsps?:\/\/)(?:[^/]*@)?([^/?#]*)([^?#]*)/.exec(source) ?? [];
  if (scheme === undefined) return source;
  // Cheap cameras take the login in the path: /user=admin_password=…
  return `${scheme}${host}${path.replace(/\/?(?:user|pass\w{0,16}|pwd|token)=.*$/is, '')}`;
}
