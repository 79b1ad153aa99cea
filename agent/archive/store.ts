/**
 * Tables of the archive: events, records of purges and searches, and the progress of copying from the outbox.
 *
 * INVARIANTS:
 * - An event is stored at most once (by id).
 * - A purge and its record are one transaction.
 *
 * LIMITS: `limitMiB`: before the file is full, the oldest events are dropped, EVICT_BATCH at a time. RECORDS_MAX
 * records.
 */
import { type Db, PAGE_BYTES, sqliteCall } from '../base/sqlite.ts';
import type { Lane } from '../contract/outbox.ts';
import type { ArchivedEvent, PurgeRecord, RestraintRecord, SearchQuery } from '../contract/search.ts';
import { archiveFile } from './database.ts';

/** Space for one event of the largest size (256 KiB), twice. */
const SPARE_PAGES = 128;
const EVICT_BATCH = 100;
/** Years of purges and searches: about 300 bytes each. */
const RECORDS_MAX = 10_000;

/** Start of a page of a search: after this event. */
export interface Cursor {
  readonly timeMs: number;
  readonly row: number;
}

interface FoundRow extends Cursor {
  readonly body: string;
}

export interface PageLimits {
  readonly events: number;
  readonly bytes: number;
}

export interface Page {
  readonly bodies: readonly string[];
  /** Start of the next page; null if there is none. */
  readonly next: Cursor | null;
}

export interface Moment {
  readonly boot: string;
  readonly wallMs: number;
  readonly monoMs: number;
}

interface Span {
  readonly count: number;
  readonly oldest: number;
  readonly newest: number;
}

/** Selects the rows of a query; `@kinds` and `@zones` are JSON lists or null. */
const MATCH = `time_ms >= @fromMs AND time_ms < @toMs
  AND (kept_from_ms IS NULL OR kept_from_ms >= @keptMs)
  AND (@kinds IS NULL OR kind IN (SELECT value FROM json_each(@kinds)))
  AND (@zones IS NULL OR place IN (SELECT value FROM json_each(@zones)))`;

/** A comparison with null is never true. */
const EXPIRED = 'kept_from_ms < @wallMs OR (boot = @boot AND mono_ms < @monoMs)';

const SPAN = 'count(*) AS count, min(time_ms) AS oldest, max(time_ms) AS newest FROM';

export class ArchiveStore {
  readonly #db: Db;
  readonly #limitPages: number;
  readonly #options: { eventsDays(): number };
  readonly #sql: ReturnType<typeof statements>;
  readonly counters = { added: 0, purged: 0, evicted: 0, recordsTrimmed: 0 };

  constructor(db: Db, options: { readonly limitMiB: number; eventsDays(): number }) {
    this.#db = db;
    this.#limitPages = (options.limitMiB * 1_048_576) / PAGE_BYTES;
    this.#options = options;
    this.#sql = sqliteCall(archiveFile(db.name), () => statements(db));
  }

