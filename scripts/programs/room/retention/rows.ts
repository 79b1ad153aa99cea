/**
 * What is deleted of one box, table by table, exactly at its ceiling: a row goes when its time is before the cutoff.
 *
 * INVARIANT: every statement names the box and a bound of time, so that it reads what it deletes and little else.
 */
import { next } from '../database/counters.ts';
import { iso, type Queries } from '../database/sql.ts';
import type { Ceiling } from './orders.ts';

const DAY_MS = 86_400_000;

export interface Place {
  readonly site: string;
  readonly box: string;
}

/** Times of the rows that went, and what went with them. */
export interface Deleted {
  readonly times: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}

/** A table whose rows belong to boxes, and each box's own ceiling in it. */
export interface BoxTable {
  readonly name: string;
  daysOf(ceiling: Pick<Ceiling, 'eventsDays' | 'snapshotsDays'>): number;
  /** At most `limit` rows from before `cutoffMs`. */
  remove(transaction: Queries, place: Place, cutoffMs: number, limit: number): Promise<Deleted>;
}

/**
 * The time of an event is by the box's clock. The archive keeps none that is more than a day ahead of the room's under
 * that time (AHEAD_MAX_MS in archive/message.ts), so that only so much beyond the cutoff can have been received before it.
 */
async function removeEvents(
  transaction: Queries,
  { site, box }: Place,
  cutoffMs: number,
  limit: number,
): Promise<Deleted> {
  const rows = await transaction.all<{ at: string }>(
    `DELETE FROM event WHERE site = $1 AND box = $2 AND at < $4 AND (id, at) IN (
       SELECT id, at FROM event WHERE site = $1 AND box = $2 AND at < $4 AND (at < $3 OR received < $3)
       ORDER BY at LIMIT $5) RETURNING at`,
    [site, box, iso(cutoffMs), iso(cutoffMs + DAY_MS), limit],
  );
  return { times: rows.map(({ at }) => at), counts: { event: rows.length } };
}

async function removeSnapshots(
  transaction: Queries,
  { site, box }: Place,
  cutoffMs: number,
  limit: number,
): Promise<Deleted> {
  const rows = await transaction.all<{ received: string }>(
    `DELETE FROM snapshot WHERE site = $1 AND box = $2 AND received < $3 AND (name, received) IN (
       SELECT name, received FROM snapshot WHERE site = $1 AND box = $2 AND received < $3
       ORDER BY received LIMIT $4) RETURNING received`,
    [site, box, iso(cutoffMs), limit],
  );
  return { times: rows.map(({ received }) => received), counts: { snapshot: rows.length } };
}

/** With their notes and what was asked about them once. Whoever acts on an incident takes the same number first. */
async function removeIncidents(
  transaction: Queries,
  { site, box }: Place,
  cutoffMs: number,
  limit: number,
): Promise<Deleted> {
  const old = 'site = $1 AND box = $2 AND received < $3';
  const values = [site, box, iso(cutoffMs)];
  const [due] = await transaction.all(`SELECT no FROM incident WHERE ${old} LIMIT 1`, values);
  if (due === undefined) return { times: [], counts: {} };
  await next(transaction, 'rev');
  const oldest = `SELECT no FROM incident WHERE ${old} ORDER BY received, no LIMIT $4`;
  const notes = await transaction.run(`DELETE FROM note WHERE incident IN (${oldest})`, [...values, limit]);
  const rows = await transaction.all<{ received: string }>(
    `DELETE FROM incident WHERE ${old} AND no IN (${oldest}) RETURNING received`,
    [...values, limit],
  );
  return { times: rows.map(({ received }) => received), counts: { incident: rows.length, note: notes } };
}

/** A box that was away for so long has forgotten the alert, too. */
async function removeVerdicts(
  transaction: Queries,
  { site, box }: Place,
  cutoffMs: number,
  limit: number,
): Promise<Deleted> {
  const rows = await transaction.all<{ time: string }>(
    `DELETE FROM verdict_due WHERE no IN (
       SELECT no FROM verdict_due WHERE site = $1 AND box = $2 AND time < $3 ORDER BY no LIMIT $4) RETURNING time`,
    [site, box, iso(cutoffMs), limit],
  );
  return { times: rows.map(({ time }) => time), counts: { verdict_due: rows.length } };
}

const events = (ceiling: Pick<Ceiling, 'eventsDays'>): number => ceiling.eventsDays;

export const BOX_TABLES: readonly BoxTable[] = [
  { name: 'event', daysOf: events, remove: removeEvents },
  { name: 'snapshot', daysOf: ({ snapshotsDays }) => snapshotsDays, remove: removeSnapshots },
  { name: 'incident', daysOf: events, remove: removeIncidents },
  { name: 'verdict_due', daysOf: events, remove: removeVerdicts },
];

/** Every box that has rows in it, from one to the next by the index: the rows between are not read. */
export async function boxesIn(db: Queries, table: string): Promise<Place[]> {
  const places: Place[] = [];
  for (let last: Place | undefined = { site: '', box: '' }; last !== undefined; ) {
    const [row]: Place[] = await db.all<{ site: string; box: string }>(
      `SELECT site, box FROM ${table} WHERE site >= $1 AND (site, box) > ($1, $2) ORDER BY site, box LIMIT 1`,
      [last.site, last.box],
    );
    if (row !== undefined) places.push(row);
    last = row;
  }
  return places;
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
