/**
 * What is open, and what has changed since.
 *
 * INVARIANTS: numbers of changes are in the order of commits (counters.ts), so that whoever has all up to one and reads on
 * from it misses nothing. Changes: the number is read before the rows: a row may come twice, never not at all.
 * LIMITS: OPEN_MAX open incidents are given, the others are counted; CHANGES_MAX + 1 changes at a time.
 */
import type { Camera } from '../contract/camera.ts';
import type { Incident, Queue } from '../contract/incident.ts';
import type { Queries } from '../database/sql.ts';
import { camerasChanged } from './cameras.ts';
import { INCIDENT_COLUMNS, type IncidentRow, incidentOf } from './rows.ts';

/** More than a shift can look at; a screen holds them in a few megabytes. */
export const OPEN_MAX = 2000;

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
  type Listed = IncidentRow & { readonly newest: number; readonly open: number | null };
  const rows = await db.all<Listed | { [name in keyof Listed]: name extends 'newest' ? number : null }>(
    `WITH listed AS (SELECT ${INCIDENT_COLUMNS} FROM incident WHERE ${where}
       ORDER BY priority, received DESC, no DESC LIMIT ${OPEN_MAX + 1})
     SELECT counter.value AS newest, CASE WHEN (SELECT count(*) FROM listed) > ${OPEN_MAX}
       THEN (SELECT count(*) FROM incident WHERE ${where}) END AS open, listed.*
     FROM counter LEFT JOIN listed ON true WHERE counter.name = 'rev'
     ORDER BY listed.priority, listed.received DESC, listed.no DESC`,
  );
  const listed = rows.flatMap((row) => (row.no === null ? [] : [row]));
  const incidents = listed.slice(0, OPEN_MAX).map(incidentOf);
  const [first] = rows;
  return {
    rev: first?.newest ?? 0,
    incidents,
    more: Math.max(0, (first?.open ?? 0) - incidents.length),
  };
}

export interface Changes {
  /** To go on from. */
  readonly rev: number;
  /** Each in the order of `rev`; those of the box itself (`system`) and closed ones are among them. */
  readonly incidents: readonly Incident[];
  readonly cameras: readonly Camera[];
}

/** More than CHANGES_MAX of one kind: there may be others, and beginning anew is cheaper. */
export async function changesSince(db: Queries, after: number, nowMs: number): Promise<Changes> {
  const newest = await revOf(db);
  if (newest <= after) return { rev: after, incidents: [], cameras: [] };
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
    cameras: cameras.map(({ camera }) => camera),
  };
}

async function revOf(db: Queries): Promise<number> {
  const [row] = await db.all<{ value: number }>("SELECT value FROM counter WHERE name = 'rev'");
  return row?.value ?? 0;
}
