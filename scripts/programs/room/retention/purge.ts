/**
 * Deletes what the room may not keep any longer, at the start and every hour, and records each deletion.
 *
 * INVARIANTS: what is deleted and its record are one transaction: after a crash nothing is half gone or unrecorded. A row
 * goes at its own box's ceiling; a whole month (PostgreSQL) only when nothing in it can be kept by any box. Of several
 * programs on one database one deletes. What was deleted goes out of the files too: `scrub` of the database, after each run
 * and thoroughly once a night. The record itself (table `audit`) is kept for ever: it holds no person's data.
 * LIMITS: `sliceRows` rows and SLICE_BOXES boxes in a transaction, and as long a pause as it took behind it, so that the
 * archive's batches come between; a month that is in use is waited for LOCK_WITHIN_MS, and tried again an hour later.
 */
import { systemClock } from '../../../../agent/base/clock.ts';
import { messageOf } from '../../../../agent/base/errors.ts';
import { record } from '../database/audit.ts';
import { hold, type Lease, release } from '../database/lease.ts';
import { makePartitions, type Partition, partitionOf, partitionsOf } from '../database/partitions.ts';
import { TABLES_LOCK, timeZoneOf } from '../database/prepare.ts';
import { type Dialect, iso, type Queries, type Sql } from '../database/sql.ts';
import { type Ceilings, Orders, type OrdersOptions } from './orders.ts';
import { BOX_TABLES, type BoxTable, boxesIn, type Place, removeRest } from './rows.ts';

/** A ceiling is in days: an hour is less than one in twenty of the shortest. */
const EVERY_MS = 3_600_000;

/** The hour of the room's time zone, 0 to 23, in which files are written anew: the fewest watch then. */
const NIGHT_HOUR = 3;

/** Their names are in the record: 100 are some 3 kB. */
const SLICE_BOXES = 100;

const PAUSE_MS_MAX = 1000;

/** Far longer than a slice; so much later another goes on where one was killed. */
const LEASE_MS = 120_000;

/** Dropping waits for every query that is running; meanwhile all others wait behind it. */
const LOCK_WITHIN_MS = 2000;

const DAY_MS = 86_400_000;

export interface PurgeOptions extends Omit<OrdersOptions, 'log'> {
  /** Of this program, nobody else's. */
  readonly holder: string;
  /** The room's clock. */
  readonly nowMs?: () => number;
  readonly everyMs?: number;
}

/** Another program has the lease. */
class Elsewhere extends Error {}

interface Slice {
  readonly counts: Record<string, number>;
  readonly boxes: (Place & { readonly rows: number; readonly why: string; readonly days: number })[];
  from: string | undefined;
  to: string | undefined;
  rows: number;
}

export class Purge {
  readonly #db: Sql;
  readonly #orders: Orders;
  readonly #nowMs: () => number;
  readonly #everyMs: number;
  readonly #lease: Lease;
  readonly #log: (line: string) => void;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  /** The night in which files were written anew last, and what was told of them. */
  #night = '';
  #left: readonly string[] = [];

  /** `log` hears one line for a person of each run that deleted something, and of each fault. */
  constructor(db: Sql, options: PurgeOptions, log: (line: string) => void) {
    const { holder, folder, keys, nowMs = Date.now, everyMs = EVERY_MS } = options;
    this.#db = db;
    this.#orders = new Orders({ folder, keys, log });
    this.#nowMs = nowMs;
    this.#everyMs = everyMs;
    this.#lease = { name: 'lease-purge', holder, forMs: LEASE_MS };
    this.#log = log;
  }

