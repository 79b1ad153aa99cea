/** Rows of a room's database, inserted by hand as its archive would make them. */
import type { Test } from 'tap';
import { databaseOf } from '../../scripts/programs/room/database/open.ts';
import { prepare } from '../../scripts/programs/room/database/prepare.ts';
import { iso, type Queries, type Sql } from '../../scripts/programs/room/database/sql.ts';

export const DAY_MS = 86_400_000;
export const TIME_ZONE = 'Europe/Paris';

interface Place {
  readonly site: string;
  readonly box: string;
}

/** A database with its tables made at `nowMs`, open until the test ends. */
export async function roomDatabase(t: Test, address: string, nowMs: number): Promise<Sql> {
  const db = databaseOf(address, ({ message }) => t.comment(`idle: ${message}`));
  t.teardown(() => db.close());
  await prepare(db, TIME_ZONE, nowMs);
  return db;
}

export async function addEvent(
  db: Queries,
  { site, box }: Place,
  id: string,
  atMs: number,
  receivedMs = atMs,
): Promise<void> {
  await db.run(
    `INSERT INTO event (site, box, epoch, lane, seq, id, type, time, at, body, unread, received)
     VALUES ($1, $2, 'e1', 'alert', 1, $3, 'vigie.loitering.v1', $4, $4, '{}', NULL, $5)`,
    [site, box, id, iso(atMs), iso(receivedMs)],
  );
}

export async function addSnapshot(
  db: Queries,
  { site, box }: Place,
  name: string,
  receivedMs: number,
): Promise<void> {
  await db.run(
    `INSERT INTO snapshot (site, box, epoch, lane, seq, name, sha256, jpeg, received)
     VALUES ($1, $2, 'e1', 'alert', 1, $3, 'none', $4, $5)`,
    [site, box, name, Buffer.from('jpeg'), iso(receivedMs)],
  );
}

/** Returns its number. */
export async function addIncident(
  db: Queries,
  { site, box }: Place,
  episode: string,
  receivedMs: number,
): Promise<number> {
  const [row] = await db.all<{ no: number }>(
    `INSERT INTO incident (rev, revision, site, box, episode, entry, severity, priority, kind, rule, place, started_at,
       received, clock_doubt, objects, cause, events, newest, detail, state)
     VALUES (1, 0, $1, $2, $3, 1, 'alert', 2, 'loitering', 'r-1', 'zone/z-1', $4, $4, $5, '[]', '{}', 1, $4, '{}', 'new')
     RETURNING no`,
    [site, box, episode, iso(receivedMs), false],
  );
  return row?.no ?? 0;
}

export async function addNote(db: Queries, incident: number, atMs: number): Promise<void> {
  await db.run("INSERT INTO note (incident, at, account, text) VALUES ($1, $2, 'ada', 'seen')", [
    incident,
    iso(atMs),
  ]);
}

export async function addVerdict(
  db: Queries,
  { site, box }: Place,
  episode: string,
  verdict: string,
  timeMs: number,
): Promise<void> {
  await db.run('INSERT INTO verdict_due (site, box, episode, verdict, time) VALUES ($1, $2, $3, $4, $5)', [
    ...[site, box, episode, verdict],
    iso(timeMs),
  ]);
}

/** Sets a camera's state from a status; every change has a number of its own. */
export async function setCamera(
  db: Queries,
  { site, box }: Place,
  state: string,
  rev: number,
  nowMs: number,
): Promise<void> {
  await db.run(
    `INSERT INTO camera (site, box, rev, state, conditions, last_report) VALUES ($1, $2, $3, $4, '[]', $5)
     ON CONFLICT (site, box) DO UPDATE SET rev = excluded.rev, state = excluded.state,
       last_report = excluded.last_report`,
    [site, box, rev, state, iso(nowMs)],
  );
}

export interface Recorded {
  readonly no: number;
  readonly site: string | null;
  readonly box: string | null;
  readonly incident: number | null;
  readonly more: Readonly<Record<string, unknown>>;
}

/** Audit log entries of one action, in order. */
export async function recordsOf(db: Queries, action: string): Promise<Recorded[]> {
  const rows = await db.all<Omit<Recorded, 'more'> & { more: string }>(
    'SELECT no, site, box, incident, more FROM audit WHERE act = $1 ORDER BY no',
    [action],
  );
  return rows.map((row) => ({ ...row, more: JSON.parse(row.more) as Recorded['more'] }));
}

export async function countOf(db: Queries, table: string): Promise<number> {
  const [row] = await db.all<{ n: number }>(`SELECT count(*) AS n FROM ${table}`);
  return row?.n ?? 0;
}
