/**
 * Reads and writes the file that states whether the box is suspended. The agent has one in its state folder. In an
 * installed package, root has another that the agent cannot write (restraint-folder.ts).
 *
 * INVARIANT: fails closed. A file that is unreadable, or has a form unknown to this version, means suspended.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { messageOf } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import { Time } from '../contract/time.ts';

export const SUSPENSION_FILE = 'suspension.json';

const VERSION = 1;
const Stored = Type.Object(
  {
    version: Type.Literal(VERSION),
    suspended: Type.Boolean(),
    id: Type.String({ pattern: '^[0-9a-f]{16}$' }),
    since: Time,
    reason: Type.String({ maxLength: 500 }),
    by: Type.String({ maxLength: 100 }),
  },
  { additionalProperties: false },
);

export interface SuspensionState {
  readonly suspended: boolean;
  /** Id of this suspension. */
  readonly id: string;
  /** Null if the file does not state it. */
  readonly since: string | null;
  readonly reason: string;
  readonly by: string;
}

/** Returns a random id that is unique to one suspension. */
export function newSuspensionId(): string {
  return randomBytes(8).toString('hex');
}

/** Returns the state in the file, or undefined if there is no file. Never throws, whatever the disk holds. */
export function readSuspension(file: string): SuspensionState | undefined {
  if (!existsSync(file)) return undefined;
  try {
    return parsedSuspension(readFileSync(file));
  } catch (error) {
    return unreadableSuspension(file, `${file} cannot be read: ${messageOf(error)}`);
  }
}

export function parsedSuspension(bytes: Buffer): SuspensionState {
  const subject = `${SUSPENSION_FILE} of the box`;
  const stored = jsonOf(bytes.toString('utf8'));
  if (Value.Check(Stored, stored)) {
    const { version: _version, ...state } = stored;
    return state;
  }
  const version: unknown =
    stored === null || typeof stored !== 'object' ? undefined : Reflect.get(stored, 'version');
  const other = typeof version === 'number' && version !== VERSION;
  return unreadableSuspension(
    bytes,
    other ? `${subject} is of version ${version}, unknown here` : `${subject} is damaged`,
  );
}

/** Returns a suspended state. Its id follows from `from`, so that one resume command fits one state. */
export function unreadableSuspension(from: string | Buffer, reason: string): SuspensionState {
  const id = createHash('sha256').update(from).digest('hex').slice(0, 16);
  return { suspended: true, id, since: null, reason: reason.slice(0, 500), by: 'agent' };
}

export function suspensionText(state: SuspensionState): string {
  return JSON.stringify({ version: VERSION, ...state });
}