  get #days(): number {
    return this.#options.eventsDays();
  }

  close(): void {
    sqliteCall(archiveFile(this.#db.name), () => this.#db.close());
  }

  /** Returns the newest number of a lane in the archive. */
  progress(lane: Lane): number {
    return this.#call(() => (this.#sql.progress.get(lane) as { seq: number }).seq);
  }

  add(entries: readonly ArchivedEvent[], now: Moment): void {
    let added = 0;
    this.#transaction(() => {
      for (const { lane, seq, event } of entries) {
        this.#makeRoom(now.wallMs);
        const [place = '', id = ''] = event.subject.split('/');
        const timeMs = Date.parse(event.time);
        const { changes } = this.#sql.insert.run({
          id: event.id,
          timeMs,
          kind: event.data.rule.kind,
          place: id === '' ? place : id,
          boot: now.boot,
          monoMs: now.monoMs,
          keptFromMs: event.data.clock.synced ? timeMs : null,
          body: JSON.stringify(event),
        });
        added += changes;
        this.#sql.setProgress.run(seq, lane);
      }
    });
    this.counters.added += added;
  }

  /**
   * Deletes expired events. Those of this start expire by the monotonic clock. While the wall clock is trusted, events
   * also expire by the wall clock.
   */
  purge(now: Moment, wallTrusted: boolean): PurgeRecord | undefined {
    const daysMs = this.#days * 86_400_000;
    const record = this.#transaction(() => {
      // Events stored with an unset or fast clock get their age from the monotonic clock. Those of an earlier start
      // count from now.
      if (wallTrusted) this.#sql.date.run(now);
      const before = {
        boot: now.boot,
        monoMs: now.monoMs - daysMs,
        wallMs: wallTrusted ? now.wallMs - daysMs : null,
      };
      const span = this.#sql.expired.get(before) as Span;
      if (span.count === 0) return undefined;
      this.#sql.expire.run(before);
      return this.#keepPurge(span, 'retention', now.wallMs);
    });
    if (record === undefined) return undefined;
    this.counters.purged += record.count;
    // The log still contains the previous pages.
    this.#call(() => this.#db.pragma('wal_checkpoint(TRUNCATE)'));
    return record;
  }

  /** Returns matching events after `cursor` in order of time, within `limits`, and at least one if there is one. */
  page(query: SearchQuery, cursor: Cursor | undefined, limits: PageLimits, wallMs: number): Page {
    const { timeMs, row } = cursor ?? { timeMs: 0, row: 0 };
    const limit = limits.events + 1;
    const parameters = { ...this.#parameters(query, wallMs), afterMs: timeMs, afterRow: row, limit };
    return this.#call(() => {
      const bodies: string[] = [];
      let bytes = 0;
      let last: Cursor | null = null;
      for (const match of this.#sql.find.iterate(parameters) as IterableIterator<FoundRow>) {
        bytes += Buffer.byteLength(match.body);
        const full = bodies.length >= limits.events || bytes > limits.bytes;
        if (full && bodies.length > 0) return { bodies, next: last };
        bodies.push(match.body);
        last = { timeMs: match.timeMs, row: match.row };
      }
      return { bodies, next: null };
    });
  }

  count(query: SearchQuery, wallMs: number): number {
    const result = this.#call(() => this.#sql.count.get(this.#parameters(query, wallMs)));
    return (result as { count: number }).count;
  }

  /** Returns the time of the oldest event that may still be shown, in ms since the epoch. */
  oldestMs(wallMs: number): number | null {
    return (this.#call(() => this.#sql.oldest.get(this.#keptMs(wallMs))) as { oldest: number | null }).oldest;
  }

  size(): { events: number; bytes: number } {
    const { events } = this.#call(() => this.#sql.size.get()) as { events: number };
    return { events, bytes: this.#usedPages() * PAGE_BYTES };
  }

  keepRecord(record: RestraintRecord): void {
    this.#transaction(() => this.#keep(record));
  }

  /** Returns records above `afterRow`, oldest first. */
  records(afterRow: number, limit: number): { row: number; record: RestraintRecord }[] {
    const rows = this.#call(() => this.#sql.records.all(afterRow, limit)) as { row: number; body: string }[];
    return rows.map(({ row, body }) => ({ row, record: JSON.parse(body) as RestraintRecord }));
  }

  #makeRoom(wallMs: number): void {
    while (this.#usedPages() > this.#limitPages - Math.min(SPARE_PAGES, this.#limitPages / 2)) {
      const span = this.#sql.first.get(EVICT_BATCH) as Span;
      if (span.count === 0) return;
      this.#sql.evict.run(EVICT_BATCH);
      this.counters.evicted += span.count;
      this.#keepPurge(span, 'limit', wallMs);
    }
  }

  #keepPurge(span: Span, reason: PurgeRecord['why'], wallMs: number): PurgeRecord {
    const record: PurgeRecord = {
      record: 'purge',
      at: new Date(wallMs).toISOString(),
      what: 'events',
      count: span.count,
      from: new Date(span.oldest).toISOString(),
      to: new Date(span.newest).toISOString(),
      why: reason,
      days: this.#days,
    };
    this.#keep(record);
    return record;
  }

  #keep(record: RestraintRecord): void {
    const { lastInsertRowid } = this.#sql.record.run(JSON.stringify(record));
    this.counters.recordsTrimmed += this.#sql.trimRecords.run(Number(lastInsertRowid) - RECORDS_MAX).changes;
  }

  #parameters(query: SearchQuery, wallMs: number): object {
    const list = (items: readonly string[] | undefined): string | null =>
      items === undefined ? null : JSON.stringify(items);
    return {
      fromMs: Date.parse(query.from),
      toMs: Date.parse(query.to),
      kinds: list(query.kinds),
      zones: list(query.zones),
      keptMs: this.#keptMs(wallMs),
    };
  }

  /**
   * Returns the wall time before which events are expired. Those are never shown, whether or not they are purged
   * already.
   */
  #keptMs(wallMs: number): number {
    return wallMs - this.#days * 86_400_000;
  }

  #usedPages(): number {
    const read = (name: string): number => Number(this.#db.pragma(name, { simple: true }));
    return this.#call(() => read('page_count') - read('freelist_count'));
  }

  #transaction<T>(operation: () => T): T {
    const before = { ...this.counters };
    try {
      return this.#call(() => this.#db.transaction(operation).immediate());
    } catch (error) {
      Object.assign(this.counters, before);
      throw error;
    }
  }

  #call<T>(operation: () => T): T {
    return sqliteCall(archiveFile(this.#db.name), operation);
  }
}

