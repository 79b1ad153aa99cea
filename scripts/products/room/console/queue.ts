/**
 * Reads the open alerts and the changes since a given number.
 *
 * INVARIANTS:
 * - Numbers of changes are in commit order (counters.ts), so a reader that continues from a number misses nothing.
 * - Changes are delivered at least once, because the number is read before the rows.
 * LIMITS:
 * - OPEN_MAX open incidents, with OF_A_BOX_MAX of each box first; the rest is only counted.
 * - CHANGES_MAX + 1 changes at a time.
 */
import type { Camera, RemovedCamera } from '../contract/camera.ts';
import type { Incident, Queue } from '../contract/incident.ts';
import type { Suppression } from '../contract/suppression.ts';
import type { Queries, Sql } from '../database/sql.ts';
import { camerasChanged } from './cameras.ts';
import { HIDDEN, INCIDENT_COLUMNS, type IncidentRow, incidentOf } from './rows.ts';
import { runningOf, suppressionsChanged } from './suppressions.ts';

/**
 * Maximum number of open incidents listed: more than a shift can review, and a screen holds them in a few megabytes.
 */
export const OPEN_MAX = 2000;

/**
 * Incidents of one box that come first if not all fit, counted by its name over all its sites. A box that floods the
 * room must not hide the alerts of others; twenty such boxes fit.
 */
const OF_A_BOX_MAX = 100;

/** A client that missed more changes loads the queue again. */
const CHANGES_MAX = 2000;

/** Starts as the condition of the index incident_open. */
const OPEN = `state <> 'closed' AND severity = 'alert' AND NOT (${HIDDEN})`;

/** Age in ms from which an answer is built again without a change: a deleted alert has none. */
const ANSWER_MS = 5000;

/** Builds the queue once for each change number, for all accounts, and reads only the incidents that have changed. */
export class QueueReader {
  readonly #db: Sql;
  #last: { readonly rev: number; readonly atMs: number; readonly queue: Promise<Queue> } | undefined;
  #lastIncidents: readonly Incident[] = [];

  constructor(db: Sql) {
    this.#db = db;
  }

