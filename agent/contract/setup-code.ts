/**
 * The code by which a phone is paired with a box: on the label, once; on the card and on the box only its hash.
 * 16 letters of Crockford's base32 (no I, L, O, U) are 80 random bits.
 */
import { createHash, randomBytes } from 'node:crypto';
import { type Static, Type } from '@sinclair/typebox';
import { Time } from './time.ts';

const strict = { additionalProperties: false } as const;
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const LETTERS = 16;

/** On the boot partition beside vigie.yaml, then below /etc/vigie/page, for the page's user to read. */
export const SETUP_CODE_FILE = 'setup-code.json';
export const SetupCode = Type.Object(
  {
    version: Type.Literal(1),
    /** Of the code's letters, without dashes. */
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    made: Time,
  },
  strict,
);
export type SetupCode = Static<typeof SetupCode>;

/** As it is printed: XXXX-XXXX-XXXX-XXXX. */
export function makeSetupCode(): string {
  const letters = [...randomBytes(LETTERS)].map((byte) => ALPHABET[byte % ALPHABET.length]).join('');
  return letters.match(/.{4}/g)?.join('-') ?? letters;
}

/** Of a code as a person types it: small letters, O for 0, I and L for 1, with or without dashes and blanks. */
export function setupCodeHash(typed: string): string {
  const letters = typed.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  return createHash('sha256').update(letters).digest('hex');
}
