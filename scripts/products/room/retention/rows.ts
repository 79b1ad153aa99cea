/**
 * Deletes expired rows of boxes with the same limit, table by table. A row is deleted when its time is before the
 * cutoff.
 *
 * INVARIANT: every statement names the boxes and a time bound, so that it reads little more than it deletes.
 */
import { STATISTICS_DAYS } from '../contract/terms.ts';
import { next } from '../database/counters.ts';
import { type Dialect, iso, type Queries } from '../database/sql.ts';
import type { Ceiling } from './orders.ts';

const DAY_MS = 86_400_000;

export interface Place {
  readonly site: string;
  readonly box: string;
}

/** Deleted rows, and the numbers of dependent rows deleted with them. */
export interface Deleted {
  readonly rows: readonly (Place & { readonly time: string })[];
  readonly counts: Readonly<Record<string, number>>;
}

interface DeletionRequest {
  /** Boxes of one statement. With one statement each, 1,500 boxes would cost seconds without any deletion. */
  readonly places: readonly Place[];
  readonly cutoffMs: number;
  readonly limit: number;
}

/** A table whose rows belong to boxes, and the limit of a box in it. */
export interface BoxTable {
  readonly name: string;
  daysOf(ceiling: Pick<Ceiling, 'eventsDays' | 'snapshotsDays'>): number;
  /** Maximum number of rows per transaction. */
  readonly sliceRows: Readonly<Record<Dialect['name'], number>>;
  /** Deletes at most `limit` rows from before `cutoffMs`. */
  remove(transaction: Queries, dialect: Dialect, request: DeletionRequest): Promise<Deleted>;
}

/** Returns a `FROM` clause for the rows of the boxes in `$1`, by the table's index. */
function ofBoxes(dialect: Dialect, table: string): string {
  const boxRows = dialect.rows('$1', 'asked', { site: 'text', box: 'text' });
  // SQLite keeps this join order; PostgreSQL finds it.
  return `FROM ${boxRows} CROSS JOIN ${table} WHERE ${table}.site = asked.site AND ${table}.box = asked.box`;
}

const keysOf = (places: readonly Place[]): string =>
  JSON.stringify(places.map(({ site, box }) => ({ site, box })));

/**
 * Deletes events, whose time is by the box's clock.
 *
 * The archive stores no event under a time more than a day ahead of the room's clock (AHEAD_MAX_MS in
 * archive/message.ts). So events up to a day beyond the cutoff may have been received before it.
 */
async function removeEvents(
  transaction: Queries,
  dialect: Dialect,
  { places, cutoffMs, limit }: DeletionRequest,
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
  { places, cutoffMs, limit }: DeletionRequest,
): Promise<Deleted> {
  const rows = await transaction.all<Place & { time: string }>(
    `DELETE FROM snapshot WHERE received < $2 AND (site, box, name, received) IN (
       SELECT snapshot.site, snapshot.box, snapshot.name, snapshot.received ${ofBoxes(dialect, 'snapshot')}
       AND snapshot.received < $2 LIMIT $3) RETURNING site, box, received AS time`,
    [keysOf(places), iso(cutoffMs), limit],
  );
  return { rows, counts: { snapshot: rows.length } };
}

/** Deletes incidents with their notes and views. Takes the change number first, as each action on an incident does. */
async function removeIncidents(
  transaction: Queries,
  dialect: Dialect,
  { places, cutoffMs, limit }: DeletionRequest,
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
  const views = await transaction.run(`DELETE FROM still_view WHERE incident ${those}`, values);
  await transaction.run(`DELETE FROM undo_window WHERE incident ${those}`, values);
  await transaction.run(`DELETE FROM webhook_refused WHERE incident ${those}`, values);
  const rows = await transaction.all<Place & { time: string }>(
    `DELETE FROM incident WHERE no ${those} RETURNING site, box, received AS time`,
    values,
  );
  return { rows, counts: { incident: rows.length, note: notes, still_view: views } };
}

/** Deletes undelivered verdicts. After this time a box has forgotten the alert too. */
async function removeVerdicts(
  transaction: Queries,
  dialect: Dialect,
  { places, cutoffMs, limit }: DeletionRequest,
): Promise<Deleted> {
  const rows = await transaction.all<Place & { time: string }>(
    `DELETE FROM verdict_due WHERE no IN (
       SELECT no ${ofBoxes(dialect, 'verdict_due')} AND verdict_due.time < $2 LIMIT $3) RETURNING site, box, time`,
    [keysOf(places), iso(cutoffMs), limit],
  );
  return { rows, counts: { verdict_due: rows.length } };
}

/** Deletes suppressions with their reasons, when incidents from their time are deleted too. */
async function removeSuppressions(
  transaction: Queries,
  dialect: Dialect,
  { places, cutoffMs, limit }: DeletionRequest,
): Promise<Deleted> {
  const rows = await transaction.all<Place & { time: string }>(
    `DELETE FROM suppression WHERE ended_at IS NOT NULL AND no IN (
       SELECT no ${ofBoxes(dialect, 'suppression')} AND suppression.ends_at < $2 LIMIT $3)
     RETURNING site, box, ends_at AS time`,
    [keysOf(places), iso(cutoffMs), limit],
  );
  return { rows, counts: { suppression: rows.length } };
}

const events = (ceiling: Pick<Ceiling, 'eventsDays'>): number => ceiling.eventsDays;

/** Rows that a small machine deletes in about 100 ms; a batch of the archive waits no longer. */
const SMALL = { sqlite: 5000, postgres: 5000 };

/** Pictures have about 60 kB each, which SQLite overwrites with zeros at once. */
const PICTURES = { sqlite: 250, postgres: 5000 };

const pictures = ({ snapshotsDays }: Pick<Ceiling, 'snapshotsDays'>): number => snapshotsDays;

export const BOX_TABLES: readonly BoxTable[] = [
  { name: 'event', daysOf: events, sliceRows: SMALL, remove: removeEvents },
  { name: 'snapshot', daysOf: pictures, sliceRows: PICTURES, remove: removeSnapshots },
  { name: 'incident', daysOf: events, sliceRows: SMALL, remove: removeIncidents },
  { name: 'verdict_due', daysOf: events, sliceRows: SMALL, remove: removeVerdicts },
  { name: 'suppression', daysOf: events, sliceRows: SMALL, remove: removeSuppressions },
];

/** Returns every box with rows in the table. Steps from box to box along the index without reading the rows between. */
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

/**
 * Days for which idempotency keys are kept. Retries come within seconds;
 * https://docs.stripe.com/api/idempotent_requests also keeps a day.
 */
const COMPLETED_ACTION_DAYS = 1;

/** Deletes expired rows that belong to no box or person any more. Returns the number of rows by table. */
export async function removeRest(
  transaction: Queries,
  timeZone: string,
  nowMs: number,
): Promise<Record<string, number>> {
  const [completedActionCount, session, dayFigure] = [
    await transaction.run('DELETE FROM completed_action WHERE at < $1', [
      iso(nowMs - COMPLETED_ACTION_DAYS * DAY_MS),
    ]),
    await transaction.run('DELETE FROM session WHERE ends < $1', [iso(nowMs)]),
    await transaction.run('DELETE FROM day_figure WHERE day < $1', [
      dayOf(nowMs - STATISTICS_DAYS * DAY_MS, timeZone),
    ]),
  ];
  return { completed_action: completedActionCount, session, day_figure: dayFigure };
}

/** Formats a day as `YYYY-MM-DD`, the Swedish form. */
function dayOf(ms: number, timeZone: string): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short' }).format(ms);
}
