/**
 * Archive of the box's events: metadata for `eventsDays`, no pictures (an event contains the hash and size of its
 * stills).
 *
 * INVARIANTS:
 * - An event that the outbox has accepted is in the archive when `add` returns, or is added before any later one.
 * - No purge uses a wall clock that is not trusted (steady-clock.ts).
 * - Each purge leaves a record.
 *
 * LIMITS: `limitMiB` on disk (the oldest are dropped first). While the disk refuses, at most PENDING_MAX events wait in
 * memory.
 */
import type { Clock } from '../base/clock.ts';
import { type Counters, gauge } from '../base/counters.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { forgetDamaged, moveAside } from '../base/sqlite.ts';
import type { TrustedClock } from '../base/trusted-clock.ts';
import type { VigieEvent } from '../contract/event.ts';
import type { Lane } from '../contract/outbox.ts';
import {
  type ArchivedEvent,
  PAGE_BYTES_MAX,
  PAGE_EVENTS_MAX,
  type RestraintRecord,
  type SearchQuery,
  type SearchResult,
} from '../contract/search.ts';
import { archiveFile, openDatabase } from './database.ts';
import { ArchiveStore, type Cursor, type Moment } from './store.ts';

/** Maximum number of waiting events; they take at most a few MB of memory. */
const PENDING_MAX = 1000;

/** Interval in ms of checking both clocks and retrying the disk. */
const TICK_MS = 60_000;
/** Interval in ms. A purge reads every event: some milliseconds for 6,000. */
const PURGE_EVERY_MS = 600_000;

export interface ArchiveOptions {
  readonly file: string;
  readonly limitMiB: number;
  /** May change at run time. */
  eventsDays(): number;
  readonly boot: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly steady: Pick<TrustedClock, 'trusted'>;
}

export class EventArchive {
  readonly #options: ArchiveOptions;
  #store: ArchiveStore | undefined;
  #pending: ArchivedEvent[] = [];
  #missed = 0;
  #complained = false;
  #purgeAtMs = 0;
  #stopping: AbortController | undefined;
  #ticking: Promise<void> = Promise.resolve();

  constructor(options: ArchiveOptions) {
    this.#options = options;
  }

