/**
 * Unredacted still of an event as an age file (https://age-encryption.org/v1) that only the authority can open.
 * The brand can be given where the still is sealed (agent/vision/redact), where the link delivers it
 * (agent/contract/link.ts) and where it is read from disk (agent/archive/sealed.ts). A test bans the cast everywhere
 * else.
 */
import { type Static, Type } from '@sinclair/typebox';
import { CASE_ABOUT, CASE_CHARS_MAX } from './case.ts';
import { Time } from './time.ts';

const strict = { additionalProperties: false } as const;
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });

/** Recipient of a sealed still, as a public key of age (X25519, Bech32: 58 characters after `age1`). */
export const AgeRecipient = Type.String({ pattern: '^age1[02-9ac-hj-np-z]{58}$' });

/** First line of every age file. */
const AGE_FILE_START = new TextEncoder().encode('age-encryption.org/v1\n');

/**
 * Maximum size in bytes. In Base64 and with the rest of the reply it stays below 1 MB, the lowest limit of common
 * brokers.
 */
export const SEALED_BYTES_MAX = 700_000;

declare const sealed: unique symbol;

export interface SealedEvidence {
  /** The age file. */
  readonly bytes: Uint8Array;
  /** Hash of the age file, lower-case hex. */
  readonly sha256: string;
  /** Public keys that it was sealed to. */
  readonly recipients: readonly string[];
  readonly [sealed]: true;
}

/** Reference to it in an event. */
export const SealedNote = Type.Object(
  {
    sha256: Type.String({ ...Sha256, description: 'of the sealed file that the box holds' }),
    recipients: Type.Array(AgeRecipient, { minItems: 1, description: 'public keys of age that can open it' }),
  },
  strict,
);
export type SealedNote = Static<typeof SealedNote>;

/** Reports whether these bytes begin like an age file. */
export function isAgeFile(bytes: Uint8Array): boolean {
  return AGE_FILE_START.every((byte, i) => bytes[i] === byte);
}

/** Arguments of the command `unseal`. */
export const UnsealArgs = Type.Object(
  {
    case: Type.String({ minLength: 1, maxLength: CASE_CHARS_MAX, description: CASE_ABOUT }),
    reason: Type.String({ minLength: 1, maxLength: 200 }),
    event: Type.String({ pattern: '^[a-z0-9-]{1,64}$', description: 'id of the event' }),
  },
  strict,
);
export type UnsealArgs = Static<typeof UnsealArgs>;

export const UnsealResult = Type.Object(
  {
    event: UnsealArgs.properties.event,
    sha256: Sha256,
    bytes: Type.Integer({ minimum: 1, maximum: SEALED_BYTES_MAX }),
    file: Type.String({ description: 'the age file in Base64; only its recipients can open it' }),
  },
  strict,
);
export type UnsealResult = Static<typeof UnsealResult>;

/** Journal record of an unseal: requester, case, event, and whether there was anything to deliver. */
export const UnsealRecord = Type.Object(
  {
    record: Type.Literal('unseal'),
    at: Time,
    key: Type.String({ description: 'name of the key that signed' }),
    counter: Type.Integer(),
    case: Type.String(),
    reason: Type.String(),
    event: UnsealArgs.properties.event,
    sha256: Type.Union([Sha256, Type.Null()], {
      description: 'of the file to be handed out; null: there is none',
    }),
  },
  strict,
);
export type UnsealRecord = Static<typeof UnsealRecord>;
