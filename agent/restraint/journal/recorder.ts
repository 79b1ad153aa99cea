/**
 * Writes the agent's entries into its journal.
 *
 * INVARIANTS:
 * - No method throws because of the disk, except for a search: without its entry there is no answer.
 * - Every alert's entry is on disk before the alert is sent, unless the journal is down, which is reported.
 * LIMITS: PENDING_MAX entries wait in memory for a refusing disk, in order; the count of further ones is entered.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, ClockSteps } from '../../base/clock.ts';
import { type Counters, gauge } from '../../base/counters.ts';
import { AgentError, rethrowBug } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { programVersion } from '../../base/package-root.ts';
import type { TrustedClock } from '../../base/trusted-clock.ts';
import type { VigieEvent } from '../../contract/event.ts';
import type { DetectorReport, FramesReport } from '../../contract/health.ts';
import type { JournalContent, JournalEntry, Running } from '../../contract/journal.ts';
import type { Lane } from '../../contract/outbox.ts';
import type { RestraintRecord } from '../../contract/search.ts';
import type { TrackLogReport } from '../../contract/track-log.ts';
import type { RestraintFolder } from '../../orders/restraint-folder.ts';
import { folderHash } from '../folder.ts';
import { assertFirstJournal } from '../pin.ts';
import { type Configured, changesBetween, hashesOf } from './changes.ts';
import { Journal } from './journal.ts';
import { JOURNAL_DIR } from './key.ts';
import { CHECKPOINT } from './layout.ts';
import { receiptEntry } from './receipt-entry.ts';
import { isSummary, RestraintState } from './restraint-state.ts';
import { JournalRetention } from './retention.ts';

const HEARTBEAT_EVERY_MS = 600_000;
const HEAD_EVERY_MS = 60_000;
const RECORDS_EVERY_MS = 60_000;
/** Retry interval of a refusing disk, and the longest time of analysis without a writable journal. */
const WRITE_EVERY_MS = 10_000;
const ERASE_EVERY_MS = 86_400_000;
/** Slewing (500 ppm at most, adjtimex(2)) moves a clock by far less between two checks. */
const CLOCK_STEP_MS = 1000;
/** About 100 kB of memory. */
const PENDING_MAX = 300;
/** Entries under one checkpoint. Frames wait for the disk while they are written. */
const WRITE_BATCH = 64;
const RECORDS_BATCH = 100;

export interface JournalRecorderOptions extends Configured {
  /** Retention of the contents of alerts, in days. */
  alertsDays(): number;
  readonly boot: string;
  readonly clock: Clock;
  readonly steady: Pick<TrustedClock, 'synced' | 'trusted'>;
  readonly log: Logger;
  readonly archive: {
    /** Returns the archive's records above a row, oldest first. */
    records(afterRow: number, limit: number): { row: number; record: RestraintRecord }[];
    record(record: RestraintRecord): void;
  };
  readonly status: { readonly frames: FramesReport; readonly detector: DetectorReport | null };
  readonly trackStatus: { readonly report: TrackLogReport };
  /** Folder that restrains vision. */
  readonly folder: RestraintFolder;
  /** Publishes a checkpoint with the proof that it continues the witness's. */
  readonly publisher: { journalHead(note: string, provenHead: string): void } | undefined;
}

type Task = 'heartbeat' | 'write' | 'records' | 'erase' | 'head';

interface Pending {
  readonly at: string;
  /** Called when the entry is written. */
  entry(): JournalEntry;
}

