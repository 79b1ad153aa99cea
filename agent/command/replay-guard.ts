/**
 * The newest counter of each key that has ever commanded this box.
 *
 * INVARIANTS: a counter is on disk before its command is obeyed; nothing is ever removed, so that a key taken
 * out of the configuration and put back cannot be replayed. The journal has each command too: of the two the higher
 * counter holds, so that a file that was removed or put back obeys nothing twice.
 * LIMITS: KEYS_MAX keys. A file that cannot be read refuses every command, and so does a journal that cannot.
 */
import { existsSync, readFileSync } from 'node:fs';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../base/atomic-file.ts';
import { messageOf } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import { CommandRefused } from '../contract/command.ts';
import type { JournalEntry } from '../contract/journal.ts';

const KEYS_MAX = 256;

const Stored = Type.Record(Type.String({ pattern: '^[0-9a-f]{64}$' }), Type.Integer({ minimum: 1 }), {
  additionalProperties: false,
});

/** A command with the name and the fingerprint of its key. */
export type Used = Omit<Extract<JournalEntry, { type: 'command' }>, 'type'>;

export interface ReplayGuardOptions {
  readonly file: string;
  /** Counters by the fingerprint of the key; undefined while the journal cannot be read. */
  readonly journal: {
    readonly known: { readonly commands: ReadonlyMap<string, number> } | undefined;
    enter(entry: JournalEntry): void;
  };
}

export class ReplayGuard {
  readonly #options: ReplayGuardOptions;
  #newest: Map<string, number> | undefined;

  constructor(options: ReplayGuardOptions) {
    this.#options = options;
  }

  /** Throws CommandRefused for a counter that is not above the newest, and where it cannot be kept. */
  use({ op, key, keyid, counter }: Used): void {
    const { file, journal } = this.#options;
    if (journal.known === undefined) {
      throw new CommandRefused(
        'unavailable',
        'the journal of the box cannot be read, and with it what was obeyed',
      );
    }
    this.#newest ??= this.#read();
    const newest = Math.max(this.#newest.get(keyid) ?? 0, journal.known.commands.get(keyid) ?? 0);
    if (counter <= newest) {
      throw new CommandRefused(
        'replayed',
        `counter ${counter} is not above ${newest}, the newest of this key`,
      );
    }
    if (!this.#newest.has(keyid) && this.#newest.size >= KEYS_MAX) {
      throw new CommandRefused('unavailable', `more than ${KEYS_MAX} keys have commanded this box`);
    }
    const next = new Map(this.#newest).set(keyid, counter);
    try {
      writeAtomically(file, JSON.stringify(Object.fromEntries(next)));
    } catch (error) {
      const message = `the counter cannot be kept (${messageOf(error)}); mend the disk of the box`;
      throw new CommandRefused('unavailable', message, { cause: error });
    }
    this.#newest = next;
    journal.enter({ type: 'command', op, key, keyid, counter });
  }

  #read(): Map<string, number> {
    const { file } = this.#options;
    if (!existsSync(file)) return new Map();
    let stored: unknown;
    try {
      stored = jsonOf(readFileSync(file, 'utf8'));
    } catch (error) {
      throw this.#damaged(messageOf(error), error);
    }
    if (!Value.Check(Stored, stored)) throw this.#damaged('not counters by key');
    return new Map(Object.entries(stored));
  }

  #damaged(reason: string, cause?: unknown): CommandRefused {
    const message = `${this.#options.file} is damaged (${reason}); replace the keys in commands.keys and delete it`;
    return new CommandRefused('unavailable', message, { cause });
  }
}
