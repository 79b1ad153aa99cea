/**
 * Database of rows in two lanes, on disk or in memory.
 *
 * INVARIANTS:
 * - Each number of a lane is assigned once.
 * - Every number from the oldest row to the newest is a message or is covered by a gap record.
 * - Two gap records are never adjacent.
 * LIMITS: the number of pages set on opening. When they run out, rows of the lowest rank are dropped first, oldest
 * first, across both lanes. An item never displaces a higher rank than its own; it becomes a gap instead.
 */
import type { Clock } from '../base/clock.ts';
import { AgentError, assert } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type Db, PAGE_BYTES, sqliteCall } from '../base/sqlite.ts';
import {
  BODY_BYTES_MAX,
  type GapReason,
  type GapRecord,
  LANES,
  type Lane,
  type LaneCounters,
  type Notes,
  type OutboxItem,
  type OutboxRow,
  RANKS,
  type Rank,
  type SeqRange,
} from '../contract/outbox.ts';
import { closeDatabase, outboxFile } from './database.ts';
import { gapOf, mergeGaps } from './gap.ts';
import { type Statements, type StoredRow, statementsOf } from './lane-statements.ts';

/** Ranks as stored in the table. */
const RANK_NUMBERS: Readonly<Record<Rank, number>> = { snapshot: 0, notice: 1, alert: 2 };
/** Rank of gap rows: above all others, so that they are never dropped. */
const GAP_RANK = 3;

/** Bytes of a row besides its body (topic, times, index entries). Measured: 155 to 210. */
const ROW_OVERHEAD_BYTES = 256;

/** Pages kept free for the indices and gap records of a change. Doubled when they do not suffice. */
const SPARE_PAGES = 8;
const SPARE_PAGES_MAX = 64;

/** Rows that move to another store in one transaction: at most 64 × 150 kB. */
const ADOPT_BATCH = 64;

interface Tally {
  appended: number;
  released: number;
  expired: number;
  dropped: Record<Rank, number>;
  tooLarge: Record<Rank, number>;
}

export interface StoreOptions {
  readonly boot: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Store {
  readonly #db: Db;
  readonly #options: StoreOptions;
  readonly #lanes: Record<Lane, Statements>;
  #last: Record<Lane, number>;
  #tally: Record<Lane, Tally>;

  constructor(db: Db, options: StoreOptions) {
    this.#db = db;
    this.#options = options;
    this.#lanes = { alert: statementsOf(db, 'alert'), bulk: statementsOf(db, 'bulk') };
    this.#last = { alert: this.#readLast('alert'), bulk: this.#readLast('bulk') };
    this.#tally = { alert: emptyTally(), bulk: emptyTally() };
  }

  /** See Outbox.epoch. */
  get epoch(): string {
    return this.#call(() => this.#db.prepare('SELECT id FROM epoch').pluck().get()) as string;
  }

  get readOnly(): boolean {
    return this.#db.readonly;
  }

  /** Newest number assigned in each lane. */
  get last(): Record<Lane, number> {
    return { ...this.#last };
  }

  close(): void {
    closeDatabase(this.#db, this.#options.log);
  }

  /** See Outbox.append. */
  append(items: readonly OutboxItem[], notes: Notes = {}): number[] {
    for (let spare = SPARE_PAGES; ; spare *= 2) {
      try {
        return this.#transaction(() => {
          this.#note(notes, spare);
          return items.map((item) => this.#insert(item, spare));
        });
      } catch (error) {
        if (!isExhausted(error) || spare >= SPARE_PAGES_MAX) throw error;
      }
    }
  }

  /** See Outbox.notes. */
  notes(prefix: string): { key: string; text: string }[] {
    const all = this.#call(() => this.#db.prepare('SELECT key, text FROM note ORDER BY key').all());
    return (all as { key: string; text: string }[]).filter(({ key }) => key.startsWith(prefix));
  }

  peek(lane: Lane, afterSeq: number, limit: number): OutboxRow[] {
    const rows = this.#call(() => this.#lanes[lane].peek.all(afterSeq, limit)) as StoredRow[];
    return rows.map((row) => this.#published(row));
  }

  range(lane: Lane): SeqRange {
    const last = this.#last[lane];
    const first = this.#call(() => this.#lanes[lane].first.get()) as StoredRow | undefined;
    if (first === undefined) return { first: last + 1, last };
    return { first: first.gap === null ? first.seq : gapIn(first.gap).from, last };
  }

  /** Returns the number of rows with a number above `after` and at most `maxSeq`. */
  count(lane: Lane, after: number, maxSeq: number): number {
    return (this.#call(() => this.#lanes[lane].countBetween.get(after, maxSeq)) as { rows: number }).rows;
  }

  release(lane: Lane, seqs: readonly number[]): number {
    return this.#counted(lane, () => {
      const statement = this.#lanes[lane].delete;
      return seqs.reduce((sum, seq) => sum + statement.run(seq).changes, 0);
    });
  }

  releaseThrough(lane: Lane, seq: number): number {
    return this.#counted(lane, () => this.#lanes[lane].deleteThrough.run(seq).changes);
  }

  /** Turns rows older than their `expiryS` into gaps and returns their count. */
  expire(): number {
    const { boot, clock } = this.#options;
    const now = { boot, wallMs: clock.wallMs(), monoMs: clock.nowMs() };
    return LANES.reduce((sum, lane) => {
      const rows = this.#call(() => this.#lanes[lane].expired.all(now)) as StoredRow[];
      if (rows.length === 0) return sum;
      this.#transaction(() => {
        for (const { seq } of rows) this.#evict(lane, seq, 'expired');
      });
      return sum + rows.length;
    }, 0);
  }