export class JournalRecorder {
  readonly #options: JournalRecorderOptions;
  readonly #journal: Journal;
  readonly #retention: JournalRetention;
  #hashes: ReturnType<typeof hashesOf> | undefined;
  #isOpen = false;
  #state = new RestraintState();
  /** Last time of a set clock in the journal, before this start, ms since the epoch. */
  #confirmedBeforeMs: number | undefined;
  #pending: Pending[] = [];
  #missed = 0;
  #missedUntold = 0;
  #down: string | undefined;
  #started = false;
  #model: string | undefined;
  /** Last row of the archive whose record was taken. */
  #row = 0;
  readonly #clockSteps: ClockSteps;
  /** Monotonic due time of each task. `write`: writes pending entries, or checks whether the disk accepts them. */
  readonly #dueMs: Record<Task, number> = { heartbeat: 0, write: 0, records: 0, erase: 0, head: 0 };
  #published: { note: string | undefined; provenHead: string | undefined } = {
    note: undefined,
    provenHead: undefined,
  };
  #witnessConflicts = 0;

  constructor(options: JournalRecorderOptions) {
    const { config, stateDir, clock } = options;
    this.#options = options;
    this.#journal = new Journal({ stateDir, origin: `vigie/${config.site}/${config.box}` });
    this.#retention = new JournalRetention(this.#journal, { alertsDays: options.alertsDays });
    this.#clockSteps = new ClockSteps(clock);
  }

  start(): void {
    const { boot, clock, config } = this.#options;
    this.#started = true;
    this.#note(() => ({ type: 'start', boot, timeZone: config.timeZone, ...this.#running() }));
    this.#dueMs.heartbeat = clock.nowMs() + HEARTBEAT_EVERY_MS;
  }

  /** Runs the tasks that are due, in order. Must be called often. */
  tick(): void {
    const { clock, steady } = this.#options;
    const nowMs = clock.nowMs();
    const due = (task: Task): boolean => nowMs >= this.#dueMs[task];
    const waits = (): boolean => this.#down !== undefined || this.#pending.length > 0;
    this.#checkClock();
    if (due('heartbeat')) this.#heartbeat(nowMs);
    if (due('write') || (this.#down === undefined && this.#pending.length > 0)) this.#write();
    if (due('records') && this.#down === undefined) this.#recordsAreDue(nowMs);
    const trusted = steady.trusted();
    if (due('erase') && !waits()) this.#erase(trusted);
    if (due('head')) this.#publish();
  }

  /** True if entries can be written. Otherwise the box must not analyse, because no one could prove what it did. */
  get writable(): boolean {
    return this.#isOpen && this.#down === undefined;
  }

  /** State of the restraints as the journal records it; undefined while it cannot be read. */
  get recordedState() {
    if (!this.#isOpen) return undefined;
    const { authority, suspension, commands, rollouts, connection } = this.#state;
    const confirmedBeforeMs = this.#confirmedBeforeMs;
    return { authority, suspension, commands, rollouts, connection, confirmedBeforeMs };
  }

  /** Reason why the journal cannot be written, or undefined. */
  get downBecause(): string | undefined {
    return this.#down;
  }

  /** Writes the last entry of this run; its checkpoint is published without delay. Idempotent. */
  stop(): void {
    if (!this.#started) return;
    this.#started = false;
    const { boot, status } = this.#options;
    const { frames } = status;
    this.#note(() => ({ type: 'stop', boot, frames }));
    this.#publish();
  }

  /** Must be called for each event in its published form; alerts and receipts of an installation become entries. */
  event(event: VigieEvent): void {
    const { id, sequence, data } = event;
    const receipt = receiptEntry(event);
    if (receipt !== undefined) this.#note(() => receipt);
    if (data.severity !== 'alert') return;
    const sha256 = createHash('sha256').update(JSON.stringify(event)).digest('hex');
    this.#note(() => ({ type: 'alert', id, sequence, sha256 }));
  }

  /**
   * Takes the last cosigned head; the next is sent with the proof that it continues that one. A head that this journal
   * does not continue means a rollback or a fork here: logged, counted, and reported by the witness too.
   */
  witnessed(note: string): void {
    if (!this.#isOpen) return;
    this.#attempt('the witness and this journal do not agree', () => {
      if (this.#journal.takeWitnessed(note)) return;
      this.#witnessConflicts += 1;
      throw new AgentError('corrupt', 'the witness has cosigned a head that this journal does not continue');
    });
  }

  /** Handles a loaded detector; adds an entry if it differs from the previous one. */
  detectorLoaded(): void {
    const { detector } = this.#options.status;
    if (detector === null || detector.sha256 === this.#model) return;
    const { model: name, sha256 } = detector;
    this.#model = sha256;
    this.#note(() => ({ type: 'model', name, sha256 }));
  }

  enter(entry: JournalEntry): void {
    this.#note(() => entry);
  }

  /** Durable on return. Throws AgentError otherwise. */
  enterSurely(entry: JournalEntry): void {
    this.#mustWrite();
    this.#note(() => entry);
    this.#mustWrite();
  }

  /** Returns the verifier key, and the head with the proof from `head` on; undefined if `head` is not continued. */
  headSince(head: string | undefined): { verifierKey: string; provenHead: string } | undefined {
    if (!this.#isOpen) return undefined;
    const provenHead = this.#attempt('the journal cannot be compared', () =>
      this.#journal.provenHeadSince(head),
    );
    return provenHead === undefined ? undefined : { verifierKey: this.#journal.verifierKey, provenHead };
  }

  /** Records a search or an unsealing, here and in the archive: durable on return. Throws AgentError if that fails. */
  record(record: RestraintRecord): void {
    this.#mustWrite();
    this.#options.archive.record(record);
    this.#takeRecords();
    this.#mustWrite();
  }

  /** Returns the highest sequence number of an alert among the newest entries; 0 if none is known. */
  newestAlert(lane: Lane): number {
    if (lane !== 'alert' || !this.#isOpen) return 0;
    const newest = this.#journal.newest(({ type }) => type === 'alert');
    return newest?.type === 'alert' ? Number(newest.sequence) : 0;
  }

  /** Newest signed checkpoint. */
  get head(): string | undefined {
    return this.#journal.head;
  }

  get counters(): Counters {
    return {
      journal_entries: gauge(this.#journal.size),
      journal_pending: gauge(this.#pending.length),
      journal_missed: this.#missed,
      journal_content_bytes: gauge(this.#journal.contentBytes),
      journal_erased_retention: this.#retention.erased.retention,
      journal_erased_limit: this.#retention.erased.limit,
      journal_witnessed: gauge(this.#journal.witnessedSize),
      journal_witness_faults: this.#witnessConflicts,
    };
  }

  #running(): Running {
    const { config, stateDir, status, steady } = this.#options;
    const { detector } = status;
    this.#hashes ??= hashesOf(config, stateDir);
    return {
      versions: { vigie: programVersion(), node: process.versions.node },
      ...this.#hashes,
      model: detector && { name: detector.model, sha256: detector.sha256 },
      clockSynced: steady.synced,
      records: this.#row,
      restraint: this.#state.summary,
      folder: folderHash(this.#options.folder),
    };
  }

  #note(entry: () => JournalEntry): void {
    if (this.#pending.length >= PENDING_MAX) {
      this.#missed += 1;
      this.#missedUntold += 1;
      return;
    }
    this.#pending.push({ at: this.#now(), entry });
    if (this.#down === undefined) this.#write();
  }

  #now(): string {
    return new Date(this.#options.clock.wallMs()).toISOString();
  }

  /** Writes pending entries in order, WRITE_BATCH at a time. */
  #write(): void {
    const { clock, log } = this.#options;
    this.#dueMs.write = clock.nowMs() + WRITE_EVERY_MS;
    let previous: RestraintState | undefined;
    try {
      this.#journal.probe();
      if (!this.#isOpen) this.#open();
      const batch = this.#pending.slice(0, Math.min(WRITE_BATCH, this.#journal.room));
      previous = this.#state;
      this.#state = previous.copy();
      // A summary includes the entries before it in the same batch.
      const contents = batch.map(({ at, entry }) => this.#state.learnt({ at, ...entry() }));
      this.#journal.appendAll(contents);
      previous = undefined;
      this.#pending.splice(0, batch.length);
      if (this.#missedUntold > 0 && this.#pending.length === 0) {
        this.#journal.append({ at: this.#now(), type: 'missed', count: this.#missedUntold });
        this.#missedUntold = 0;
      }
      if (this.#down !== undefined) log.info({ entries: this.#journal.size }, 'the journal is written again');
      this.#down = undefined;
    } catch (error) {
      this.#state = previous ?? this.#state;
      rethrowBug(error);
      if (this.#down === undefined) log.error({}, error.message);
      this.#down = error.message.slice(0, 1000);
    }
  }

  /** Opens the journal where the last run left it. */
  #open(): void {
    const { stateDir } = this.#options;
    if (!existsSync(join(stateDir, JOURNAL_DIR, CHECKPOINT))) assertFirstJournal(stateDir);
    this.#journal.start();
    for (const content of this.#journal.contentsSince(isSummary)) this.#state.learn(content);
    this.#confirmedBeforeMs = this.#state.confirmedMs;
    const before = this.#journal.newest((content) => 'records' in content) as
      | (JournalContent & Running)
      | undefined;
    const newest = this.#journal.newest((content) => 'row' in content || 'records' in content);
    this.#row = newest === undefined ? 0 : 'row' in newest ? newest.row : (before?.records ?? 0);
    // Placed before all pending entries.
    const changes = changesBetween(before, this.#running(), this.#options);
    const at = this.#now();
    this.#pending.unshift(...changes.map((change) => ({ at, entry: () => change })));
    this.#isOpen = true;
  }

  #heartbeat(nowMs: number): void {
    const { boot, status, trackStatus } = this.#options;
    this.#dueMs.heartbeat = nowMs + HEARTBEAT_EVERY_MS;
    const [{ frames }, { report: tracks }] = [status, trackStatus];
    this.#note(() => ({ type: 'heartbeat', boot, frames, tracks, ...this.#running() }));
  }

  #erase(trusted: boolean): void {
    const { clock } = this.#options;
    const hasMore = this.#attempt('contents of the journal are erased later', () =>
      this.#retention.step(clock.wallMs(), trusted),
    );
    // Until the wall clock is trusted it is checked again soon: an hour after the start at the earliest.
    if (hasMore !== true) this.#dueMs.erase = clock.nowMs() + (trusted ? ERASE_EVERY_MS : RECORDS_EVERY_MS);
  }

  #mustWrite(): void {
    if (this.#down !== undefined || this.#pending.length > 0) this.#write();
    const reason = this.#pending.length > 0 ? 'the journal has not caught up yet; ask again' : undefined;
    if (this.#down ?? reason) throw new AgentError('unavailable', this.#down ?? reason ?? '');
  }

  #recordsAreDue(nowMs: number): void {
    this.#dueMs.records = nowMs + RECORDS_EVERY_MS;
    try {
      this.#takeRecords();
    } catch (error) {
      rethrowBug(error);
      this.#options.log.warn({ reason: error.message }, 'records of the archive reach the journal later');
    }
  }

  /** Takes new records of the archive. Throws AgentError if it cannot be read. */
  #takeRecords(): void {
    const { archive } = this.#options;
    // A replaced archive counts from 1 again.
    if (this.#row > 0 && archive.records(this.#row - 1, 1)[0]?.row !== this.#row) this.#row = 0;
    while (this.#down === undefined) {
      const batch = archive.records(this.#row, RECORDS_BATCH);
      for (const { row, record } of batch) {
        this.#row = row;
        this.#note(() => ({ type: record.record, row, record }));
      }
      if (batch.length < RECORDS_BATCH) return;
    }
  }

  #checkClock(): void {
    const stepMs = Math.round(this.#clockSteps.sinceLastMs());
    if (Math.abs(stepMs) >= CLOCK_STEP_MS) this.#note(() => ({ type: 'clock-step', stepMs }));
  }

  #publish(): void {
    const { head, size, witnessedSize } = this.#journal;
    const { note } = this.#published;
    // The same head is published again if the witness needs another proof.
    if (head === undefined || (head === note && witnessedSize === size)) return;
    const provenHead = this.#attempt('the head is not published', () => this.#journal.provenHead());
    if (provenHead === undefined || provenHead === this.#published.provenHead) return;
    this.#published = { note: head, provenHead };
    this.#dueMs.head = this.#options.clock.nowMs() + HEAD_EVERY_MS;
    this.#options.publisher?.journalHead(head, provenHead);
  }

  /** Returns undefined if the disk or the data refuse, which is logged. */
  #attempt<T>(failure: string, action: () => T): T | undefined {
    try {
      return action();
    } catch (error) {
      rethrowBug(error);
      this.#options.log.error({ reason: error.message }, failure);
      return undefined;
    }
  }
}
