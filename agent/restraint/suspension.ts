/**
 * Whether the box is suspended, by the file of its state folder, which outlives restarts, updates and rollbacks.
 *
 * INVARIANTS: fail-closed: a file that cannot be read, or is of a form that this version does not know, means
 * suspended, and is left as it is until the suspension is ended; anybody who may write the file may suspend, only
 * the agent lets it go on. That the file may be an older one, put back, is for others to know: the journal, and root's
 * own record (controller.ts).
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
  /** The disk has refused it so far; it holds all the same. */
  #unsaved: SuspensionState | undefined;
  #seen: { readonly mark: string; readonly state: SuspensionState } | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  /** For a box that has never run: not suspended. Throws AgentError where it cannot be kept. */
  begin(atMs: number): void {
    this.#write({
      suspended: false,
      id: newSuspensionId(),
      since: iso(atMs),
      reason: 'first start',
      by: 'agent',
    });
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
      if (this.#seen?.mark !== mark) this.#seen = { mark, state: parsedSuspension(readFileSync(this.#file)) };
      return this.#seen.state;
    } catch (error) {
      this.#seen = undefined;
      return unreadableSuspension(this.#file, `${this.#file} cannot be read: ${messageOf(error)}`);
    }
  }

  /**
   * Durable on return; a box that is suspended already stays so as it was. Where it throws AgentError, it holds until
   * the end of this process and is written as soon as the disk lets it.
   */
  suspend(reason: string, by: string, atMs: number): SuspensionState {
    const before = this.read();
    // A file that is gone counts as suspended, too, but only where the box is known to have run.
    if (before.suspended && existsSync(this.#file)) return before;
    return this.hold({ suspended: true, id: newSuspensionId(), since: iso(atMs), reason, by });
  }

  /** The same for a suspension that is known from elsewhere. */
  hold(state: SuspensionState): SuspensionState {
    this.#unsaved = state;
    return this.#write(state);
  }

  /** For the agent, when the keys have signed. Durable on return; throws AgentError. */
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
