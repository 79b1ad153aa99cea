/**
 * Deletes data beyond its retention time, at the start and every hour, and records each deletion.
 *
 * INVARIANTS:
 * - Deletion and audit entry are one transaction: after a crash, no deletion is partial or unrecorded.
 * - A row is deleted at the limit of its own box. A whole month (PostgreSQL) is dropped only if no box may keep
 *   anything in it.
 * - Only one of several programs on one database deletes.
 * - Deleted data is also removed from the files by `scrub`, after each run and thoroughly once a night.
 * - The audit log (table `audit`) is kept indefinitely, because a deleted entry would break its hash chain.
 * LIMITS:
 * - `sliceRows` rows and SLICE_BOXES boxes per transaction, followed by an equally long pause for the archive's
 *   batches.
 * - A month in use is waited for LOCK_WITHIN_MS, and tried again an hour later.
 */
import { systemClock } from '../../../../agent/base/clock.ts';
import { messageOf } from '../../../../agent/base/errors.ts';
import { record } from '../database/audit.ts';
import { hold, type Lease, release } from '../database/lease.ts';
import { makePartitions, type Partition, partitionOf, partitionsOf } from '../database/partitions.ts';
import { TABLES_LOCK, timeZoneOf } from '../database/prepare.ts';
import { type Dialect, iso, type Queries, type Sql } from '../database/sql.ts';
import { Authorisations, type AuthorisationsOptions, type Ceilings } from './orders.ts';
import { BOX_TABLES, type BoxTable, boxesIn, type Place, removeRest } from './rows.ts';

/** Interval of runs in ms. Limits are in days: an hour is less than a twentieth of the shortest. */
const EVERY_MS = 3_600_000;

/** Hour of the room's time zone, 0 to 23, in which files are rewritten, because the fewest people watch then. */
const NIGHT_HOUR = 3;

/** Boxes per transaction. The audit entry contains their names: 100 take about 3 kB. */
const SLICE_BOXES = 100;

const PAUSE_MS_MAX = 1000;

/**
 * Duration of the lease in ms, far longer than one transaction. After it another program continues in place of a killed
 * one.
 */
const LEASE_MS = 120_000;

/** Maximum wait for a lock, in ms. Dropping a table waits for all running queries, while all others wait behind it. */
const LOCK_WITHIN_MS = 2000;

const DAY_MS = 86_400_000;

export interface PurgeOptions extends Omit<AuthorisationsOptions, 'log'> {
  /** Unique name of this program. */
  readonly instanceId: string;
  /** The room's clock. */
  readonly nowMs?: () => number;
  readonly everyMs?: number;
}

/** Another program has the lease. */
class LeaseUnavailable extends Error {}

interface Slice {
  readonly counts: Record<string, number>;
  readonly boxes: (Place & { readonly rows: number; readonly reason: string; readonly days: number })[];
  from: string | undefined;
  to: string | undefined;
  rows: number;
}

export class Purge {
  readonly #db: Sql;
  readonly #authorisations: Authorisations;
  readonly #nowMs: () => number;
  readonly #everyMs: number;
  readonly #lease: Lease;
  readonly #log: (line: string) => void;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  /** Last night in which files were rewritten, and the lines reported about it. */
  #night = '';
  #problems: readonly string[] = [];

  /** `log` receives one line for a person about each run that deleted something, and about each fault. */
  constructor(db: Sql, options: PurgeOptions, log: (line: string) => void) {
    const { instanceId, folder, keys, nowMs = Date.now, everyMs = EVERY_MS } = options;
    this.#db = db;
    this.#authorisations = new Authorisations({ folder, keys, log });
    this.#nowMs = nowMs;
    this.#everyMs = everyMs;
    this.#lease = { name: 'lease-purge', instanceId, forMs: LEASE_MS };
    this.#log = log;
  }

