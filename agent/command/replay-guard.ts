/**
 * The newest counter of each key that has ever commanded this box.
 *
 * INVARIANTS: a counter is on disk before its command is obeyed; nothing is ever removed, so that a key taken
 * out of the configuration and put back cannot be replayed.
 * LIMITS: KEYS_MAX keys. A file that cannot be read refuses every command.
 */
import { existsSync, readFileSync } from 'node:fs';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../base/atomic-file.ts';
import { messageOf } from '../base/errors.ts';
import { CommandRefused } from '../contract/command.ts';

const KEYS_MAX = 256;

const Stored = Type.Record(Type.String({ pattern: '^[0-9a-f]{64}$' }), Type.Integer({ minimum: 1 }), {
  additionalProperties: false,
});

export class ReplayGuard {
  readonly #file: string;
  #newest: Map<string, number> | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  /** Throws CommandRefused for a counter that is not above the newest, and where it cannot be kept. */
  use(keyid: string, counter: number): void {
    this.#newest ??= this.#read();
    const newest = this.#newest.get(keyid) ?? 0;
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
      writeAtomically(this.#file, JSON.stringify(Object.fromEntries(next)));
    } catch (error) {
      const message = `the counter cannot be kept (${messageOf(error)}); mend the disk of the box`;
      throw new CommandRefused('unavailable', message, { cause: error });
    }
    this.#newest = next;
  }

  #read(): Map<string, number> {
    if (!existsSync(this.#file)) return new Map();
    let stored: unknown;
    try {
      stored = JSON.parse(readFileSync(this.#file, 'utf8'));
    } catch (error) {
      throw this.#damaged(messageOf(error), error);
    }
    if (!Value.Check(Stored, stored)) throw this.#damaged('not counters by key');
    return new Map(Object.entries(stored));
  }

  #damaged(reason: string, cause?: unknown): CommandRefused {
    const message = `${this.#file} is damaged (${reason}); replace the keys in commands.keys and delete it`;
    return new CommandRefused('unavailable', message, { cause });
  }
}
