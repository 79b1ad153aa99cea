/**
 * Combines all records of a suspension: the file of the state folder, the journal and, in an installed package, root's
 * record. The agent's user can restore the first two from an older copy.
 *
 * INVARIANTS:
 * - The box is suspended as soon as one record states so.
 * - A file that contradicts the others is corrected, and the reason says so.
 * - The end of a suspension is in the journal; root accepts it only with the signatures.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { AgentError, rethrowBug } from '../base/errors.ts';
import type { JournalEntry } from '../contract/journal.ts';
import { SUSPEND_FILE } from '../contract/mode.ts';
import { writeForRoot } from '../orders/for-root.ts';
import { SUSPENSION_FILE, type SuspensionState } from '../orders/suspension.ts';
import type { RootRecord } from './root-record.ts';
import { Suspension } from './suspension.ts';

const REASON_MAX = 500;

export interface SuspensionRecordsOptions {
  readonly stateDir: string;
  readonly clock: Pick<Clock, 'wallMs'>;
  /** Undefined in a plain run. */
  readonly record: RootRecord | undefined;
  readonly journal: {
    readonly writable: boolean;
    readonly recordedState:
      | {
          readonly suspension: Omit<SuspensionState, 'suspended'> | undefined;
          readonly authority: string | undefined;
        }
      | undefined;
    enter(entry: JournalEntry): void;
    enterSurely(entry: JournalEntry): void;
  };
  /** If true, nothing is corrected, because another program is reading. */
  readonly readOnly?: boolean;
  /** Called when a file could not be written. */
  onFailed(reason: string): void;
}

export class SuspensionRecords {
  readonly #options: SuspensionRecordsOptions;
  readonly #path: string;
  readonly #file: Suspension;

  constructor(options: SuspensionRecordsOptions) {
    this.#options = options;
    this.#path = join(options.stateDir, SUSPENSION_FILE);
    this.#file = new Suspension(this.#path);
  }

  /** Starts a box that has never run as not suspended. `hasRun`: whether other files of the box exist. */
  beginIfFirst(hasRun: boolean): void {
    const { journal, record, clock } = this.#options;
    if (existsSync(this.#path) || hasRun || record?.folder.suspension() !== undefined) return;
    // While the journal cannot be read, this is unknown.
    if (journal.recordedState === undefined || journal.recordedState.authority !== undefined) return;
    this.#trying(() => this.#file.begin(clock.wallMs()));
  }

  state(): SuspensionState {
    const root = this.#options.record?.folder.suspension();
    const own = this.#file.read();
    const journalSuspension = this.#options.journal.recordedState?.suspension;
    if (root?.suspended === true) {
      if (own.suspended && own.id === root.id) return own;
      return this.#putRight(root, 'root’s record');
    }
    const endedAtRoot = (id: string): boolean => root?.id === id;
    if (own.suspended && root !== undefined && endedAtRoot(own.id)) return this.#completeEnd(root);
    if (own.suspended) return own;
    if (journalSuspension !== undefined && !endedAtRoot(journalSuspension.id))
      return this.#putRight({ suspended: true, ...journalSuspension }, 'the journal');
    return own;
  }

  /** True if root has recorded the suspension; also true in a plain run, which has no such record. */
  get recordedAtRoot(): boolean {
    const { record } = this.#options;
    return record === undefined || record.folder.suspension()?.suspended === true;
  }

  /**
   * Suspends the box; on disk on return. If the disk refuses, the suspension still holds, and AgentError is thrown. Root
   * gets the signed command, because a change on trial may then be suspended too.
   */
  suspend(reason: string, by: string, command: Uint8Array): void {
    const { record, stateDir } = this.#options;
    if (record !== undefined) this.#trying(() => writeForRoot(stateDir, SUSPEND_FILE, command));
    this.#file.suspend(reason, by, this.#options.clock.wallMs());
  }

  /**
   * Throws AgentError if root does not take it. A suspension that has ended in the meantime is not recorded. Root
   * writes the end before it answers, so a caller in between also sees a record that is not suspended.
   */
  async recordAtRoot(): Promise<void> {
    const state = this.state();
    if (state.suspended && !this.recordedAtRoot) await this.#options.record?.suspend(state);
  }

  /**
   * Ends the suspension with the signed `envelope`. On AgentError the suspension stays active, or its end is completed
   * later.
   */
  async end(id: string, reason: string, names: readonly string[], envelope: Uint8Array): Promise<void> {
    const { record, journal, clock } = this.#options;
    if (!journal.writable)
      throw new AgentError('unavailable', 'the journal cannot be written, so the change could not be proven');
    await record?.resume(envelope);
    // While root answered, a tick may have completed the end, and the box may have been suspended again.
    const own = this.#file.read();
    if (!own.suspended || own.id !== id) return;
    journal.enterSurely({ type: 'resume', id, reason, by: names });
    this.#file.resume(reason, names.join(', ').slice(0, 100), clock.wallMs());
  }

  /** Completes an end that root recorded by the signatures before the agent stopped. */
  #completeEnd({ id, reason, by, ...root }: SuspensionState): SuspensionState {
    const { journal, clock, readOnly = false } = this.#options;
    if (readOnly) return { id, reason, by, ...root };
    if (journal.recordedState?.suspension?.id === id) {
      journal.enter({ type: 'resume', id, reason, by: by.split(', ') });
    }
    this.#trying(() => this.#file.resume(reason, by, clock.wallMs()));
    return this.#file.read();
  }

  /** Corrects the own file from another record. `source`: the record that shows the difference. */
  #putRight(state: SuspensionState, source: string): SuspensionState {
    const cause = `${SUSPENSION_FILE} was put back, edited or removed, as ${source} shows; suspended before: `;
    const right = { ...state, reason: `${cause}${state.reason}`.slice(0, REASON_MAX) };
    if (this.#options.readOnly !== true) this.#trying(() => this.#file.hold(right));
    return right;
  }

  #trying(action: () => unknown): void {
    try {
      action();
    } catch (error) {
      rethrowBug(error);
      this.#options.onFailed(error.message);
    }
  }
}
