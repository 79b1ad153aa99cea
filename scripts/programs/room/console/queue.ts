/**
 * What is open, and what has changed since.
 *
 * INVARIANTS: numbers of changes are in the order of commits (counters.ts), so that whoever has all up to one and reads on
 * from it misses nothing. Changes: the number is read before the rows: a row may come twice, never not at all.
 * LIMITS: OPEN_MAX open incidents are given, of one box OF_A_BOX_MAX first, the others are counted; CHANGES_MAX + 1 changes
 * at a time.
 */
import type { Camera, GoneCamera } from '../contract/camera.ts';
import type { Incident, Queue } from '../contract/incident.ts';
import type { Queries } from '../database/sql.ts';
import { camerasChanged } from './cameras.ts';
import { INCIDENT_COLUMNS, type IncidentRow, incidentOf } from './rows.ts';

/** More than a shift can look at; a screen holds them in a few megabytes. */
export const OPEN_MAX = 2000;

/**
 * Of one box, by its name and whatever sites it claims, where there are more open ones than a screen holds: a box that floods the room must not keep the alerts of
 * the others from the screen. Twenty such boxes fit.
 */
const OF_A_BOX_MAX = 100;

/** Whoever has missed more than this begins anew with the queue. */
const CHANGES_MAX = 2000;

/** As the index incident_open has it. */
const OPEN = "state <> 'closed' AND severity = 'alert'";

/** The most urgent first, of one urgency the newest. */
export function queueOf(db: Queries): Promise<Queue> {
  return openOf(db, ['new', 'claimed', 'dispatched']);
}

/**
 * Open alerts in these states, and how many there are beyond OPEN_MAX. By one statement, which sees one moment: what is
 * committed between a number and a count would be counted by the screen once more when the stream tells of it.
 */
export async function openOf(
  db: Queries,
  states: readonly ('new' | 'claimed' | 'dispatched')[],
): Promise<Queue> {
  const isAll = states.length === 3;
  const where = isAll ? OPEN : `${OPEN} AND state IN (${states.map((state) => `'${state}'`).join(', ')})`;
  type Listed = IncidentRow & { readonly newest: number; readonly open: number };
  /** Number, rows and count by one statement: between two of them others are committed. */
  const asked = (listed: string, open: string) =>
    db.all<Listed | { [name in keyof Listed]: name extends 'newest' | 'open' ? number : null }>(
      `WITH listed AS (${listed}) SELECT counter.value AS newest, ${open} AS open, listed.*
       FROM counter LEFT JOIN listed ON true WHERE counter.name = 'rev'
       ORDER BY listed.priority, listed.received DESC, listed.no DESC`,
    );
  let rows = await asked(
    `SELECT ${INCIDENT_COLUMNS} FROM incident WHERE ${where}
     ORDER BY priority, received DESC, no DESC LIMIT ${OPEN_MAX + 1}`,
    '0',
  );
  if (rows.length > OPEN_MAX) {
    rows = await asked(
      `SELECT ${INCIDENT_COLUMNS} FROM incident WHERE no IN (
         SELECT no FROM (SELECT no, priority, received,
             row_number() OVER (PARTITION BY box ORDER BY priority, received DESC, no DESC) AS place
           FROM incident WHERE ${where}) AS placed
         ORDER BY CASE WHEN place <= ${OF_A_BOX_MAX} THEN 0 ELSE 1 END, priority, received DESC, no DESC
         LIMIT ${OPEN_MAX})`,
      `(SELECT count(*) FROM incident WHERE ${where})`,
    );
  }
  const incidents = rows.flatMap((row) => (row.no === null ? [] : [incidentOf(row)]));
  const [first] = rows;
  return { rev: first?.newest ?? 0, incidents, more: Math.max(0, (first?.open ?? 0) - incidents.length) };
}

export interface Changes {
  /** To go on from. */
  readonly rev: number;
  /** Each in the order of `rev`; those of the box itself (`system`) and closed ones are among them. */
  readonly incidents: readonly Incident[];
  readonly cameras: readonly Camera[];
  /** Cameras that have left the list. */
  readonly gone: readonly GoneCamera[];
}

/** More than CHANGES_MAX of one kind: there may be others, and beginning anew is cheaper. */
export async function changesSince(db: Queries, after: number, nowMs: number): Promise<Changes> {
  const newest = await revOf(db);
  if (newest <= after) return { rev: after, incidents: [], cameras: [], gone: [] };
  const limit = CHANGES_MAX + 1;
  const rows = await db.all<IncidentRow>(
    `SELECT ${INCIDENT_COLUMNS} FROM incident WHERE rev > $1 AND rev <= $2 ORDER BY rev LIMIT ${limit}`,
    [after, newest],
  );
  // Where the one is cut off, the other must not run ahead: the next call goes on from one number for both.
  const upTo = rows.length < limit ? newest : (rows.at(-1)?.rev ?? newest);
  const cameras = await camerasChanged(db, { after, upTo, limit }, nowMs);
  const rev = cameras.length < limit ? upTo : (cameras.at(-1)?.rev ?? upTo);
  return {
    rev,
    incidents: rows.filter((row) => row.rev <= rev).map(incidentOf),
    cameras: cameras.flatMap(({ camera }) => (camera === undefined ? [] : [camera])),
    gone: cameras.flatMap(({ gone }) => (gone === undefined ? [] : [gone])),
  };
}

async function revOf(db: Queries): Promise<number> {
  const [row] = await db.all<{ value: number }>("SELECT value FROM counter WHERE name = 'rev'");
  return row?.value ?? 0;
}