  /** Begins at once; a database that is away is asked again with the next run. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when the slice at hand is on disk. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const waitMs = await this.#once();
      await systemClock.sleep(waitMs, signal);
    }
  }

  /** One run; returns the ms until the next. */
  async #once(): Promise<number> {
    const total: Record<string, number> = {};
    try {
      const nowMs = this.#nowMs();
      if (!(await hold(this.#db, this.#lease, nowMs))) throw new Elsewhere();
      try {
        // Before: a server counts what was deleted late.
        await this.#scrub(await this.#isNight(nowMs));
        await this.#purge(nowMs, total);
        await this.#scrub(false);
      } finally {
        await release(this.#db, this.#lease);
      }
    } catch (error) {
      // Whoever has it may die; then this program goes on where that one was.
      if (error instanceof Elsewhere) return Math.min(LEASE_MS, this.#everyMs);
      this.#log(`purge: ${messageOf(error)}; what is left is deleted with the next run`);
    }
    const parts = Object.entries(total).filter(([, rows]) => rows > 0);
    const text = parts.map(([name, rows]) => `${rows} of ${name}`).join(', ');
    if (text !== '') this.#log(`purge: deleted ${text}`);
    return this.#everyMs;
  }

  /** True once a night. */
  async #isNight(nowMs: number): Promise<boolean> {
    const timeZone = await timeZoneOf(this.#db);
    const format = { timeZone, dateStyle: 'short', timeStyle: 'short', hourCycle: 'h23' } as const;
    // As Sweden writes it: YYYY-MM-DD HH:MM.
    const [day = '', time = ''] = new Intl.DateTimeFormat('sv-SE', format).format(nowMs).split(' ');
    if (Number(time.slice(0, 2)) !== NIGHT_HOUR || day === this.#night) return false;
    this.#night = day;
    return true;
  }

  /** What cannot be done is told once, and again after it went well. */
  async #scrub(isNight: boolean): Promise<void> {
    const { signal } = this.#stopping;
    const left = await this.#db.scrub(isNight, { signal });
    for (const line of left) if (!this.#left.includes(line)) this.#log(`purge: ${line}`);
    if (isNight || left.length > 0) this.#left = left;
  }

  async #purge(nowMs: number, total: Record<string, number>): Promise<void> {
    const ceilings = await this.#orders.read(nowMs);
    if (this.#db.dialect.name === 'postgres') await this.#months(ceilings, nowMs, total);
    for (const table of BOX_TABLES) await this.#boxes(table, ceilings, nowMs, total);
    const timeZone = await timeZoneOf(this.#db);
    await this.#slice(async (transaction) => {
      const counts = await removeRest(transaction, timeZone, nowMs);
      const went = Object.values(counts).some((rows) => rows > 0);
      if (went) await this.#record(transaction, { counts, to: iso(nowMs), why: 'ended' });
      add(total, counts);
    });
  }

  /** The months to come are made, and those of which nothing may be kept are dropped. */
  async #months(ceilings: Ceilings, nowMs: number, total: Record<string, number>): Promise<void> {
    await this.#locked('the months to come', async (transaction) => {
      await transaction.all('SELECT pg_advisory_xact_lock($1)', [TABLES_LOCK]);
      await makePartitions(transaction, true, nowMs);
    });
    const { eventsDays, snapshotsDays } = ceilings.longest;
    const keptDays = { event: eventsDays, snapshot: snapshotsDays };
    for (const month of await partitionsOf(this.#db)) {
      if (this.#stopping.signal.aborted) return;
      if (month.toMs > nowMs - keptDays[month.table] * DAY_MS) continue;
      // What is made again an hour later; its rows go one by one.
      if (month.toMs >= partitionOf(month.table, nowMs).fromMs) continue;
      const [counted] = await this.#db.all<{ rows: number }>(`SELECT count(*) AS rows FROM ${month.name}`);
      const rows = counted?.rows ?? 0;
      const dropped = await this.#locked(month.name, (transaction) => this.#drop(transaction, month, rows));
      if (dropped) add(total, { [month.table]: rows, partition: 1 });
    }
  }

  async #drop(transaction: Queries, { table, name, fromMs, toMs }: Partition, rows: number): Promise<void> {
    // By this program's own hand and the database's list: the name is a table's, a year and a month.
    await transaction.run(`DROP TABLE ${name}`);
    await this.#record(transaction, {
      counts: { [table]: rows, partition: 1 },
      partition: name,
      from: iso(fromMs),
      to: iso(toMs),
      why: 'older than the longest ceiling of all boxes',
    });
  }