  /** Starts at once. An unavailable database is tried again with the next run. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Stops; resolves when the current transaction is durable. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const waitMs = await this.#runOnce();
      await systemClock.sleep(waitMs, signal);
    }
  }

  /** Performs one run; returns the ms until the next. */
  async #runOnce(): Promise<number> {
    const total: Record<string, number> = {};
    try {
      const nowMs = this.#nowMs();
      if (!(await hold(this.#db, this.#lease, nowMs))) throw new LeaseUnavailable();
      try {
        // Runs first, because the server updates its counts of deleted rows with a delay.
        await this.#scrub(await this.#isNight(nowMs));
        await this.#purge(nowMs, total);
        await this.#scrub(false);
      } finally {
        await release(this.#db, this.#lease);
      }
    } catch (error) {
      // The holder may die, and this program then continues its work.
      if (error instanceof LeaseUnavailable) return Math.min(LEASE_MS, this.#everyMs);
      this.#log(`purge: ${messageOf(error)}; the rest is deleted in the next run`);
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
    // Swedish form: YYYY-MM-DD HH:MM.
    const [day = '', time = ''] = new Intl.DateTimeFormat('sv-SE', format).format(nowMs).split(' ');
    if (Number(time.slice(0, 2)) !== NIGHT_HOUR || day === this.#night) return false;
    this.#night = day;
    return true;
  }

  /** Scrubs the database. Reports each problem once, and again only after a success. */
  async #scrub(isNight: boolean): Promise<void> {
    const { signal } = this.#stopping;
    const problems = await this.#db.scrub(isNight, { signal });
    for (const line of problems) if (!this.#problems.includes(line)) this.#log(`purge: ${line}`);
    if (isNight || problems.length > 0) this.#problems = problems;
  }

  async #purge(nowMs: number, total: Record<string, number>): Promise<void> {
    const ceilings = await this.#authorisations.read(nowMs);
    if (this.#db.dialect.name === 'postgres') await this.#months(ceilings, nowMs, total);
    for (const table of BOX_TABLES) await this.#boxes(table, ceilings, nowMs, total);
    const timeZone = await timeZoneOf(this.#db);
    await this.#slice(async (transaction) => {
      const counts = await removeRest(transaction, timeZone, nowMs);
      const went = Object.values(counts).some((rows) => rows > 0);
      if (went) await this.#record(transaction, { counts, to: iso(nowMs), reason: 'expired' });
      add(total, counts);
    });
  }

  /** Creates the coming months, and drops those in which nothing may be kept. */
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
      // This month would be created again an hour later, so its rows are deleted individually.
      if (month.toMs >= partitionOf(month.table, nowMs).fromMs) continue;
      const [counted] = await this.#db.all<{ rows: number }>(`SELECT count(*) AS rows FROM ${month.name}`);
      const rows = counted?.rows ?? 0;
      const isDropped = await this.#locked(month.name, (transaction) => this.#drop(transaction, month, rows));
      if (isDropped) add(total, { [month.table]: rows, partition: 1 });
    }
  }

  async #drop(transaction: Queries, { table, name, fromMs, toMs }: Partition, rows: number): Promise<void> {
    // The name is safe: it comes from the database's own list and consists of table, year and month.
    await transaction.run(`DROP TABLE ${name}`);
    await this.#record(transaction, {
      counts: { [table]: rows, partition: 1 },
      partition: name,
      from: iso(fromMs),
      to: iso(toMs),
      reason: 'older than the longest ceiling of all boxes',
    });
  }

