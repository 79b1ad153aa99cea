/**
 * Tables of the log of tracks.
 *
 * INVARIANTS: a flush is one transaction, so rows, spans and views belong to the same moment. Deleted rows are
 * overwritten.
 * LIMITS: `limitMiB`. Before the file is full the oldest rows are removed, EVICT_SHARE of them at a time.
 */
import { AgentError } from '../base/errors.ts';
import { type Db, PAGE_BYTES, sqliteCall } from '../base/sqlite.ts';
import type { Span, Window } from './coverage.ts';
import { trackFile } from './database.ts';
import { PIECE_MS, type TrackPiece } from './recorder.ts';
import {
  CONTINUES,
  JOINED_MASK,
  KEYS_OF_A_TENTH,
  keyOf,
  readKind,
  rowOf,
  startMsOf,
  type TrackRow,
} from './rows.ts';

/** About 4 MB, the volume of a busy day. */
const SPARE_PAGES = 1024;
/** Ratio of all rows that is removed at once: a day and a half of thirty. */
const EVICT_RATIO = 0.05;
const ROWS_NOTE = 'rows';
const COLUMNS = 'at, duration, track, kind, score, stop, path';
/** Time after every row. */
export const EVERYTHING_MS = 8.64e15 / 1000;

/** A framing of the camera. */
export interface View {
  readonly fromMs: number;
  /** The stream as an authorisation names it: without login, its keys as digests. */
  readonly camera: string;
  /** Width of the picture to its height. */
  readonly aspect: number;
}

export interface Flushed {
  readonly pieces: readonly TrackPiece[];
  readonly spans: readonly Span[];
  readonly views: readonly View[];
}

/** Filter on rows. */
export interface RowFilter {
  readonly fromMs: number;
  readonly toMs: number;
  /** Time until which continuing rows are included. */
  readonly onMs: number;
  /** Undefined for any place. */
  readonly cells: bigint | undefined;
  readonly stopS: number;
  /** Numbers of classes. */
  readonly classes: readonly number[];
}

export interface Deleted {
  readonly count: number;
  readonly oldestMs: number;
  readonly newestMs: number;
}

export class TrackStore {
  readonly #db: Db;
  readonly #limitPages: number;
  readonly #sql: ReturnType<typeof statements>;
  /** Updated with every change, because counting 100 MB of rows takes seconds on a memory card. */
  #rows: number;

  constructor(db: Db, limitMiB: number) {
    this.#db = db;
    this.#limitPages = (limitMiB * 1_048_576) / PAGE_BYTES;
    this.#sql = sqliteCall(trackFile(db.name), () => statements(db));
    this.#rows = Number(this.note(ROWS_NOTE) ?? 0);
  }