function statements(db: Db) {
  return {
    insert: db.prepare(
      `INSERT INTO event (id, time_ms, kind, place, boot, mono_ms, kept_from_ms, body)
       VALUES (@id, @timeMs, @kind, @place, @boot, @monoMs, @keptFromMs, @body) ON CONFLICT (id) DO NOTHING`,
    ),
    progress: db.prepare('SELECT seq FROM progress WHERE lane = ?'),
    setProgress: db.prepare('UPDATE progress SET seq = ? WHERE lane = ?'),
    date: db.prepare(
      `UPDATE event SET kept_from_ms = CASE WHEN boot = @boot THEN @wallMs - (@monoMs - mono_ms) ELSE @wallMs END
       WHERE kept_from_ms IS NULL OR kept_from_ms > @wallMs`,
    ),
    expired: db.prepare(`SELECT ${SPAN} event WHERE ${EXPIRED}`),
    expire: db.prepare(`DELETE FROM event WHERE ${EXPIRED}`),
    first: db.prepare(`SELECT ${SPAN} (SELECT time_ms FROM event ORDER BY row LIMIT ?)`),
    evict: db.prepare('DELETE FROM event WHERE row IN (SELECT row FROM event ORDER BY row LIMIT ?)'),
    find: db.prepare(
      `SELECT row, time_ms AS timeMs, body FROM event INDEXED BY event_time
       WHERE ${MATCH} AND (time_ms, row) > (@afterMs, @afterRow) ORDER BY time_ms, row LIMIT @limit`,
    ),
    count: db.prepare(`SELECT count(*) AS count FROM event WHERE ${MATCH}`),
    oldest: db.prepare(
      'SELECT min(time_ms) AS oldest FROM event WHERE kept_from_ms IS NULL OR kept_from_ms >= ?',
    ),
    size: db.prepare('SELECT count(*) AS events FROM event'),
    record: db.prepare('INSERT INTO record (body) VALUES (?)'),
    trimRecords: db.prepare('DELETE FROM record WHERE row <= ?'),
    records: db.prepare('SELECT row, body FROM record WHERE row > ? ORDER BY row LIMIT ?'),
  };
}