  /** Runs a transaction with a lock timeout. Returns false if others used the table for too long. */
  async #locked(table: string, work: (transaction: Queries) => Promise<void>): Promise<boolean> {
    try {
      await this.#slice(async (transaction) => {
        await transaction.run(`SET LOCAL lock_timeout = ${LOCK_WITHIN_MS}`);
        await work(transaction);
      });
      return true;
    } catch (error) {
      // lock_not_available of https://www.postgresql.org/docs/current/errcodes-appendix.html
      if (!(error instanceof Error && 'code' in error && error.code === '55P03')) throw error;
      this.#log(`purge: ${table}: in use for more than ${LOCK_WITHIN_MS / 1000} s; retried in the next run`);
      return false;
    }
  }

  async #boxes(
    table: BoxTable,
    ceilings: Ceilings,
    nowMs: number,
    total: Record<string, number>,
  ): Promise<void> {
    const remaining = await boxesIn(this.#db, table.name);
    while (remaining.length > 0 && !this.#stopping.signal.aborted) {
      const beganMs = performance.now();
      const result = await this.#slice(async (transaction) => {
        const slice: Slice = { counts: {}, boxes: [], from: undefined, to: undefined, rows: 0 };
        const { dialect } = this.#db;
        const finished = await fill(transaction, slice, remaining, { dialect, table, ceilings, nowMs });
        if (slice.rows > 0) await this.#recordSlice(transaction, slice);
        return { slice, finished };
      });
      remaining.splice(0, result.finished);
      add(total, result.slice.counts);
      await systemClock.sleep(Math.min(performance.now() - beganMs, PAUSE_MS_MAX), this.#stopping.signal);
    }
  }

  /**
   * Runs a transaction under the lease.
   * @throws {LeaseUnavailable} if another program purges
   */
  #slice<T>(work: (transaction: Queries) => Promise<T>): Promise<T> {
    return this.#db.transaction(async (transaction) => {
      if (!(await hold(transaction, this.#lease, this.#nowMs()))) throw new LeaseUnavailable();
      return work(transaction);
    });
  }

  async #recordSlice(transaction: Queries, { counts, boxes, from, to }: Slice): Promise<void> {
    const reasons = new Map<string, Record<string, number>>();
    for (const { site, box, rows, reason, days } of boxes) {
      const text = `${reason}, ${days} days`;
      reasons.set(text, { ...reasons.get(text), [`${site}/${box}`]: rows });
    }
    const byReason = [...reasons].map(([reason, those]) => ({ reason, boxes: those }));
    const [only] = boxes;
    await this.#record(
      transaction,
      { counts, from, to, reasons: byReason },
      boxes.length === 1 && only !== undefined ? { site: only.site, box: only.box } : {},
    );
  }

  async #record(
    transaction: Queries,
    details: Readonly<Record<string, unknown>>,
    place: Partial<Place> = {},
  ): Promise<void> {
    await record(
      transaction,
      { account: 'room', role: 'room', act: 'purge', ...place, more: details },
      this.#nowMs(),
    );
  }
}

interface Fill {
  readonly dialect: Dialect;
  readonly table: BoxTable;
  readonly ceilings: Ceilings;
  readonly nowMs: number;
}

/** Deletes rows of the first boxes until the slice is full. Returns the number of boxes that are complete. */
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
    addRows(slice, rows, (place) => ({ reason: ceilings.of(place).reason, days }));
    add(slice.counts, counts);
    // The remaining rows of these boxes are searched again.
    if (rows.length >= limit) return 0;
  }
  return those.length;
}

function addRows(
  slice: Slice,
  rows: readonly (Place & { readonly time: string })[],
  reasonOf: (place: Place) => { readonly reason: string; readonly days: number },
): void {
  const byBox = new Map<string, Place & { rows: number }>();
  for (const { site, box, time } of rows) {
    const key = `${site}/${box}`;
    const entry = byBox.get(key) ?? { site, box, rows: 0 };
    entry.rows += 1;
    byBox.set(key, entry);
    if (slice.from === undefined || time < slice.from) slice.from = time;
    if (slice.to === undefined || time > slice.to) slice.to = time;
  }
  for (const one of byBox.values()) slice.boxes.push({ ...one, ...reasonOf(one) });
  slice.rows += rows.length;
}

function add(sums: Record<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [name, rows] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + rows;
}
