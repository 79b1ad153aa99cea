/**
 * What is deleted of some boxes that have one cutoff, table by table, exactly at it: a row goes when its time is before.
 *
 * INVARIANT: every statement names the boxes and a bound of time, so that it reads what it deletes and little else.
 */
import { next } from '../database/counters.ts';
import { type Dialect, iso, type Queries } from '../database/sql.ts';
import type { Ceiling } from './orders.ts';

const DAY_MS = 86_400_000;

export interface Place {
  readonly site: string;
  readonly box: string;
}

/** The rows that went, and what went with them. */
export interface Deleted {
  readonly rows: readonly (Place & { readonly time: string })[];
  readonly counts: Readonly<Record<string, number>>;
}

interface Asked {
  /** One statement for many: asked one by one, 1,500 boxes cost seconds in which nothing is deleted. */
  readonly places: readonly Place[];
  readonly cutoffMs: number;
  readonly limit: number;
}

/** A table whose rows belong to boxes, and each box's own ceiling in it. */
export interface BoxTable {
  readonly name: string;
  daysOf(ceiling: Pick<Ceiling, 'eventsDays' | 'snapshotsDays'>): number;
  /** The most rows of one transaction. */
  readonly sliceRows: Readonly<Record<Dialect['name'], number>>;
  /** At most `limit` rows from before `cutoffMs`. */
  remove(transaction: Queries, dialect: Dialect, asked: Asked): Promise<Deleted>;
}

/** `FROM` with the rows of a table that are of the boxes in `$1`, by its index. */
function ofBoxes(dialect: Dialect, table: string): string {
  const asked = dialect.rows('$1', 'asked', { site: 'text', box: 'text' });
  // SQLite keeps to this order of the two, PostgreSQL finds it.
  return `FROM ${asked} CROSS JOIN ${table} WHERE ${table}.site = asked.site AND ${table}.box = asked.box`;
}

const keysOf = (places: readonly Place[]): string =>
  JSON.stringify(places.map(({ site, box }) => ({ site, box })));

/**
 * The time of an event is by the box's clock. The archive keeps none that is more than a day ahead of the room's under
 * that time (AHEAD_MAX_MS in archive/message.ts), so that only so much beyond the cutoff can have been received before it.
 */
async function removeEvents(
  transaction: Queries,
  dialect: Dialect,
  { places, cutoffMs, limit }: Asked,
): Promise<Deleted> {
  const rows = await transaction.all<Place & { time: string }>(
    `DELETE FROM event WHERE at < $3 AND (site, box, id, at) IN (
       SELECT event.site, event.box, event.id, event.at ${ofBoxes(dialect, 'event')}
       AND event.at < $3 AND (event.at < $2 OR event.received < $2) LIMIT $4) RETURNING site, box, at AS time`,
    [keysOf(places), iso(cutoffMs), iso(cutoffMs + DAY_MS), limit],
  );
  return { rows, counts: { event: rows.length } };
}

async function removeSnapshots(
  transaction: Queries,
  dialect: Dialect,
  { places, cutoffMs, limit }: Asked,
): Promise<Deleted> {
  const rows = await transaction.all<Place & { time: string }>(
    `DELETE FROM snapshot WHERE received < $2 AND (site, box, name, received) IN (
       SELECT snapshot.site, snapshot.box, snapshot.name, snapshot.received ${ofBoxes(dialect, 'snapshot')}
       AND snapshot.received < $2 LIMIT $3) RETURNING site, box, received AS time`,
    [keysOf(places), iso(cutoffMs), limit],
  );
  return { rows, counts: { snapshot: rows.length } };
}

