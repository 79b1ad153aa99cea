/**
 * Stores the newest counter of each key that has ever commanded this box.
 *
 * INVARIANTS:
 * - A counter is on disk before its command is executed.
 * - Counters are never deleted, so that a key removed from the configuration and added again cannot be replayed.
 * - The journal records each command too, and the higher of the two counters applies. A deleted or restored file
 *   therefore causes no repeated execution.
 *
 * LIMITS: KEYS_MAX keys. An unreadable file or journal refuses every command (fail closed).
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

/** Command with the name and the fingerprint of its key. */
export type UsedCommand = Omit<Extract<JournalEntry, { type: 'command' }>, 'type'>;

export interface ReplayGuardOptions {
  readonly file: string;
  /** Counters by the fingerprint of the key; undefined while the journal cannot be read. */
  readonly journal: {
    readonly recordedState: { readonly commands: ReadonlyMap<string, number> } | undefined;
    enter(entry: JournalEntry): void;
  };
}

export class ReplayGuard {
  readonly #options: ReplayGuardOptions;
  #newest: Map<string, number> | undefined;

  constructor(options: ReplayGuardOptions) {
    this.#options = options;
  }

  /**
   * Records the use of a counter.
   * @throws CommandRefused if the counter is not above the newest one, or cannot be stored
   */
  use({ op, key, keyid, counter }: UsedCommand): void {
    const { file, journal } = this.#options;
    if (journal.recordedState === undefined) {
      throw new CommandRefused(
        'unavailable',
        'the journal of the box cannot be read, so executed commands are unknown',
      );
    }
    this.#newest ??= this.#read();
    const newest = Math.max(this.#newest.get(keyid) ?? 0, journal.recordedState.commands.get(keyid) ?? 0);
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
      const message = `the counter cannot be stored (${messageOf(error)}); repair the disk of the box`;
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
