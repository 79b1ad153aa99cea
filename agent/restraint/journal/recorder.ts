/**
 * What the agent writes into its journal, and when.
 *
 * INVARIANTS: nothing here throws for what the disk does, except towards a search: without its entry there is no
 * answer; every alert's entry is on disk before the alert is sent, unless the journal is down, which is told.
 * LIMITS: PENDING_MAX entries wait in memory for a disk that refuses, in order; what is beyond is counted, and the
 * count becomes an entry.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, ClockSteps } from '../../base/clock.ts';
import { type Counters, gauge } from '../../base/counters.ts';
import { AgentError, rethrowBug } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { programVersion } from '../../base/package-root.ts';
import type { SteadyClock } from '../../base/steady-clock.ts';
import type { Config } from '../../contract/config.ts';
import type { VigieEvent } from '../../contract/event.ts';
import type { DetectorReport, FramesReport } from '../../contract/health.ts';
import type { JournalContent, JournalEntry, Running } from '../../contract/journal.ts';
import type { Lane } from '../../contract/outbox.ts';
import type { RestraintRecord } from '../../contract/search.ts';
import type { TrackLogReport } from '../../contract/track-log.ts';
import type { RestraintFolder } from '../../orders/restraint-folder.ts';
import { folderHash } from '../folder.ts';
import { assertFirstJournal } from '../pin.ts';
import { changesBetween, hashesOf } from './changes.ts';
import { Journal } from './journal.ts';
import { JOURNAL_DIR } from './key.ts';
import { isSummary, Known } from './known.ts';
import { CHECKPOINT } from './layout.ts';
import { JournalRetention } from './retention.ts';

const HEARTBEAT_EVERY_MS = 600_000;
const HEAD_EVERY_MS = 60_000;
const RECORDS_EVERY_MS = 60_000;
/** A disk that refused is tried again; so long at most the box goes on looking when its journal cannot be written. */
const WRITE_EVERY_MS = 10_000;
const ERASE_EVERY_MS = 86_400_000;
/** Slewing (500 ppm at most, adjtimex(2)) moves a clock by far less between two looks. */
const CLOCK_STEP_MS = 1000;
/** Some 100 kB of memory. */
const PENDING_MAX = 300;
/** Under one checkpoint: frames wait for the disk while they are written. */
const WRITE_BATCH = 64;
const RECORDS_BATCH = 100;

export interface JournalRecorderOptions {
  readonly config: Config;
  /** Where the configuration was read from. */
  readonly configFile?: string | undefined;
  readonly stateDir: string;
  /** How long the contents of alerts are kept. */
  alertsDays(): number;
  readonly boot: string;
  readonly clock: Clock;
  readonly steady: Pick<SteadyClock, 'synced' | 'trusted'>;
  readonly log: Logger;
  readonly archive: {
    /** What it has put on record above a row, the oldest first. */
    records(afterRow: number, limit: number): { row: number; record: RestraintRecord }[];
    record(record: RestraintRecord): void;
  };
  readonly status: { readonly frames: FramesReport; readonly detector: DetectorReport | null };
  readonly trackStatus: { readonly report: TrackLogReport };
  /** By which vision goes. */
  readonly folder: RestraintFolder;
  /** Publishes a checkpoint with the proof that it continues what the witness knows. */
  readonly publisher: { journalHead(note: string, provenHead: string): void } | undefined;
}

type Task = 'heartbeat' | 'write' | 'records' | 'erase' | 'head';

interface Pending {
  readonly at: string;
  /** Called when it is written. */
  entry(): JournalEntry;
}

