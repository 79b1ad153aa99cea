/**
 * What the agent writes into its journal, and when.
 *
 * INVARIANTS: nothing here throws for what the disk does, except towards a search: without its entry there is no
 * answer; every alert's entry is on disk before the alert is sent, unless the journal is down, which is told.
 * LIMITS: PENDING_MAX entries wait in memory for a disk that refuses, in order; what is beyond is counted, and the
 * count becomes an entry.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import type { EventArchive } from '../../archive/archive.ts';
import { SteadyClock } from '../../base/steady-clock.ts';
import { type Clock, ClockSteps } from '../../base/clock.ts';
import { AgentError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { programVersion } from '../../base/package-root.ts';
import type { Config } from '../../contract/config.ts';
import type { VigieEvent } from '../../contract/event.ts';
import type { ChangedBy, JournalContent, JournalEntry, Running } from '../../contract/journal.ts';
import type { RestraintRecord } from '../../contract/search.ts';
import { Journal } from './journal.ts';
import { JournalRetention } from './retention.ts';
import type { VisionStatus } from '../../supervisor/status.ts';

const HEARTBEAT_EVERY_MS = 600_000;
const HEAD_EVERY_MS = 60_000;
const RECORDS_EVERY_MS = 60_000;
const RETRY_EVERY_MS = 10_000;
/** So long at most the box goes on looking when its journal cannot be written. */
const PROBE_EVERY_MS = 10_000;
const ERASE_EVERY_MS = 86_400_000;
/** Slewing (500 ppm at most, adjtimex(2)) moves a clock by far less between two looks. */
const CLOCK_STEP_MS = 1000;
/** Some 100 kB of memory. */
const PENDING_MAX = 300;
/** Under one checkpoint: frames wait for the disk while they are written. */
const WRITE_BATCH = 64;
const RECORDS_BATCH = 100;
const PASSWD = '/etc/passwd';

export interface JournalRecorderOptions {
  readonly config: Config;
  readonly stateDir: string;
  /** Where the configuration was read from. */
  /** How long the contents of alerts are kept. */
  alertsDays(): number;
  readonly configFile?: string | undefined;
  readonly boot: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly archive: Pick<EventArchive, 'records'>;
  readonly vision: Pick<VisionStatus, 'frames' | 'detector'>;
  clockSynced(): boolean;
  /** There is a new checkpoint to publish, with the proof that it continues what the witness knows. */
  onHead(note: string, growth: string): void;
  /** The journal cannot be written, and why; undefined: it can again. Called from `tick` only. */
  onDown(reason: string | undefined): void;
}

type Witnessed = Pick<EventArchive, 'search' | 'record'>;

interface Pending {
  readonly at: string;
  /** Called when it is written. */
  entry(): JournalEntry;
}