  /** Turns the message with this number into a gap; false if there is no such message. */
  dropTooLarge(lane: Lane, seq: number): boolean {
    return this.#transaction(() => {
      const row = this.#lanes[lane].get.get(seq) as StoredRow | undefined;
      if (row === undefined || row.gap !== null) return false;
      this.#evict(lane, seq, 'too-large');
      return true;
    });
  }

  /** Marks every number through `gap.to` as used, as the record states. The gap begins above the last number. */
  skip(gap: GapRecord): void {
    this.#transaction(() => {
      assert(gap.from > this.#last[gap.lane], 'a gap begins above the last number');
      this.#putGap(gap, this.#now());
      this.#setLast(gap.lane, gap.to);
    });
  }

  /** Continues counting after `last`, for a store that replaces another. */
  continueFrom(lane: Lane, last: number): void {
    this.#transaction(() => this.#setLast(lane, Math.max(last, this.#last[lane])));
  }

  /** Adopts the rows of another store above this store's last number, and continues counting as that store did. */
  adopt(other: Store): void {
    for (const lane of LANES) {
      for (;;) {
        const rows = other.#lanes[lane].peek.all(this.#last[lane], ADOPT_BATCH) as StoredRow[];
        const newest = rows.at(-1);
        if (newest === undefined) break;
        this.#transaction(() => {
          for (const row of rows) this.#put(lane, row);
          this.#setLast(lane, newest.seq);
        });
      }
      this.continueFrom(lane, other.#last[lane]);
    }
    this.adoptNotes(other);
    // The epoch changes last: after a crash on the way, the rows left behind do not belong to this store's own epoch.
    this.#transaction(() => this.#db.prepare('UPDATE epoch SET id = ?').run(other.epoch));
  }

  /** Replaces the notes with those of the other store. */
  adoptNotes(other: Store): void {
    const notes = other.notes('').map(({ key, text }) => [key, text] as const);
    this.#transaction(() => {
      this.#db.exec('DELETE FROM note');
      this.#note(Object.fromEntries(notes), SPARE_PAGES);
    });
  }

  counters(lane: Lane): LaneCounters {
    const { rows, bytes } = this.#call(() => this.#lanes[lane].count.get()) as {
      rows: number;
      bytes: number | null;
    };
    const lastSeq = this.#last[lane];
    return { rows, bytes: bytes ?? 0, lastSeq, ...structuredClone(this.#tally[lane]) };
  }

  /** Notes rank as high as an alert: without them an alert would be lost or sent twice. */
  #note(notes: Notes, sparePages: number): void {
    const changes = Object.entries(notes);
    if (changes.length === 0) return;
    const bytes = changes.reduce((sum, [key, text]) => sum + key.length + (text?.length ?? 0), 0);
    this.#makeRoom(Math.ceil(bytes / PAGE_BYTES) + sparePages, 'alert');
    const keep = this.#db.prepare('INSERT OR REPLACE INTO note VALUES (?, ?)');
    const forget = this.#db.prepare('DELETE FROM note WHERE key = ?');
    for (const [key, text] of changes) {
      if (text === null) forget.run(key);
      else keep.run(key, text);
    }
  }

  #insert(item: OutboxItem, sparePages: number): number {
    const { lane, rank, topic, contentType, expiryS } = item;
    const seq = this.#last[lane] + 1;
    const body = 'jpeg' in item ? Buffer.from(item.jpeg.bytes) : Buffer.from(item.body(seq));
    assert(
      body.length <= BODY_BYTES_MAX,
      `${topic}: ${body.length} bytes, at most ${BODY_BYTES_MAX} allowed`,
    );
    this.#setLast(lane, seq);
    this.#tally[lane].appended += 1;
    const now = this.#now();
    const pages = Math.ceil((body.length + ROW_OVERHEAD_BYTES) / PAGE_BYTES) + sparePages;
    if (this.#makeRoom(pages, rank)) {
      this.#put(lane, {
        ...now,
        seq,
        rank: RANK_NUMBERS[rank],
        bytes: body.length,
        expiry_s: expiryS ?? null,
        topic,
        content_type: contentType,
        body,
        gap: null,
      });
    } else {
      this.#tally[lane].dropped[rank] += 1;
      this.#putGap(gapOf(lane, seq, rank, 'overflow', now.wall_ms), now);
    }
    return seq;
  }

  /** Frees pages by dropping rows of rank `rankMax` or lower; false when none are left to drop. */
  #makeRoom(pages: number, rankMax: Rank): boolean {
    const limit = RANK_NUMBERS[rankMax];
    while (this.#freePages() < pages) {
      const victim = LANES.map((lane) => ({
        lane,
        row: this.#lanes[lane].victim.get(limit) as StoredRow | undefined,
      }))
        .flatMap(({ lane, row }) => (row === undefined ? [] : [{ lane, row }]))
        .sort((a, b) => a.row.rank - b.row.rank || a.row.wall_ms - b.row.wall_ms)[0];
      if (victim === undefined) return false;
      this.#evict(victim.lane, victim.row.seq, 'overflow');
    }
    return true;
  }

  #evict(lane: Lane, seq: number, reason: Exclude<GapReason, 'store-lost'>): void {
    const row = this.#lanes[lane].get.get(seq) as StoredRow;
    const rank = RANKS.find((name) => RANK_NUMBERS[name] === row.rank);
    assert(rank !== undefined, 'a gap record must never be dropped');
    if (reason === 'expired') this.#tally[lane].expired += 1;
    else this.#tally[lane][reason === 'too-large' ? 'tooLarge' : 'dropped'][rank] += 1;
    this.#lanes[lane].delete.run(seq);
    this.#putGap(gapOf(lane, seq, rank, reason, row.wall_ms), row);
  }

  /** Writes a gap record, merged with its neighbours. Its own number holds no row at this point. */
  #putGap(gap: GapRecord, now: Pick<StoredRow, 'boot' | 'wall_ms' | 'mono_ms'>): void {
    const { before, after, delete: remove, setGap } = this.#lanes[gap.lane];
    let joined = gap;
    const previous = before.get(gap.from) as StoredRow | undefined;
    if (previous?.gap != null && previous.seq === gap.from - 1) {
      joined = mergeGaps(gapIn(previous.gap), joined);
      remove.run(previous.seq);
    }
    const next = after.get(gap.to) as StoredRow | undefined;
    if (next?.gap != null && gapIn(next.gap).from === gap.to + 1) {
      setGap.run(JSON.stringify(mergeGaps(joined, gapIn(next.gap))), next.seq);
    } else {
      this.#put(gap.lane, this.#gapRow(joined, now));
    }
  }

  #gapRow(
    gap: GapRecord,
    { boot, wall_ms, mono_ms }: Pick<StoredRow, 'boot' | 'wall_ms' | 'mono_ms'>,
  ): StoredRow {
    const empty = { bytes: 0, expiry_s: null, topic: '', content_type: '', body: Buffer.alloc(0) };
    return { ...empty, boot, wall_ms, mono_ms, seq: gap.to, rank: GAP_RANK, gap: JSON.stringify(gap) };
  }

  #put(lane: Lane, row: StoredRow): void {
    this.#lanes[lane].insert.run(row);
  }

  #now(): Pick<StoredRow, 'boot' | 'wall_ms' | 'mono_ms'> {
    const { boot, clock } = this.#options;
    return { boot, wall_ms: clock.wallMs(), mono_ms: clock.nowMs() };
  }

  /** Seconds until a row expires. For rows of this boot the monotonic clock counts, which clock steps do not affect. */
  #leftS(row: StoredRow): number {
    const { boot, clock } = this.#options;
    const ageMs = row.boot === boot ? clock.nowMs() - row.mono_ms : clock.wallMs() - row.wall_ms;
    return (row.expiry_s ?? Infinity) - Math.max(0, ageMs) / 1000;
  }

  #published(row: StoredRow): OutboxRow {
    const { seq, boot, topic, content_type: contentType, body } = row;
    if (row.gap !== null) return { kind: 'gap', seq, boot, gap: gapIn(row.gap) };
    const expiryS = row.expiry_s === null ? null : Math.max(1, Math.round(this.#leftS(row)));
    return { kind: 'message', seq, boot, topic, contentType, body, expiryS };
  }

  #freePages(): number {
    const read = (name: string): number => Number(this.#db.pragma(name, { simple: true }));
    return read('max_page_count') - read('page_count') + read('freelist_count');
  }

  #setLast(lane: Lane, last: number): void {
    this.#last[lane] = last;
    this.#lanes[lane].setLast.run(last, lane);
  }

  #readLast(lane: Lane): number {
    const row = this.#call(() => this.#lanes[lane].getLast.get(lane)) as { last: number } | undefined;
    if (row === undefined)
      throw new AgentError('corrupt', `the outbox ${this.#db.name} has lost its numbers`);
    return row.last;
  }

  #counted(lane: Lane, operation: () => number): number {
    return this.#transaction(() => {
      const released = operation();
      this.#tally[lane].released += released;
      return released;
    });
  }

  /** Applies all of `operation` or nothing, in the tables and in memory. */
  #transaction<T>(operation: () => T): T {
    const before = { last: { ...this.#last }, tally: structuredClone(this.#tally) };
    try {
      return this.#call(() => this.#db.transaction(operation).immediate());
    } catch (error) {
      this.#last = before.last;
      this.#tally = before.tally;
      throw error;
    }
  }

  #call<T>(operation: () => T): T {
    return sqliteCall(outboxFile(this.#db.name), operation);
  }
}

export function isExhausted(error: unknown): boolean {
  return error instanceof AgentError && error.kind === 'exhausted';
}

function gapIn(text: string): GapRecord {
  return JSON.parse(text) as GapRecord;
}

function emptyTally(): Tally {
  const none = { snapshot: 0, notice: 0, alert: 0 };
  return { appended: 0, released: 0, expired: 0, dropped: { ...none }, tooLarge: { ...none } };
}