export class JournalRecorder {
  readonly #options: JournalRecorderOptions;
  readonly #journal: Journal;
  readonly #retention: JournalRetention;
  #hashes: ReturnType<typeof hashesOf> | undefined;
  #opened = false;
  #known = new Known();
  /** When a clock that was set last wrote here, before this start, ms since the epoch. */
  #confirmedBeforeMs: number | undefined;
  #pending: Pending[] = [];
  #missed = 0;
  #missedUntold = 0;
  #down: string | undefined;
  #started = false;
  #model: string | undefined;
  /** Records of the archive through this row have been taken. */
  #row = 0;
  readonly #clockSteps: ClockSteps;
  /** Monotonic times at which each thing is due. `write`: what waits, or whether the disk would take it. */
  readonly #dueMs: Record<Task, number> = { heartbeat: 0, write: 0, records: 0, erase: 0, head: 0 };
  #published: { note: string | undefined; provenHead: string | undefined } = {
    note: undefined,
    provenHead: undefined,
  };
  #witnessFaults = 0;

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

  /** What is due, in its order; to be called often. */
  tick(): void {
    const { clock, steady } = this.#options;
    const nowMs = clock.nowMs();
    const due = (what: Task): boolean => nowMs >= this.#dueMs[what];
    const waits = (): boolean => this.#down !== undefined || this.#pending.length > 0;
    this.#lookAtClock();
    if (due('heartbeat')) this.#heartbeat(nowMs);
    if (due('write') || (this.#down === undefined && this.#pending.length > 0)) this.#write();
    if (due('records') && this.#down === undefined) this.#recordsAreDue(nowMs);
    const trusted = steady.trusted();
    if (due('erase') && !waits()) this.#erase(trusted);
    if (due('head')) this.#publish();
  }

  /** Entries can be written. Where they cannot, the box must not look: nobody could prove what it did. */
  get writable(): boolean {
    return this.#opened && this.#down === undefined;
  }

  /** What it knows of what restrains the box; undefined while it cannot be read. */
  get known() {
    if (!this.#opened) return undefined;
    const { authority, suspension, commands, rollouts, connection } = this.#known;
    const confirmedBeforeMs = this.#confirmedBeforeMs;
    return { authority, suspension, commands, rollouts, connection, confirmedBeforeMs };
  }

  /** Why it cannot be written; undefined while it can. */
  get downBecause(): string | undefined {
    return this.#down;
  }

  /** The last entry of this start; its checkpoint is published without delay. Idempotent. */
  stop(): void {
    if (!this.#started) return;
    this.#started = false;
    const { boot, status } = this.#options;
    const { frames } = status;
    this.#note(() => ({ type: 'stop', boot, frames }));
    this.#publish();
  }

  /** To be called for each event with its published form; alerts are entries. */
  event(event: VigieEvent): void {
    if (event.data.severity !== 'alert') return;
    const { id, sequence } = event;
    const sha256 = createHash('sha256').update(JSON.stringify(event)).digest('hex');
    this.#note(() => ({ type: 'alert', id, sequence, sha256 }));
  }

  /**
   * What the witness cosigned last, so that the next head is sent with the proof that it continues that. One that
   * this journal does not continue is a rollback or a fork of ours: logged and counted, and the witness says so too.
   */
  witnessed(note: string): void {
    if (!this.#opened) return;
    this.#tried('the witness and this journal do not agree', () => {
      if (this.#journal.takeWitnessed(note)) return;
      this.#witnessFaults += 1;
      throw new AgentError('corrupt', 'the witness has cosigned a head that this journal does not continue');
    });
  }

  /** Vision has a detector; an entry where it is another than before. */
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

  /** Durable on return. Throws AgentError where it is not. */
  enterSurely(entry: JournalEntry): void {
    this.#mustWrite();
    this.#note(() => entry);
    this.#mustWrite();
  }

  /** With which its checkpoints are verified, and its head with the proof from another on; undefined where it does not continue that. */
  since(head: string | undefined): { verifierKey: string; provenHead: string } | undefined {
    if (!this.#opened) return undefined;
    const provenHead = this.#tried('the journal cannot be compared', () =>
      this.#journal.provenHeadSince(head),
    );
    return provenHead === undefined ? undefined : { verifierKey: this.#journal.verifierKey, provenHead };
  }

  /** Puts a search or an unsealing on record, here and in the archive: durable on return. Throws AgentError where it cannot. */
  record(record: RestraintRecord): void {
    this.#mustWrite();
    this.#options.archive.record(record);
    this.#takeRecords();
    this.#mustWrite();
  }

  /** The highest number of a lane that an alert of the newest entries has; 0 where none is known. */
  newestAlert(lane: Lane): number {
    if (lane !== 'alert' || !this.#opened) return 0;
    const newest = this.#journal.newest(({ type }) => type === 'alert');
    return newest?.type === 'alert' ? Number(newest.sequence) : 0;
  }

  /** The newest signed checkpoint. */
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
      journal_witness_faults: this.#witnessFaults,
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
      restraint: this.#known.summary,
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

  /** What waits, in order, WRITE_BATCH at a time. */
  #write(): void {
    const { clock, log } = this.#options;
    this.#dueMs.write = clock.nowMs() + WRITE_EVERY_MS;
    let known: Known | undefined;
    try {
      this.#journal.probe();
      if (!this.#opened) this.#open();
      const batch = this.#pending.slice(0, Math.min(WRITE_BATCH, this.#journal.room));
      known = this.#known;
      this.#known = known.copy();
      // What sums up takes in what stands before it in the same batch.
      const contents = batch.map(({ at, entry }) => this.#known.learnt({ at, ...entry() }));
      this.#journal.appendAll(contents);
      known = undefined;
      this.#pending.splice(0, batch.length);
      if (this.#missedUntold > 0 && this.#pending.length === 0) {
        this.#journal.append({ at: this.#now(), type: 'missed', count: this.#missedUntold });
        this.#missedUntold = 0;
      }
      if (this.#down !== undefined) log.info({ entries: this.#journal.size }, 'the journal is written again');
      this.#down = undefined;
    } catch (error) {
      this.#known = known ?? this.#known;
      rethrowBug(error);
      if (this.#down === undefined) log.error({}, error.message);
      this.#down = error.message.slice(0, 1000);
    }
  }

  /** Takes the journal up where the last start left it. */
  #open(): void {
    const { stateDir } = this.#options;
    if (!existsSync(join(stateDir, JOURNAL_DIR, CHECKPOINT))) assertFirstJournal(stateDir);
    this.#journal.start();
    for (const content of this.#journal.contentsSince(isSummary)) this.#known.learn(content);
    this.#confirmedBeforeMs = this.#known.confirmedMs;
    const before = this.#journal.newest((content) => 'records' in content) as
      | (JournalContent & Running)
      | undefined;
    const newest = this.#journal.newest((content) => 'row' in content || 'records' in content);
    this.#row = newest === undefined ? 0 : 'row' in newest ? newest.row : (before?.records ?? 0);
    // Ahead of all that waits.
    const changes = changesBetween(before, this.#running(), this.#options);
    const at = this.#now();
    this.#pending.unshift(...changes.map((change) => ({ at, entry: () => change })));
    this.#opened = true;
  }

  #heartbeat(nowMs: number): void {
    const { boot, status, trackStatus } = this.#options;
    this.#dueMs.heartbeat = nowMs + HEARTBEAT_EVERY_MS;
    const [{ frames }, { report: tracks }] = [status, trackStatus];
    this.#note(() => ({ type: 'heartbeat', boot, frames, tracks, ...this.#running() }));
  }

  #erase(trusted: boolean): void {
    const { clock } = this.#options;
    const more = this.#tried('contents of the journal are erased later', () =>
      this.#retention.step(clock.wallMs(), trusted),
    );
    // Until the wall clock can be trusted it is asked again soon: an hour after the start at the earliest.
    if (more !== true) this.#dueMs.erase = clock.nowMs() + (trusted ? ERASE_EVERY_MS : RECORDS_EVERY_MS);
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

  /** What the archive has put on record since the last time. Throws AgentError where it cannot be read. */
  #takeRecords(): void {
    const { archive } = this.#options;
    // An archive that was replaced counts from 1 again.
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

  #lookAtClock(): void {
    const stepMs = Math.round(this.#clockSteps.sinceLastMs());
    if (Math.abs(stepMs) >= CLOCK_STEP_MS) this.#note(() => ({ type: 'clock-step', stepMs }));
  }

  #publish(): void {
    const { head, size, witnessedSize } = this.#journal;
    const { note } = this.#published;
    // The same head is told again where the witness needs another proof.
    if (head === undefined || (head === note && witnessedSize === size)) return;
    const provenHead = this.#tried('the head is not published', () => this.#journal.provenHead());
    if (provenHead === undefined || provenHead === this.#published.provenHead) return;
    this.#published = { note: head, provenHead };
    this.#dueMs.head = this.#options.clock.nowMs() + HEAD_EVERY_MS;
    this.#options.publisher?.journalHead(head, provenHead);
  }

  /** Undefined where the disk or the data refuse, which is logged. */
  #tried<T>(what: string, act: () => T): T | undefined {
    try {
      return act();
    } catch (error) {
      rethrowBug(error);
      this.#options.log.error({ reason: error.message }, what);
      return undefined;
    }
  }
}
