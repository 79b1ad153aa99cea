/** Rows of a room's database, inserted by hand as its archive leaves them. */
import { createHash } from 'node:crypto';
import { next } from '../../scripts/products/room/database/counters.ts';
import { iso, type Queries, type Sql, type Value } from '../../scripts/products/room/database/sql.ts';

export type Columns = Readonly<Record<string, Value>>;

const INCIDENT = {
  revision: 0,
  site: 'lyon',
  box: 'b-1',
  entry: 1,
  severity: 'alert',
  priority: 2,
  kind: 'loitering',
  rule: 'r-1',
  place: 'zone/square',
  ended_at: null,
  clock_doubt: false,
  objects: '[]',
  cause: '{}',
  events: 1,
  still: null,
  detail: '{}',
  state: 'new',
} as const;

let episodes = 0;

/** Adds one incident with a number of its own and notifies all listeners. Returns `no`. */
export async function addIncident(db: Sql, receivedMs = Date.now(), change: Columns = {}): Promise<number> {
  const [no = 0] = await addIncidents(db, [{ received: iso(receivedMs), ...change }]);
  return no;
}

/**
 * Adds incidents in one transaction, as a batch of the archive. The default of `received` is now. Returns their `no`.
 */
export function addIncidents(db: Sql, incidents: readonly Columns[]): Promise<number[]> {
  return changing(db, async (transaction) => {
    const first = await next(transaction, 'rev', incidents.length);
    const nos: number[] = [];
    for (const [at, change] of incidents.entries()) {
      const received = change['received'] ?? iso(Date.now());
      episodes += 1;
      const row = { rev: first + at, episode: `e-${episodes}`, ...INCIDENT, received };
      nos.push(
        await insert(transaction, 'incident', { ...row, started_at: received, newest: received, ...change }),
      );
    }
    return nos;
  });
}

/** Changes an incident as another of its events does. */
export function changeIncident(db: Sql, no: number, change: Columns = {}): Promise<void> {
  return changing(db, async (transaction) => {
    const rev = await next(transaction, 'rev');
    const sets = Object.keys(change).map((name, at) => `, ${name} = $${at + 3}`);
    await transaction.run(`UPDATE incident SET rev = $2, events = events + 1${sets.join('')} WHERE no = $1`, [
      ...[no, rev],
      ...Object.values(change),
    ]);
  });
}

/** Inserts or updates the state of a camera. */
export function putCamera(db: Sql, box: string, heardMs: number, change: Columns = {}): Promise<void> {
  return putCameras(db, [{ box, last_report: iso(heardMs), ...change }]);
}

/** Inserts or updates cameras in one transaction. */
export function putCameras(
  db: Sql,
  cameras: readonly (Columns & { readonly box: string; readonly last_report: string })[],
): Promise<void> {
  return changing(db, async (transaction) => {
    for (const change of cameras) {
      const rev = await next(transaction, 'rev');
      const row = { site: 'lyon', rev, state: 'online', mode: 'active', conditions: '[]', ...change };
      await transaction.run('DELETE FROM camera WHERE site = $1 AND box = $2', [row.site, row.box]);
      await insert(transaction, 'camera', row);
    }
  });
}

/** A picture as an event names it. */
export interface NamedPicture {
  readonly moment: string;
  readonly name: string;
  readonly time: string;
  readonly sha256: string;
}

/** Adds a still as the event names it, unless `jpeg` is another picture. */
export async function addStill(
  db: Sql,
  picture: Pick<NamedPicture, 'name'>,
  jpeg: Buffer,
  receivedMs: number,
  change: Columns = {},
): Promise<void> {
  await insert(db, 'snapshot', {
    site: 'lyon',
    box: 'b-1',
    epoch: 'e1',
    lane: 'alert',
    seq: 1,
    name: picture.name,
    sha256: createHash('sha256').update(jpeg).digest('hex'),
    jpeg,
    received: iso(receivedMs),
    ...change,
  });
}

/** Adds incidents of `site`, each with the still `jpeg` of 15 s ago. */
export async function addPictured(
  db: Sql,
  jpeg: Buffer,
  site: string,
  incidents: readonly (Columns & { readonly no: number; readonly box: string })[],
): Promise<void> {
  const sha256 = createHash('sha256').update(jpeg).digest('hex');
  const time = iso(Date.now() - 15_000);
  const rows = incidents.map((incident) => {
    const still = `${incident.no}.jpg`;
    const detail = { stills: [{ moment: 'snapshot', name: still, time, sha256 }], timeZone: 'Europe/Paris' };
    return { site, still, detail: JSON.stringify(detail), ...incident };
  });
  for (const { no, box } of incidents)
    await addStill(db, { name: `${no}.jpg` }, jpeg, Date.now(), { site, box, seq: no });
  await addIncidents(db, rows);
}

/** Returns the number that an incident is given, 0 for anything else. */
export async function insert(db: Queries, table: string, columns: Columns): Promise<number> {
  const places = Object.keys(columns).map((_, index) => `$${index + 1}`);
  const returning = table === 'incident' ? ' RETURNING no' : '';
  const [row] = await db.all<{ no: number }>(
    `INSERT INTO ${table} (${Object.keys(columns).join(', ')}) VALUES (${places.join(', ')})${returning}`,
    Object.values(columns),
  );
  return row?.no ?? 0;
}

/** Runs work in a transaction; listeners are notified with the commit. */
function changing<T>(db: Sql, work: (transaction: Queries) => Promise<T>): Promise<T> {
  return db.transaction(async (transaction) => {
    const result = await work(transaction);
    if (db.dialect.notifySql !== undefined) await transaction.run(db.dialect.notifySql);
    return result;
  });
}

export const DAY_MS = 86_400_000;

/** Place of a box. */
interface Place {
  readonly site: string;
  readonly box: string;
}

/** Adds an event as it was received. */
export async function addEvent(
  db: Queries,
  { site, box }: Place,
  id: string,
  atMs: number,
  receivedMs = atMs,
): Promise<void> {
  const times = { time: iso(atMs), at: iso(atMs), received: iso(receivedMs) };
  await insert(db, 'event', {
    site,
    box,
    epoch: 'e1',
    lane: 'alert',
    seq: 1,
    id,
    type: 'vigie.loitering.v1',
    body: '{}',
    ...times,
  });
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

export async function addVerdict(
  db: Queries,
  { site, box }: Place,
  episode: string,
  verdict: string,
  timeMs: number,
): Promise<void> {
  await insert(db, 'verdict_due', { site, box, episode, verdict, time: iso(timeMs) });
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