export class JournalRecorder {
  readonly #options: JournalRecorderOptions;
  readonly #journal: Journal;
  readonly #retention: JournalRetention;
  readonly #steady: SteadyClock;
  readonly #hashes: Pick<Running, 'config' | 'zones'>;
  #opened = false;
  #pending: Pending[] = [];
  #missed = 0;
  #missedUntold = 0;
  #down: string | undefined;
  #downTold = false;
  #model: string | undefined;
  /** Records of the archive through this row have been taken. */
  #row = 0;
  readonly #clockSteps: ClockSteps;
  #heartbeatAtMs = Number.POSITIVE_INFINITY;
  #recordsAtMs = 0;
  #eraseAtMs = 0;
  #probeAtMs = 0;
  #retryAtMs = 0;
  #published: { note: string | undefined; growth: string | undefined; atMs: number } = {
    note: undefined,
    growth: undefined,
    atMs: Number.NEGATIVE_INFINITY,
  };
  #witnessFaults = 0;

  constructor(options: JournalRecorderOptions) {
    const { config, stateDir, clock } = options;
    this.#options = options;
    this.#journal = new Journal({ stateDir, origin: `vigie/${config.site}/${config.box}` });
    this.#retention = new JournalRetention(this.#journal, { alertsDays: options.alertsDays });
    this.#steady = new SteadyClock(clock, () => options.clockSynced());
    const { zones, lines, masks } = config;
    this.#hashes = { config: hashOf(config), zones: hashOf({ zones, lines, masks }) };
    this.#clockSteps = new ClockSteps(clock);
  }

  start(): void {
    const { boot, clock, config } = this.#options;
    this.#note(() => ({ type: 'start', boot, timeZone: config.timeZone, ...this.#running() }));
    this.#heartbeatAtMs = clock.nowMs() + HEARTBEAT_EVERY_MS;
  }

  /** What is due, and news for the room; to be called often. */
  tick(): void {
    const { boot, clock, vision, onDown } = this.#options;
    const nowMs = clock.nowMs();
    this.#lookAtClock();
    if (nowMs >= this.#heartbeatAtMs) {
      this.#heartbeatAtMs = nowMs + HEARTBEAT_EVERY_MS;
      const { frames } = vision;
      this.#note(() => ({ type: 'heartbeat', boot, frames, ...this.#running() }));
    }
    const probe = nowMs >= this.#probeAtMs;
    if (this.#down === undefined ? probe || this.#pending.length > 0 : nowMs >= this.#retryAtMs)
      this.#write();
    if (this.#down === undefined && nowMs >= this.#recordsAtMs) this.#recordsAreDue(nowMs);
    const trusted = this.#steady.trusted();
    if (this.#down === undefined && this.#pending.length === 0 && nowMs >= this.#eraseAtMs)
      this.#erase(trusted);
    if (nowMs - this.#published.atMs >= HEAD_EVERY_MS) this.#publish();
    const down = this.#down !== undefined;
    if (down === this.#downTold) return;
    this.#downTold = down;
    onDown(this.#down);
  }

  /** Entries can be written. Where they cannot, the box must not look: nobody could prove what it did. */
  get writable(): boolean {
    return this.#opened && this.#down === undefined;
  }

  /** The last entry of this start; its checkpoint is published without delay. */
  stop(): void {
    // The start failed before the journal's turn.
    if (this.#heartbeatAtMs === Number.POSITIVE_INFINITY) return;
    const { boot, vision } = this.#options;
    const { frames } = vision;
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
    const { detector } = this.#options.vision;
    if (detector === null || detector.sha256 === this.#model) return;
    const { model: name, sha256 } = detector;
    this.#model = sha256;
    this.#note(() => ({ type: 'model', name, sha256 }));
  }

  enter(entry: JournalEntry): void {
    this.#note(() => entry);
  }

  /** The archive, with a search on record only when the journal has it too; `record` throws AgentError. */
  witness(archive: Witnessed): Witnessed {
    return {
      search: (query, cursor) => archive.search(query, cursor),
      record: (record: RestraintRecord) => {
        this.#mustWrite();
        archive.record(record);
        this.#takeRecords();
        this.#mustWrite();
      },
    };
  }

  /** The newest signed checkpoint. */
  get head(): string | undefined {
    return this.#journal.head;
  }

  get counters(): Record<string, number> {
    return {
      journal_entries: this.#journal.size,
      journal_pending: this.#pending.length,
      journal_missed: this.#missed,
      journal_content_bytes: this.#journal.contentBytes,
      journal_erased_retention: this.#retention.erased.retention,
      journal_erased_limit: this.#retention.erased.limit,
      journal_witnessed: this.#journal.witnessedSize,
      journal_witness_faults: this.#witnessFaults,
    };
  }

  #running(): Running {
    const { vision, clockSynced } = this.#options;
    const { detector } = vision;
    return {
      versions: { vigie: programVersion(), node: process.versions.node },
      ...this.#hashes,
      model: detector && { name: detector.model, sha256: detector.sha256 },
      clockSynced: clockSynced(),
      records: this.#row,
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
    this.#probeAtMs = clock.nowMs() + PROBE_EVERY_MS;
    try {
      this.#journal.probe();
      if (!this.#opened) this.#open();
      const batch = this.#pending.slice(0, Math.min(WRITE_BATCH, this.#journal.room));
      this.#journal.appendAll(batch.map(({ at, entry }) => ({ at, ...entry() })));
      this.#pending.splice(0, batch.length);
      if (this.#missedUntold > 0 && this.#pending.length === 0) {
        this.#journal.append({ at: this.#now(), type: 'missed', count: this.#missedUntold });
        this.#missedUntold = 0;
      }
      if (this.#down !== undefined) log.info({ entries: this.#journal.size }, 'the journal is written again');
      this.#down = undefined;
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
      if (this.#down === undefined) log.error({}, error.message);
      this.#down = error.message.slice(0, 1000);
      this.#retryAtMs = clock.nowMs() + RETRY_EVERY_MS;
    }
  }

  /** Takes the journal up where the last start left it. */
  #open(): void {
    this.#journal.start();
    const before = this.#journal.newest((content) => 'records' in content) as
      | (JournalContent & Running)
      | undefined;
    const newest = this.#journal.newest((content) => 'row' in content || 'records' in content);
    this.#row = newest === undefined ? 0 : 'row' in newest ? newest.row : (before?.records ?? 0);
    if (before !== undefined) this.#noteChanges(before);
    this.#opened = true;
  }

  /** Of what was there at the start before; ahead of all that waits. */
  #noteChanges(before: Running): void {
    const { config, zones } = this.#hashes;
    const { versions } = this.#running();
    const at = this.#now();
    if (before.config !== config) {
      const redrawn = before.zones !== zones && { zones: { before: before.zones, after: zones } };
      const by = changedBy(this.#options.configFile);
      const change = { type: 'config', before: before.config, after: config, ...redrawn, by } as const;
      this.#pending.unshift({ at, entry: () => change });
    }
    if (JSON.stringify(before.versions) !== JSON.stringify(versions)) {
      const update = { type: 'update', before: before.versions, after: versions } as const;
      this.#pending.unshift({ at, entry: () => update });
    }
  }

  #erase(trusted: boolean): void {
    const { clock } = this.#options;
    const more = this.#tried('contents of the journal are erased later', () =>
      this.#retention.step(clock.wallMs(), trusted),
    );
    // Until the wall clock can be trusted it is asked again soon: an hour after the start at the earliest.
    if (more !== true) this.#eraseAtMs = clock.nowMs() + (trusted ? ERASE_EVERY_MS : RECORDS_EVERY_MS);
  }

  #mustWrite(): void {
    if (this.#down !== undefined || this.#pending.length > 0) this.#write();
    const reason = this.#pending.length > 0 ? 'the journal has not caught up yet; ask again' : undefined;
    if (this.#down ?? reason) throw new AgentError('unavailable', this.#down ?? reason ?? '');
  }

  #recordsAreDue(nowMs: number): void {
    this.#recordsAtMs = nowMs + RECORDS_EVERY_MS;
    try {
      this.#takeRecords();
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
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
    const growth = this.#tried('the head is not published', () => this.#journal.growth());
    if (growth === undefined || growth === this.#published.growth) return;
    this.#published = { note: head, growth, atMs: this.#options.clock.nowMs() };
    this.#options.onHead(head, growth);
  }

  /** Undefined where the disk or the data refuse, which is logged. */
  #tried<T>(what: string, act: () => T): T | undefined {
    try {
      return act();
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
      this.#options.log.error({ reason: error.message }, what);
      return undefined;
    }
  }
}

const hashOf = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex');

/** Null where there is no such file. */
function changedBy(file: string | undefined): ChangedBy | null {
  const stat = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  const { uid, mtime } = stat;
  return { uid, user: userName(uid), fileTime: mtime.toISOString() };
}

function userName(uid: number): string | null {
  if (!existsSync(PASSWD)) return null;
  const line = readFileSync(PASSWD, 'utf8')
    .split('\n')
    .find((user) => user.split(':')[2] === String(uid));
  return line?.split(':')[0] ?? null;
}
