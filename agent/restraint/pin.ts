/**
 * Whose word the box obeys: the fingerprint of the authority's key, kept at its first use. Another key in its place
 * counts for nothing until a person vouches for the box (vouch.ts).
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../base/atomic-file.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import { readForeign } from '../base/foreign-file.ts';
import { LATEST_TIME_FILE } from './latest-time.ts';
import { VOUCHING } from './places.ts';

export const PIN_FILE = 'authority.json';
/** Root reads the file, too, in a folder that is the agent's. */
const PIN_BYTES_MAX = 4096;

const KeyId = Type.String({ pattern: '^[0-9a-f]{64}$' });
const Pin = Type.Object(
  {
    version: Type.Literal(1),
    keyid: KeyId,
    /** The one before; null at the first use. */
    before: Type.Union([KeyId, Type.Null()]),
    /** The journal has it. */
    told: Type.Boolean(),
  },
  { additionalProperties: false },
);
export type Pin = Static<typeof Pin>;

/** Undefined before the first use. Throws AgentError `corrupt` for a file that is no pin. */
export function readPin(file: string): Pin | undefined {
  const bytes = readForeign(file, PIN_BYTES_MAX);
  if (bytes === undefined) return undefined;
  let pin: unknown;
  try {
    pin = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw damaged(file, messageOf(error));
  }
  if (!Value.Check(Pin, pin)) throw damaged(file, 'not a pin of this version');
  return pin;
}

/** Durable on return; throws AgentError `unavailable`. */
export function writePin(file: string, pin: Omit<Pin, 'version'>): void {
  try {
    writeAtomically(file, JSON.stringify({ version: 1, ...pin }));
  } catch (error) {
    throw new AgentError('unavailable', `${file} cannot be written: ${messageOf(error)}`, error);
  }
}

function damaged(file: string, reason: string): AgentError {
  return new AgentError('corrupt', `${file} is damaged (${reason}); check authorityKey and ${VOUCHING}`);
}

/**
 * A journal may begin only where the box has never run, or where somebody has just vouched for it as it is.
 * Throws AgentError `corrupt`.
 */
export function assertFirstJournal(stateDir: string): void {
  const has = (name: string): boolean => existsSync(join(stateDir, name));
  const pin = readPin(join(stateDir, PIN_FILE));
  if (pin?.told === false || (pin === undefined && !has(LATEST_TIME_FILE))) return;
  throw new AgentError(
    'corrupt',
    `the journal of ${stateDir} is missing, though this box has run: put it back, or, to begin another, ${VOUCHING}`,
  );
}
