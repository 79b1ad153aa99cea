/**
 * File of the suspension in the state folder, which persists across restarts, updates and rollbacks.
 *
 * INVARIANTS:
 * - Fails closed: a file that is unreadable, or has a form unknown to this version, means suspended. It is left
 *   unchanged until the suspension ends.
 * - Anyone who may write the file may suspend; only the agent ends a suspension.
 * - This module cannot detect a restored older file. The journal and root's own record do (controller.ts).
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { writeAtomically } from '../base/atomic-file.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import {
  newSuspensionId,
  parsedSuspension,
  type SuspensionState,
  suspensionText,
  unreadableSuspension,
} from '../orders/suspension.ts';

export class Suspension {
  readonly #file: string;
  /** Suspension that the disk has not accepted yet; it still holds. */
  #unsaved: SuspensionState | undefined;
  #cache: { readonly mark: string; readonly state: SuspensionState } | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  /** Writes "not suspended" for a box that has never run. Throws AgentError if it cannot be stored. */
  begin(atMs: number): void {
    this.#write({
      suspended: false,
      id: newSuspensionId(),
      since: iso(atMs),
      reason: 'first start',
      by: 'agent',
    });
  }

  /**
   * Returns the present state of the file, which is read again only when it has changed. Never throws, whatever the
   * disk holds.
   */
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
      if (this.#cache?.mark !== mark)
        this.#cache = { mark, state: parsedSuspension(readFileSync(this.#file)) };
      return this.#cache.state;
    } catch (error) {
      this.#cache = undefined;
      return unreadableSuspension(this.#file, `${this.#file} cannot be read: ${messageOf(error)}`);
    }
  }

  /**
   * Suspends the box; an existing suspension stays unchanged. Durable on return. If it throws AgentError, the
   * suspension holds until the end of this process and is written as soon as the disk accepts it.
   */
  suspend(reason: string, by: string, atMs: number): SuspensionState {
    const before = this.read();
    // A missing file also counts as suspended, but only if the box is known to have run.
    if (before.suspended && existsSync(this.#file)) return before;
    return this.hold({ suspended: true, id: newSuspensionId(), since: iso(atMs), reason, by });
  }

  /** Stores a suspension that is known from another record, with the same guarantees. */
  hold(state: SuspensionState): SuspensionState {
    this.#unsaved = state;
    return this.#write(state);
  }

  /** Ends the suspension, after the keys have signed. Durable on return; throws AgentError. */
  resume(reason: string, by: string, atMs: number): SuspensionState {
    return this.#write({ suspended: false, id: newSuspensionId(), since: iso(atMs), reason, by });
  }

  #write(state: SuspensionState): SuspensionState {
    try {
      writeAtomically(this.#file, suspensionText(state));
    } catch (error) {
      throw new AgentError('unavailable', `${this.#file} cannot be written: ${messageOf(error)}`, error);
    }
    this.#unsaved = undefined;
    return state;
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
