/** Rows of a room's database, inserted by hand as its archive would make them, with the columns that tests look at. */
import { iso, type Queries, type Sql } from '../../scripts/programs/room/database/sql.ts';
import { insert } from './console-rows.ts';

export const DAY_MS = 86_400_000;

interface Place {
  readonly site: string;
  readonly box: string;
}

const OUTBOX = { epoch: 'e1', lane: 'alert', seq: 1 } as const;

export async function addEvent(
  db: Queries,
  { site, box }: Place,
  id: string,
  atMs: number,
  receivedMs = atMs,
): Promise<void> {
  const times = { time: iso(atMs), at: iso(atMs), received: iso(receivedMs) };
  await insert(db, 'event', { site, box, ...OUTBOX, id, type: 'vigie.loitering.v1', body: '{}', ...times });
}

export async function addSnapshot(
  db: Queries,
  { site, box }: Place,
  name: string,
  receivedMs: number,
): Promise<void> {
  const picture = { name, sha256: 'none', jpeg: Buffer.from('jpeg') };
  await insert(db, 'snapshot', { site, box, ...OUTBOX, ...picture, received: iso(receivedMs) });
}

/** Returns its number. */
export function addIncident(
  db: Queries,
  { site, box }: Place,
  episode: string,
  receivedMs: number,
): Promise<number> {
  const time = iso(receivedMs);
  const rule = { severity: 'alert', priority: 2, kind: 'loitering', rule: 'r-1', place: 'zone/z-1' };
  const times = { started_at: time, received: time, newest: time, clock_doubt: false };
  const rest = { objects: '[]', cause: '{}', events: 1, detail: '{}', state: 'new' };
  const key = { rev: 1, revision: 0, site, box, episode, entry: 1 };
  return insert(db, 'incident', { ...key, ...rule, ...times, ...rest });
}

/** Columns of `addManyIncidents`, as SQL in which `n` is the number of the incident and `at` its time. */
export type Expressions = Readonly<Record<string, string>>;

const USUAL: Expressions = {
  rev: '10 + n',
  revision: '0',
  site: "'lyon'",
  box: "'b-1'",
  episode: "'m-' || n",
  entry: '1',
  severity: "'alert'",
  priority: '1',
  kind: "'crowd-gathering'",
  rule: "'r-1'",
  place: "'zone/z'",
  started_at: 'at',
  received: 'at',
  clock_doubt: 'false',
  objects: "'[]'",
  cause: "'{}'",
  events: '1',
  newest: 'at',
  detail: "'{}'",
  state: "'new'",
};

/** Incidents of one statement, which the databases' time limit allows. */
const AT_ONCE = 100_000;

/** Adds many incidents by SQL, the first at `nowMs` and each `stepS` before the last; then counts the rows. */
export async function addManyIncidents(
  db: Sql,
  count: number,
  { nowMs, stepS = 0 }: { readonly nowMs: number; readonly stepS?: number },
  change: Expressions = {},
): Promise<void> {
  const columns = { ...USUAL, ...change };
  const isPostgres = db.dialect.name === 'postgres';
  const at = isPostgres
    ? `to_timestamp(${nowMs / 1000} - n * ${stepS}.0)`
    : `strftime('%Y-%m-%dT%H:%M:%fZ', ${nowMs / 1000} - n * ${stepS}, 'unixepoch')`;
  for (let first = 1; first <= count; first += AT_ONCE) {
    const last = Math.min(count, first + AT_ONCE - 1);
    const numbers = isPostgres
      ? `generate_series(${first}, ${last}) AS n`
      : `(WITH RECURSIVE up(n) AS (SELECT ${first} UNION ALL SELECT n + 1 FROM up WHERE n < ${last}) SELECT n FROM up)`;
    await db.run(
      `INSERT INTO incident (${Object.keys(columns).join(', ')}) SELECT ${Object.values(columns).join(', ')}
       FROM (SELECT n, ${at} AS at FROM ${numbers}) AS numbered`,
    );
  }
  await db.run("UPDATE counter SET value = $1 WHERE name = 'rev'", [count + 10]);
  // As autovacuum does after a minute; a plan without statistics reads the whole table for each row.
  await db.run('ANALYZE');
}

export async function addNote(db: Queries, incident: number, atMs: number): Promise<void> {
  await insert(db, 'note', { incident, at: iso(atMs), account: 'ada', text: 'seen' });
}

export async function addVerdict(
  db: Queries,
  { site, box }: Place,
  episode: string,
  verdict: string,
  timeMs: number,
): Promise<void> {
  await insert(db, 'verdict_due', { site, box, episode, verdict, time: iso(timeMs) });
}

/** Sets a camera's state from a status; every change has a number of its own. */
export async function setCamera(
  db: Queries,
  { site, box }: Place,
  state: string,
  rev: number,
  nowMs: number,
): Promise<void> {
  await db.run('DELETE FROM camera WHERE site = $1 AND box = $2', [site, box]);
  await insert(db, 'camera', { site, box, rev, state, conditions: '[]', last_report: iso(nowMs) });
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