  /** Idempotent. */
  close(): void {
    if (this.#db.open) this.#call(() => this.#db.close());
  }

  write({ pieces, spans, views }: Flushed): void {
    // Tracks arrive in the order of their ends. Writing them by start fills each page.
    const byStart = [...pieces].sort((a, b) => a.fromMs - b.fromMs);
    this.#transaction(() => {
      for (const piece of byStart) this.#insert(piece);
      for (const { fromMs, toMs, kind, why: reason } of spans)
        this.#sql.span.run(Math.round(fromMs), Math.round(toMs), kind, reason);
      for (const { fromMs, camera, aspect } of views) this.#sql.view.run(Math.round(fromMs), camera, aspect);
      this.#count(pieces.length);
    });
  }

  /** Returns at most `limit` rows after the key `after`, by their start. */
  rows({ fromMs, toMs, onMs, cells, stopS, classes }: RowFilter, after: number, limit: number): TrackRow[] {
    const parameters = {
      after: Math.max(after, keyOf(fromMs) - 1),
      to: keyOf(toMs),
      on: keyOf(onMs),
      cells: cells ?? -1n,
      stop: stopS,
      classes: JSON.stringify(classes),
      limit,
    };
    return this.#call(() => this.#sql.rows.all(parameters) as TrackRow[]);
  }

  /** Returns the piece of the same track that this one continues. */
  pieceBefore({ at, track }: Pick<TrackRow, 'at' | 'track'>): TrackRow | undefined {
    const from = keyOf(startMsOf(at) - 2 * PIECE_MS);
    const row = this.#call(() => this.#sql.pieceBefore.get({ at, track, from })) as TrackRow | undefined;
    return row !== undefined && readKind(row.kind).goesOn ? row : undefined;
  }

  /** Returns the piece of the same track that continues this one. */
  pieceAfter({ at, track, duration }: Pick<TrackRow, 'at' | 'track' | 'duration'>): TrackRow | undefined {
    // It begins where this one ends, which is known to a tenth of a second.
    const end = at + duration * KEYS_OF_A_TENTH;
    const parameters = { at: Math.max(at, end - 2 * KEYS_OF_A_TENTH), to: end + 2 * KEYS_OF_A_TENTH, track };
    const row = this.#call(() => this.#sql.pieceAfter.get(parameters)) as TrackRow | undefined;
    return row !== undefined && readKind(row.kind).continues ? row : undefined;
  }

  /** Returns spans that overlap the time, and the last one before it. */
  spans(fromMs: number, toMs: number): Span[] {
    return this.#call(() => this.#sql.spans.all(fromMs, toMs) as Span[]);
  }

  views(): View[] {
    return this.#call(() => this.#sql.views.all() as View[]);
  }

  note(name: string): string | undefined {
    const row = this.#call(() => this.#sql.note.get(name)) as { value: string } | undefined;
    return row?.value;
  }

  setNote(name: string, value: string): void {
    this.#transaction(() => this.#sql.setNote.run(name, value));
  }

  /** Counts rows that began within the time; undefined if there are none. */
  within({ fromMs, toMs }: Window): Deleted | undefined {
    const { count, oldest, newest } = this.#call(() => this.#sql.within.get(keyOf(fromMs), keyOf(toMs))) as {
      count: number;
      oldest: number | null;
      newest: number | null;
    };
    if (oldest === null || newest === null) return undefined;
    return { count, oldestMs: startMsOf(oldest), newestMs: startMsOf(newest) };
  }

  /** Deletes rows that began within the time, and the spans and views that lie within it. */
  purge({ fromMs, toMs }: Window): void {
    this.#transaction(() => {
      this.#count(-this.#sql.purge.run(keyOf(fromMs), keyOf(toMs)).changes);
      this.#sql.purgeSpans.run(fromMs, toMs);
      // The newest view of the past is still shown.
      if (fromMs > 0) this.#sql.purgeViews.run(fromMs, toMs);
    });
    // The write-ahead log still holds the old pages.
    this.#call(() => this.#db.pragma('wal_checkpoint(TRUNCATE)'));
  }

  /** Time before which a nearly full file should be purged; undefined while there is room. */
  get fullBeforeMs(): number | undefined {
    if (this.#usedPages() <= this.#limitPages - Math.min(SPARE_PAGES, this.#limitPages / 2)) return undefined;
    const row = this.#call(() => this.#sql.nth.get(Math.ceil(this.#rows * EVICT_RATIO)));
    return row === undefined ? undefined : startMsOf((row as { at: number }).at);
  }

  size(): { rows: number; bytes: number; oldestMs: number | null } {
    const { oldest } = this.#call(() => this.#sql.oldest.get()) as { oldest: number | null };
    return {
      rows: this.#rows,
      bytes: this.#usedPages() * PAGE_BYTES,
      oldestMs: oldest === null ? null : startMsOf(oldest),
    };
  }

  #insert(piece: TrackPiece): void {
    const first = keyOf(piece.fromMs);
    const { newest } = this.#sql.newestIn.get(first, first + KEYS_OF_A_TENTH) as { newest: number | null };
    this.#sql.insert.run({ at: newest === null ? first : newest + 1, ...rowOf(piece) });
  }

  #usedPages(): number {
    const read = (name: string): number => Number(this.#db.pragma(name, { simple: true }));
    return this.#call(() => read('page_count') - read('freelist_count'));
  }

  #count(change: number): void {
    this.#rows += change;
    this.#sql.setNote.run(ROWS_NOTE, String(this.#rows));
  }

  #transaction<T>(operation: () => T): T {
    const before = this.#rows;
    try {
      return this.#call(() => this.#db.transaction(operation).immediate());
    } catch (error) {
      this.#rows = before;
      throw error;
    }
  }

  #call<T>(operation: () => T): T {
    // A question waits between its batches, and the authorisation may end in the meantime.
    if (!this.#db.open) throw new AgentError('unavailable', 'the log of tracks was closed meanwhile');
    return sqliteCall(trackFile(this.#db.name), operation);
  }
}

function statements(db: Db) {
  return {
    newestIn: db.prepare('SELECT max(at) AS newest FROM track WHERE at >= ? AND at < ?'),
    insert: db.prepare(
      'INSERT INTO track VALUES (@at, @duration, @track, @kind, @score, @stop, @cells, @path)',
    ),
    span: db.prepare(
      `INSERT INTO span VALUES (?, ?, ?, ?)
       ON CONFLICT (from_ms) DO UPDATE SET to_ms = excluded.to_ms, kind = excluded.kind, why = excluded.why`,
    ),
    view: db.prepare('INSERT INTO view VALUES (?, ?, ?) ON CONFLICT (from_ms) DO NOTHING'),
    // Rows that are joined with others of their track are needed at any place and of any class.
    rows: db.prepare(
      `SELECT ${COLUMNS}, (cells & @cells) != 0 AS near FROM track WHERE at > @after AND at < @on
       AND (at < @to OR (kind & ${CONTINUES}) != 0) AND ((kind & ${JOINED_MASK}) != 0 OR ((cells & @cells) != 0 AND stop >= @stop
         AND (kind & 15) IN (SELECT value FROM json_each(@classes)))) ORDER BY at LIMIT @limit`,
    ),
    pieceBefore: db.prepare(
      `SELECT ${COLUMNS}, 1 AS near FROM track WHERE at >= @from AND at < @at AND track = @track
       ORDER BY at DESC LIMIT 1`,
    ),
    pieceAfter: db.prepare(
      `SELECT ${COLUMNS}, 1 AS near FROM track WHERE at > @at AND at < @to AND track = @track ORDER BY at LIMIT 1`,
    ),
    spans: db.prepare(
      `SELECT from_ms AS fromMs, to_ms AS toMs, kind, why FROM span
       WHERE from_ms >= coalesce((SELECT max(from_ms) FROM span WHERE from_ms <= ?), 0) AND from_ms < ? ORDER BY from_ms`,
    ),
    views: db.prepare('SELECT from_ms AS fromMs, camera, aspect FROM view ORDER BY from_ms'),
    note: db.prepare('SELECT value FROM note WHERE name = ?'),
    setNote: db.prepare(
      'INSERT INTO note VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
    ),
    within: db.prepare(
      'SELECT count(*) AS count, min(at) AS oldest, max(at) AS newest FROM track WHERE at >= ? AND at < ?',
    ),
    purge: db.prepare('DELETE FROM track WHERE at >= ? AND at < ?'),
    purgeSpans: db.prepare('DELETE FROM span WHERE from_ms >= ? AND to_ms < ?'),
    purgeViews: db.prepare('DELETE FROM view WHERE from_ms >= ? AND from_ms < ?'),
    nth: db.prepare('SELECT at FROM track ORDER BY at LIMIT 1 OFFSET ?'),
    oldest: db.prepare('SELECT min(at) AS oldest FROM track'),
  };
}