  /** False where others have used the table for too long. */
  async #locked(what: string, act: (transaction: Queries) => Promise<void>): Promise<boolean> {
    try {
      await this.#slice(async (transaction) => {
        await transaction.run(`SET LOCAL lock_timeout = ${LOCK_WITHIN_MS}`);
        await act(transaction);
      });
      return true;
    } catch (error) {
      // lock_not_available of https://www.postgresql.org/docs/current/errcodes-appendix.html
      if (!(error instanceof Error && 'code' in error && error.code === '55P03')) throw error;
      this.#log(
        `purge: ${what}: in use for more than ${LOCK_WITHIN_MS / 1000} s; tried again with the next run`,
      );
      return false;
    }
  }

  async #boxes(
    table: BoxTable,
    ceilings: Ceilings,
    nowMs: number,
    total: Record<string, number>,
  ): Promise<void> {
    const left = await boxesIn(this.#db, table.name);
    while (left.length > 0 && !this.#stopping.signal.aborted) {
      const beganMs = performance.now();
      const done = await this.#slice(async (transaction) => {
        const slice: Slice = { counts: {}, boxes: [], from: undefined, to: undefined, rows: 0 };
        const { dialect } = this.#db;
        const finished = await fill(transaction, slice, left, { dialect, table, ceilings, nowMs });
        if (slice.rows > 0) await this.#recordSlice(transaction, slice);
        return { slice, finished };
      });
      left.splice(0, done.finished);
      add(total, done.slice.counts);
      await systemClock.sleep(Math.min(performance.now() - beganMs, PAUSE_MS_MAX), this.#stopping.signal);
    }
  }

  /** A transaction in which nobody else purges; throws Elsewhere where somebody does. */
  #slice<T>(act: (transaction: Queries) => Promise<T>): Promise<T> {
    return this.#db.transaction(async (transaction) => {
      if (!(await hold(transaction, this.#lease, this.#nowMs()))) throw new Elsewhere();
      return act(transaction);
    });
  }

  async #recordSlice(transaction: Queries, { counts, boxes, from, to }: Slice): Promise<void> {
    const reasons = new Map<string, Record<string, number>>();
    for (const { site, box, rows, why, days } of boxes) {
      const reason = `${why}, ${days} days`;
      reasons.set(reason, { ...reasons.get(reason), [`${site}/${box}`]: rows });
    }
    const why = [...reasons].map(([reason, those]) => ({ why: reason, boxes: those }));
    const [only] = boxes;
    await this.#record(
      transaction,
      { counts, from, to, why },
      boxes.length === 1 && only !== undefined ? { site: only.site, box: only.box } : {},
    );
  }

  async #record(
    transaction: Queries,
    more: Readonly<Record<string, unknown>>,
    place: Partial<Place> = {},
  ): Promise<void> {
    await record(transaction, { who: 'room', role: 'room', act: 'purge', ...place, more }, this.#nowMs());
  }
}

interface Fill {
  readonly dialect: Dialect;
  readonly table: BoxTable;
  readonly ceilings: Ceilings;
  readonly nowMs: number;
}

/** Deletes of the first boxes until the slice is full; returns how many of them have nothing more to delete. */
async function fill(
  transaction: Queries,
  slice: Slice,
  places: readonly Place[],
  { dialect, table, ceilings, nowMs }: Fill,
): Promise<number> {
  const those = places.slice(0, SLICE_BOXES);
  const byDays = new Map<number, Place[]>();
  for (const place of those) {
    const days = table.daysOf(ceilings.of(place));
    byDays.set(days, [...(byDays.get(days) ?? []), place]);
  }
  for (const [days, group] of byDays) {
    const [cutoffMs, limit] = [nowMs - days * DAY_MS, table.sliceRows[dialect.name] - slice.rows];
    const { rows, counts } = await table.remove(transaction, dialect, { places: group, cutoffMs, limit });
    addRows(slice, rows, (place) => ({ why: ceilings.of(place).why, days }));
    add(slice.counts, counts);
    // What is left of these boxes is looked for again.
    if (rows.length >= limit) return 0;
  }
  return those.length;
}

function addRows(
  slice: Slice,
  rows: readonly (Place & { readonly time: string })[],
  reasonOf: (place: Place) => { readonly why: string; readonly days: number },
): void {
  const byBox = new Map<string, Place & { rows: number }>();
  for (const { site, box, time } of rows) {
    const key = `${site}/${box}`;
    const known = byBox.get(key) ?? { site, box, rows: 0 };
    known.rows += 1;
    byBox.set(key, known);
    if (slice.from === undefined || time < slice.from) slice.from = time;
    if (slice.to === undefined || time > slice.to) slice.to = time;
  }
  for (const one of byBox.values()) slice.boxes.push({ ...one, ...reasonOf(one) });
  slice.rows += rows.length;
}

function add(sums: Record<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [name, rows] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + rows;
}
