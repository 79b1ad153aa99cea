/**
 * Authorisation by which an authority allows one box to run its analysis.
 * It is a DSSE envelope (agent/orders/dsse.ts) with an ed25519 signature. The authority signs it off the box.
 * Without it, no analysis runs.
 */
import { type Static, Type } from '@sinclair/typebox';
import { Keyholder, MaskConfig } from './config.ts';
import { Time } from './time.ts';
import { TrackLogGrant } from './track-log.ts';

const strict = { additionalProperties: false } as const;
const Id = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
const Text = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, pattern: '^[^\\u0000-\\u001f\\u007f]+$', description });
const Days = (maximum: number) => Type.Integer({ minimum: 1, maximum });

/** The DSSE payload type. */
export const AUTHORISATION_TYPE = 'application/vnd.vigie.authorisation+json';

/**
 * Maximum size in bytes. With every list full and four digits per coordinate, about 400 kB are needed; a usual site
 * needs 2 kB.
 */
export const AUTHORISATION_BYTES_MAX = 524_288;

/** Maximum validity of an installation authorisation, in ms: one working day. */
export const INSTALLATION_MS_MAX = 86_400_000;

export const AuthorisedRule = Type.Object(
  {
    kind: Type.String({ pattern: '^[a-z-]{1,40}$', description: 'kind of the rule' }),
    zones: Type.Union([Type.Literal('all'), Type.Array(Id, { minItems: 1, maxItems: 128 })], {
      description: '`all`, or the ids of the zones and lines that it may watch',
    }),
    purpose: Text(64, 'the purpose, as the configuration of the box names it'),
    legalBasis: Text(300, 'the law, order or decree that this purpose is based on'),
    shadow: Type.Optional(
      Type.Boolean({ description: 'only count alerts that would have been raised: no event, no snapshot' }),
    ),
  },
  strict,
);
export type AuthorisedRule = Static<typeof AuthorisedRule>;

export const Outline = Type.Object(
  {
    id: { ...Id, description: 'the zone or line' },
    polygon: { ...MaskConfig.properties.polygon, description: 'where it must lie' },
  },
  { ...strict, description: 'a zone or line of this id counts only where it lies inside' },
);
export type Outline = Static<typeof Outline>;

export const Authorisation = Type.Object(
  {
    order: Text(100, 'number of the authorisation'),
    authority: Text(200, 'the public body that gives it'),
    site: Id,
    box: Id,
    camera: Text(
      1024,
      'camera that the box may analyse: `camera.source` as `vigie check` prints it, without user and password, and with digests of its keys',
    ),
    substream: Type.Optional(
      Text(1024, 'a second stream of the same camera, as its smaller one: it may be `camera.source` as well'),
    ),
    installation: Type.Optional(
      Type.Boolean({
        description:
          'an installation authorisation: the box may analyse video for at most 24 hours while it is installed, and no rule runs',
      }),
    ),
    rules: Type.Array(AuthorisedRule, {
      maxItems: 64,
      description: 'empty in an installation authorisation, and only there',
    }),
    outlines: Type.Optional(Type.Array(Outline, { maxItems: 128 })),
    masks: Type.Optional(
      Type.Array(MaskConfig, {
        maxItems: 64,
        description: 'black in every picture, whatever the configuration of the box says',
      }),
    ),
    tracks: Type.Optional({
      ...TrackLogGrant,
      description: 'allows a log of tracks and queries on it; without this, no tracks are stored',
    }),
    notBefore: Time,
    notAfter: Time,
    retention: Type.Object(
      { eventsDays: Days(366), snapshotsDays: Days(30), sealedDays: Days(30) },
      { ...strict, description: 'maximum retention periods, in days' },
    ),
    resumeKeys: Type.Array(Keyholder, {
      minItems: 2,
      maxItems: 16,
      description: 'keys of which two may sign the resume of a suspended box',
    }),
    ageRecipients: Type.Optional(
      Type.Array(Type.String({ pattern: '^age1[a-z0-9]{58}$' }), {
        minItems: 1,
        maxItems: 16,
        description: 'age keys to which unredacted evidence may be sealed; if empty, no evidence is sealed',
      }),
    ),
  },
  strict,
);
export type Authorisation = Static<typeof Authorisation>;
