/**
 * Stores the fingerprint of the authority's key that the box obeys, taken at its first use. A different key counts for
 * nothing until a person vouches for the box (vouch.ts).
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../base/atomic-file.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import { readForeign } from '../base/foreign-file.ts';
import { LATEST_TIME_FILE } from './latest-time.ts';
import { VOUCHING } from './mode-files.ts';

export const PIN_FILE = 'authority.json';
/** Root also reads the file, from a folder that belongs to the agent. */
const PIN_BYTES_MAX = 4096;

const KeyId = Type.String({ pattern: '^[0-9a-f]{64}$' });
const Pin = Type.Object(
  {
    version: Type.Literal(1),
    keyid: KeyId,
    /** Previous key; null at the first use. */
    before: Type.Union([KeyId, Type.Null()]),
    /** True if the journal holds it. */
    told: Type.Boolean(),
  },
  { additionalProperties: false },
);
export type Pin = Static<typeof Pin>;

/** Undefined before the first use. Throws AgentError `corrupt` for a file that is not a pin. */
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
 * Checks that a journal may be created: only if the box has never run, or if a person has just vouched for its present
 * state. Throws AgentError `corrupt`.
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