  async read(nowMs: number): Promise<Queue> {
    const rev = await revOf(this.#db);
    const last = this.#last;
    if (last?.rev === rev && Math.abs(nowMs - last.atMs) < ANSWER_MS) return last.queue;
    const building = { rev, atMs: nowMs, queue: queueOf(this.#db, this.#lastIncidents) };
    this.#last = building;
    try {
      const queue = await building.queue;
      this.#lastIncidents = queue.incidents;
      return queue;
    } catch (error) {
      if (this.#last === building) this.#last = undefined;
      throw error;
    }
  }
}

/** Returns the open alerts, the most urgent first, then the newest, and the suppressions that run. */
export async function queueOf(db: Sql, lastIncidents: readonly Incident[] = []): Promise<Queue> {
  // A suppression that changes after this is reported by the stream.
  const open = await openOf(db, ['new', 'claimed', 'dispatched'], lastIncidents);
  return { ...open, suppressions: await runningOf(db) };
}

/**
 * Returns open alerts in the given states, and the number of those beyond OPEN_MAX. Those of `lastIncidents` that have not
 * changed are not read again.
 *
 * A single statement reads their numbers, so that number, list and count are of the same moment. Otherwise an incident
 * committed between number and count would be counted again when the stream reports it.
 */
export async function openOf(
  db: Sql,
  states: readonly ('new' | 'claimed' | 'dispatched')[],
  lastIncidents: readonly Incident[] = [],
): Promise<Omit<Queue, 'suppressions'>> {
  const isAll = states.length === 3;
  const condition = isAll ? OPEN : `${OPEN} AND state IN (${states.map((state) => `'${state}'`).join(', ')})`;
  interface ListedRow {
    readonly newest: number;
    readonly open: number;
    /** Both null if no alert is open. */
    readonly no: number | null;
    readonly rev: number | null;
  }
  const query = (listSql: string, open: string) =>
    db.all<ListedRow>(
      `WITH listed AS (${listSql}) SELECT counter.value AS newest, ${open} AS open, listed.no, listed.rev
       FROM counter LEFT JOIN listed ON true WHERE counter.name = 'rev'
       ORDER BY listed.priority, listed.received DESC, listed.no DESC`,
    );
  let rows = await query(
    `SELECT no, rev, priority, received FROM incident WHERE ${condition}
     ORDER BY priority, received DESC, no DESC LIMIT ${OPEN_MAX + 1}`,
    '0',
  );
  if (rows.length > OPEN_MAX) {
    rows = await query(
      `SELECT no, rev, priority, received FROM incident WHERE no IN (
         SELECT no FROM (SELECT no, priority, received,
             row_number() OVER (PARTITION BY box ORDER BY priority, received DESC, no DESC) AS place
           FROM incident WHERE ${condition}) AS placed
         ORDER BY CASE WHEN place <= ${OF_A_BOX_MAX} THEN 0 ELSE 1 END, priority, received DESC, no DESC
         LIMIT ${OPEN_MAX})`,
      `(SELECT count(*) FROM incident WHERE ${condition})`,
    );
  }
  const numbers = rows.flatMap(({ no, rev }) => (no === null ? [] : [{ no, rev }]));
  const incidents = await incidentsIn(db, numbers, lastIncidents);
  const [first] = rows;
  const openCount = Math.max(first?.open ?? 0, numbers.length);
  return { rev: first?.newest ?? 0, incidents, more: openCount - incidents.length };
}

/** Returns the incidents of a list in its order. One that was closed or deleted since is left out. */
async function incidentsIn(
  db: Sql,
  numbers: readonly { readonly no: number; readonly rev: number | null }[],
  lastIncidents: readonly Incident[],
): Promise<Incident[]> {
  const byNo = new Map(lastIncidents.map((incident) => [incident.no, incident]));
  const missing = numbers.filter(({ no, rev }) => byNo.get(no)?.rev !== rev);
  for (const { no } of missing) byNo.delete(no);
  if (missing.length > 0) {
    const rows = await db.all<IncidentRow>(
      `SELECT ${INCIDENT_COLUMNS} FROM incident
       WHERE no IN (SELECT asked.asked_no FROM ${db.dialect.rows('$1', 'asked', { asked_no: 'integer' })})`,
      [JSON.stringify(missing.map(({ no }) => ({ asked_no: no })))],
    );
    for (const row of rows) byNo.set(row.no, incidentOf(row));
  }
  return numbers.flatMap(({ no }) => {
    const incident = byNo.get(no);
    return incident === undefined || incident.state === 'closed' ? [] : [incident];
  });
}

/** Changes for screens. */
export interface ScreenChanges extends Changes {
  /** Number of open alerts; undefined if no incident has changed. */
  readonly openCount: number | undefined;
}

export interface Changes {
  /** Number to continue from. */
  readonly rev: number;
  /** Both lists are in the order of `rev`. Incidents include system incidents of boxes and closed ones. */
  readonly incidents: readonly Incident[];
  readonly cameras: readonly Camera[];
  /** Cameras that have left the list. */
  readonly removedCameras: readonly RemovedCamera[];
  /** Those that run; undefined if none has changed. */
  readonly suppressions: readonly Suppression[] | undefined;
}

/**
 * Returns the changes after a number. If one list has more than CHANGES_MAX entries, it may be incomplete, and loading
 * the queue again is cheaper.
 */
export async function changesSince(db: Queries, after: number, nowMs: number): Promise<ScreenChanges> {
  const changes = await changesAs(db, { after, nowMs }, async () => (row) => row);
  // A change between the two queries is reported next, with a newer count.
  const openCount = changes.incidents.length === 0 ? undefined : await countOpen(db);
  return { ...changes, openCount };
}

async function countOpen(db: Queries): Promise<number> {
  const [row] = await db.all<{ open: number }>(`SELECT count(*) AS open FROM incident WHERE ${OPEN}`);
  return Number(row?.open ?? 0);
}

/** Returns the incident that a reader gets for a row, or undefined if it gets none. */
type RowView = (row: IncidentRow) => IncidentRow | undefined;

/**
 * Returns the changes after a number, with each incident as `viewOf` shows it. `viewOf` is called after the number is
 * read and before the rows, so that it knows of every action in them.
 */
export async function changesAs(
  db: Queries,
  { after, nowMs }: { readonly after: number; readonly nowMs: number },
  viewOf: (db: Queries) => Promise<RowView>,
): Promise<Changes> {
  const newest = await revOf(db);
  if (newest <= after)
    return { rev: after, incidents: [], cameras: [], removedCameras: [], suppressions: undefined };
  const limit = CHANGES_MAX + 1;
  const view = await viewOf(db);
  const rows = await db.all<IncidentRow>(
    `SELECT ${INCIDENT_COLUMNS} FROM incident WHERE rev > $1 AND rev <= $2 ORDER BY rev LIMIT ${limit}`,
    [after, newest],
  );
  // If one list is cut off, the other must stop at the same number, from which the next call continues.
  const upTo = rows.length < limit ? newest : (rows.at(-1)?.rev ?? newest);
  const cameras = await camerasChanged(db, { after, upTo, limit }, nowMs);
  const rev = cameras.length < limit ? upTo : (cameras.at(-1)?.rev ?? upTo);
  return {
    rev,
    incidents: rows
      .filter((row) => row.rev <= rev)
      .flatMap((row) => view(row) ?? [])
      .map(incidentOf),
    cameras: cameras.flatMap(({ camera }) => (camera === undefined ? [] : [camera])),
    removedCameras: cameras.flatMap(({ removal }) => (removal === undefined ? [] : [removal])),
    suppressions: await suppressionsChanged(db, after, rev),
  };
}

async function revOf(db: Queries): Promise<number> {
  const [row] = await db.all<{ value: number }>("SELECT value FROM counter WHERE name = 'rev'");
  return row?.value ?? 0;
}
