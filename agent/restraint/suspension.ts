/**
 * Whether the box is suspended: a file that outlives restarts, updates and rollbacks.
 *
 * INVARIANTS: fail-closed: a file that cannot be read, or is of a form that this version does not know, means
 * suspended, and is left as it is until the suspension is ended; anybody who may write the file may suspend, only
 * the agent lets it go on.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../base/atomic-file.ts';
import { AgentError, messageOf } from '../base/errors.ts';

export const SUSPENSION_FILE = 'suspension.json';

const VERSION = 1;
const Stored = Type.Object(
  {
    version: Type.Literal(VERSION),
    suspended: Type.Boolean(),
    id: Type.String({ pattern: '^[0-9a-f]{16}$' }),
    since: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$' }),
    reason: Type.String({ maxLength: 500 }),
    by: Type.String({ maxLength: 100 }),
  },
  { additionalProperties: false },
);

export interface SuspensionState {
  readonly suspended: boolean;
  /** Of this suspension. */
  readonly id: string;
  /** Null where the file does not tell. */
  readonly since: string | null;
  readonly reason: string;
  readonly by: string;
}

export class Suspension {
  readonly #file: string;
  /** The disk has refused it so far; it holds all the same. */
  #unsaved: SuspensionState | undefined;
  #seen: { readonly mark: string; readonly state: SuspensionState } | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  /** For a box that has never run: not suspended. Throws AgentError where it cannot be kept. */
  begin(atMs: number): void {
    this.#write({ suspended: false, id: newId(), since: iso(atMs), reason: 'first start', by: 'agent' });
  }

  /** What the file says now; read again only when it has changed. Never throws for what the disk holds. */
  read(): SuspensionState {
    try {
      if (this.#unsaved !== undefined) this.#write(this.#unsaved);
    } catch (error) {
      if (!(error instanceof AgentError) || this.#unsaved === undefined) throw error;
      return this.#unsaved;
    }
    try {
      const { mtimeNs, size, ino } = statSync(this.#file, { bigint: true });
      const mark = `${mtimeNs} ${size} ${ino}`;
      if (this.#seen?.mark !== mark) this.#seen = { mark, state: parsed(readFileSync(this.#file)) };
      return this.#seen.state;
    } catch (error) {
      this.#seen = undefined;
      return broken(this.#file, `${this.#file} cannot be read: ${messageOf(error)}`);
    }
  }

  /** Durable on return; a box that is suspended already stays so as it was. Where it throws AgentError, it holds until the end of this process and is written as soon as the disk lets it. */
  suspend(reason: string, by: string, atMs: number): SuspensionState {
    const before = this.read();
    // A file that is gone counts as suspended, too, but only where the box is known to have run.
    if (before.suspended && existsSync(this.#file)) return before;
    this.#unsaved = { suspended: true, id: newId(), since: iso(atMs), reason, by };
    return this.#write(this.#unsaved);
  }

  /** For the agent, when the keys have signed. Durable on return; throws AgentError. */
  resume(reason: string, by: string, atMs: number): SuspensionState {
    return this.#write({ suspended: false, id: newId(), since: iso(atMs), reason, by });
  }

  #write(state: SuspensionState): SuspensionState {
    try {
      writeAtomically(this.#file, JSON.stringify({ version: VERSION, ...state }));
    } catch (error) {
      throw new AgentError('unavailable', `${this.#file} cannot be written: ${messageOf(error)}`, error);
    }
    this.#unsaved = undefined;
    return state;
  }
}

function parsed(bytes: Buffer): SuspensionState {
  const what = `${SUSPENSION_FILE} of the box`;
  let stored: unknown;
  try {
    stored = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    return broken(bytes, `${what} is damaged (${messageOf(error)})`);
  }
  if (Value.Check(Stored, stored)) {
    const { version: _version, ...state } = stored;
    return state;
  }
  const version: unknown =
    stored === null || typeof stored !== 'object' ? undefined : Reflect.get(stored, 'version');
  const other = typeof version === 'number' && version !== VERSION;
  return broken(bytes, other ? `${what} is of version ${version}, unknown here` : `${what} is damaged`);
}

/** Suspended; the id follows from what is there, so that one resume fits one state. */
function broken(from: string | Buffer, reason: string): SuspensionState {
  const id = createHash('sha256').update(from).digest('hex').slice(0, 16);
  return { suspended: true, id, since: null, reason: reason.slice(0, 500), by: 'agent' };
}

function newId(): string {
  return randomBytes(8).toString('hex');
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
