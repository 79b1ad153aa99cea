/**
 * Code that pairs a phone with a box. It is printed once on the label; the card and the box hold only its hash. Its 16
 * letters of Crockford's base32 (no I, L, O, U) are 80 random bits.
 */
import { createHash, randomBytes } from 'node:crypto';
import { type Static, Type } from '@sinclair/typebox';
import { Time } from './time.ts';

const strict = { additionalProperties: false } as const;
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const LETTERS = 16;

/** File on the boot partition beside vigie.yaml, then below /etc/vigie/page, where the page's user reads it. */
export const SETUP_CODE_FILE = 'setup-code.json';
export const SetupCode = Type.Object(
  {
    version: Type.Literal(1),
    /** Hash of the code's letters, without dashes. */
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    made: Time,
  },
  strict,
);
export type SetupCode = Static<typeof SetupCode>;

/** Returns a new code as printed: XXXX-XXXX-XXXX-XXXX. */
export function makeSetupCode(): string {
  const letters = [...randomBytes(LETTERS)].map((byte) => ALPHABET[byte % ALPHABET.length]).join('');
  return letters.match(/.{4}/g)?.join('-') ?? letters;
}

/**
 * Returns the hash of a code as typed by a person: lower case, O for 0, I and L for 1, with or without dashes and
 * blanks.
 */
export function setupCodeHash(typed: string): string {
  const letters = typed.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  return createHash('sha256').update(letters).digest('hex');
}