/** With their notes and what was asked about them once. Whoever acts on an incident takes the same number first. */
async function removeIncidents(
  transaction: Queries,
  dialect: Dialect,
  { places, cutoffMs, limit }: Asked,
): Promise<Deleted> {
  const due = await transaction.all<{ no: number }>(
    `SELECT no ${ofBoxes(dialect, 'incident')} AND incident.received < $2 LIMIT $3`,
    [keysOf(places), iso(cutoffMs), limit],
  );
  if (due.length === 0) return { rows: [], counts: {} };
  await next(transaction, 'rev');
  const those = `IN (SELECT due.no FROM ${dialect.rows('$1', 'due', { no: 'integer' })})`;
  const values = [JSON.stringify(due.map(({ no }) => ({ no })))];
  const notes = await transaction.run(`DELETE FROM note WHERE incident ${those}`, values);
  const rows = await transaction.all<Place & { time: string }>(
    `DELETE FROM incident WHERE no ${those} RETURNING site, box, received AS time`,
    values,
  );
  return { rows, counts: { incident: rows.length, note: notes } };
}

/** A box that was away for so long has forgotten the alert, too. */
async function removeVerdicts(
  transaction: Queries,
  dialect: Dialect,
  { places, cutoffMs, limit }: Asked,
): Promise<Deleted> {
  const rows = await transaction.all<Place & { time: string }>(
    `DELETE FROM verdict_due WHERE no IN (
       SELECT no ${ofBoxes(dialect, 'verdict_due')} AND verdict_due.time < $2 LIMIT $3) RETURNING site, box, time`,
    [keysOf(places), iso(cutoffMs), limit],
  );
  return { rows, counts: { verdict_due: rows.length } };
}

const events = (ceiling: Pick<Ceiling, 'eventsDays'>): number => ceiling.eventsDays;

/** Some 100 ms of a small machine; a batch of the archive waits no longer. */
const SMALL = { sqlite: 5000, postgres: 5000 };

/** Each of some 60 kB, which SQLite overwrites with zeros there and then. */
const PICTURES = { sqlite: 250, postgres: 5000 };

const pictures = ({ snapshotsDays }: Pick<Ceiling, 'snapshotsDays'>): number => snapshotsDays;

export const BOX_TABLES: readonly BoxTable[] = [
  { name: 'event', daysOf: events, sliceRows: SMALL, remove: removeEvents },
  { name: 'snapshot', daysOf: pictures, sliceRows: PICTURES, remove: removeSnapshots },
  { name: 'incident', daysOf: events, sliceRows: SMALL, remove: removeIncidents },
  { name: 'verdict_due', daysOf: events, sliceRows: SMALL, remove: removeVerdicts },
];

/** Every box that has rows in it, from one to the next by the index: the rows between are not read. */
export async function boxesIn(db: Queries, table: string): Promise<Place[]> {
  const nextOne = (column: string): string =>
    `(SELECT ${column} FROM ${table} WHERE site >= place.site AND (site, box) > (place.site, place.box)
      ORDER BY site, box LIMIT 1)`;
  return db.all<Place>(
    `WITH RECURSIVE place (site, box) AS (
       SELECT '', '' UNION ALL SELECT ${nextOne('site')}, ${nextOne('box')} FROM place WHERE site IS NOT NULL)
     SELECT site, box FROM place WHERE site <> ''`,
  );
}

/** An idempotency key is asked for again within seconds; a day is what https://docs.stripe.com/api/idempotent_requests keeps. */
const DONE_DAYS = 1;

/** A year, and a day: the same day of last year can be compared with. */
const FIGURE_DAYS = 366;

/** What belongs to no box or to no person any more; returns the rows that went by table. */
export async function removeRest(
  transaction: Queries,
  timeZone: string,
  nowMs: number,
): Promise<Record<string, number>> {
  const [done, session, dayFigure] = [
    await transaction.run('DELETE FROM done WHERE at < $1', [iso(nowMs - DONE_DAYS * DAY_MS)]),
    await transaction.run('DELETE FROM session WHERE ends < $1', [iso(nowMs)]),
    await transaction.run('DELETE FROM day_figure WHERE day < $1', [
      dayOf(nowMs - FIGURE_DAYS * DAY_MS, timeZone),
    ]),
  ];
  return { done, session, day_figure: dayFigure };
}

/** `YYYY-MM-DD`, as Sweden writes it. */
function dayOf(ms: number, timeZone: string): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short' }).format(ms);
}
