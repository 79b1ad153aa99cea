/** Rows of a room's database, inserted by hand as its archive leaves them. */
import { createHash } from 'node:crypto';
import { next } from '../../scripts/programs/room/database/counters.ts';
import { iso, type Queries, type Sql, type Value } from '../../scripts/programs/room/database/sql.ts';

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