  /**
   * Opens the archive; a refusing disk is retried.
   * @throws AgentError `config` for a file of a newer program
   */
  start(): void {
    this.#guarded(() => this.#open());
    this.#stopping = new AbortController();
    this.#ticking = this.#tick(this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping?.abort();
    await this.#ticking;
    if (this.#pending.length > 0) this.add([]);
    this.#guarded(() => this.#store?.close());
    this.#store = undefined;
  }

  /** Adds events that the outbox has accepted. Those that the disk refuses are retried. */
  add(entries: readonly ArchivedEvent[]): void {
    this.#pending.push(...entries);
    this.#guarded(() => {
      this.#open().add(this.#pending, this.#now());
      this.#pending = [];
    });
    const tooMany = this.#pending.length - PENDING_MAX;
    if (tooMany <= 0) return;
    this.#pending.splice(0, tooMany);
    this.#missed += tooMany;
  }

  /** Returns the newest number of a lane in the archive; undefined while the disk refuses. */
  progress(lane: Lane): number | undefined {
    return this.#guarded(() => this.#open().progress(lane));
  }

  /**
   * Returns one page of matching events.
   * @throws AgentError if the archive cannot be read
   */
  search(query: SearchQuery, cursor?: string): SearchResult {
    return this.#reading((store) => {
      const wallMs = this.#options.clock.wallMs();
      const limits = { events: PAGE_EVENTS_MAX, bytes: PAGE_BYTES_MAX };
      const { bodies, next } = store.page(
        query,
        cursor === undefined ? undefined : parseCursor(cursor),
        limits,
        wallMs,
      );
      const oldestMs = store.oldestMs(wallMs);
      return {
        events: bodies.map((body) => JSON.parse(body) as VigieEvent),
        matches: store.count(query, wallMs),
        next: next && `${next.timeMs}.${next.row}`,
        kept: {
          days: this.#options.eventsDays(),
          oldest: oldestMs === null ? null : new Date(oldestMs).toISOString(),
        },
      };
    });
  }

  /**
   * Stores a record for the journal, durable on return.
   * @throws AgentError on failure
   */
  record(record: RestraintRecord): void {
    this.#reading((store) => store.keepRecord(record));
  }

  records(afterRow: number, limit: number): { row: number; record: RestraintRecord }[] {
    return this.#reading((store) => store.records(afterRow, limit));
  }

  /** Performs maintenance: first pending writes, then the purge of expired events. */
  upkeep(): void {
    const trusted = this.#options.steady.trusted();
    if (this.#pending.length > 0) this.add([]);
    const { file, clock } = this.#options;
    if (clock.nowMs() < this.#purgeAtMs) return;
    this.#purgeAtMs = clock.nowMs() + PURGE_EVERY_MS;
    // A damaged file contains events too.
    const keptMs = this.#options.eventsDays() * 86_400_000;
    if (trusted) this.#guarded(() => forgetDamaged(archiveFile(file), clock.wallMs() - keptMs));
    const record = this.#guarded(() => this.#open().purge(this.#now(), trusted));
    if (record !== undefined)
      this.#options.log.info({ ...record }, 'events past their retention were deleted');
  }

  get counters(): Counters {
    const { events, bytes } = this.#guarded(() => this.#store?.size()) ?? { events: 0, bytes: 0 };
    const { added, purged, evicted, recordsTrimmed } = this.#store?.counters ?? NOTHING;
    return {
      archive_events: gauge(events),
      archive_bytes: gauge(bytes),
      archive_pending: gauge(this.#pending.length),
      archive_added: added,
      archive_purged: purged,
      // Dropped before their retention ended, for lack of space.
      archive_evicted: evicted,
      // Never stored, because the disk refused for too long.
      archive_missed: this.#missed,
      archive_records_trimmed: recordsTrimmed,
    };
  }

  async #tick(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(TICK_MS, signal);
      if (!signal.aborted) this.upkeep();
    }
  }

  #now(): Moment {
    const { boot, clock } = this.#options;
    return { boot, wallMs: clock.wallMs(), monoMs: clock.nowMs() };
  }

  #open(): ArchiveStore {
    if (this.#store !== undefined) return this.#store;
    const { file, limitMiB, log } = this.#options;
    const make = (): ArchiveStore => new ArchiveStore(openDatabase(file, limitMiB), this.#options);
    try {
      this.#store = make();
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind !== 'corrupt') throw error;
      const movedTo = moveAside(archiveFile(file));
      log.error(
        { file, movedTo, reason: error.message },
        'the archive was damaged and has been moved aside; searches find only events from now on; check the disk',
      );
      this.#store = make();
    }
    this.#complained = false;
    return this.#store;
  }

  /** Runs `operation`; a damaged file is replaced at the next use. */
  #reading<T>(operation: (store: ArchiveStore) => T): T {
    const store = this.#open();
    try {
      return operation(store);
    } catch (error) {
      this.#leaveIfDamaged(error);
      throw error;
    }
  }

  /** Runs work that will be repeated later. */
  #guarded<T>(operation: () => T): T | undefined {
    try {
      return operation();
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind === 'bug' || error.kind === 'config') throw error;
      this.#leaveIfDamaged(error);
      if (!this.#complained) {
        this.#complained = true;
        const message = 'the archive is unavailable, so events wait in memory; repair the disk';
        this.#options.log.error({ reason: messageOf(error) }, message);
      }
      return undefined;
    }
  }

  #leaveIfDamaged(error: unknown): void {
    if (!(error instanceof AgentError) || error.kind !== 'corrupt') return;
    const store = this.#store;
    this.#store = undefined;
    store?.close();
  }
}

const NOTHING = { added: 0, purged: 0, evicted: 0, recordsTrimmed: 0 };

function parseCursor(text: string): Cursor {
  const [timeMs = 0, row = 0] = text.split('.').map(Number);
  return { timeMs, row };
}
