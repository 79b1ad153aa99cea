/**
 * Whether the box is suspended, by all that say so: the file of its state folder, its journal, and root's record where a
 * package is installed. The first two are files that the agent's user can put back from an older copy.
 *
 * INVARIANTS: suspended as soon as one of them says so; a file that others contradict is put right, and the reason says
 * it; the end of a suspension is in the journal, and at root only by the signatures.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { AgentError, rethrowBug } from '../base/errors.ts';
import type { JournalEntry } from '../contract/journal.ts';
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
    readonly known:
      | {
          readonly suspension: Omit<SuspensionState, 'suspended'> | undefined;
          readonly authority: string | undefined;
        }
      | undefined;
    enter(entry: JournalEntry): void;
    enterSurely(entry: JournalEntry): void;
  };
  /** Nothing is put right: another program looks. */
  readonly readOnly?: boolean;
  /** A file could not be written. */
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

  /** A box that has never run is not suspended. `hasRun`: other files of it are there. */
  beginIfFirst(hasRun: boolean): void {
    const { journal, record, clock } = this.#options;
    if (existsSync(this.#path) || hasRun || record?.folder.suspension() !== undefined) return;
    // While the journal cannot be read, nobody knows.
    if (journal.known === undefined || journal.known.authority !== undefined) return;
    this.#trying(() => this.#file.begin(clock.wallMs()));
  }

  state(): SuspensionState {
    const root = this.#options.record?.folder.suspension();
    const own = this.#file.read();
    const known = this.#options.journal.known?.suspension;
    if (root?.suspended === true) {
      if (own.suspended && own.id === root.id) return own;
      return this.#putRight(root, 'root’s record');
    }
    const endedAtRoot = (id: string): boolean => root?.id === id;
    if (own.suspended && root !== undefined && endedAtRoot(own.id)) return this.#completeEnd(root);
    if (own.suspended) return own;
    if (known !== undefined && !endedAtRoot(known.id))
      return this.#putRight({ suspended: true, ...known }, 'the journal');
    return own;
  }

  /** Whether root has it on record; true in a plain run, which has no such record. */
  get recordedAtRoot(): boolean {
    const { record } = this.#options;
    return record === undefined || record.folder.suspension()?.suspended === true;
  }

  /** On disk on return; what the disk refuses holds all the same, and is thrown as AgentError. */
  suspend(reason: string, by: string): void {
    this.#file.suspend(reason, by, this.#options.clock.wallMs());
  }

  /**
   * Throws AgentError where root does not take it. What has ended meanwhile is not recorded: root writes the end before it
   * answers, and whoever asks in between sees a record that is not suspended, too.
   */
  async recordAtRoot(): Promise<void> {
    const state = this.state();
    if (state.suspended && !this.recordedAtRoot) await this.#options.record?.suspend(state);
  }

  /** The keys have signed `envelope`. Throws AgentError, and the suspension stands, or its end is completed later. */
  async end(id: string, reason: string, names: readonly string[], envelope: Uint8Array): Promise<void> {
    const { record, journal, clock } = this.#options;
    if (!journal.writable)
      throw new AgentError('unavailable', 'the journal cannot be written; nobody could prove it');
    await record?.resume(envelope);
    // While root answered, a look may have completed the end, and somebody may have suspended the box again.
    const own = this.#file.read();
    if (!own.suspended || own.id !== id) return;
    journal.enterSurely({ type: 'resume', id, reason, by: names });
    this.#file.resume(reason, names.join(', ').slice(0, 100), clock.wallMs());
  }

  /** Root has ended it by the signatures, and the agent ended before it knew. */
  #completeEnd({ id, reason, by, ...root }: SuspensionState): SuspensionState {
    const { journal, clock, readOnly = false } = this.#options;
    if (readOnly) return { id, reason, by, ...root };
    if (journal.known?.suspension?.id === id) {
      journal.enter({ type: 'resume', id, reason, by: by.split(', ') });
    }
    this.#trying(() => this.#file.resume(reason, by, clock.wallMs()));
    return this.#file.read();
  }

  /** `told` by whom, where the own file says something else. */
  #putRight(state: SuspensionState, told: string): SuspensionState {
    const what = `${SUSPENSION_FILE} was put back, edited or removed, as ${told} shows; suspended before: `;
    const right = { ...state, reason: `${what}${state.reason}`.slice(0, REASON_MAX) };
    if (this.#options.readOnly !== true) this.#trying(() => this.#file.hold(right));
    return right;
  }

  #trying(act: () => unknown): void {
    try {
      act();
    } catch (error) {
      rethrowBug(error);
      this.#options.onFailed(error.message);
    }
  }
}
