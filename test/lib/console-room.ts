/** A room's database filled by hand, and the calls of its console as people would make them. */
import { createHash } from 'node:crypto';
import type { Test } from 'tap';
import { type Call, CallError } from '../../scripts/programs/room/console/handler.ts';
import type { RouteName } from '../../scripts/programs/room/contract/api.ts';
import type { Role } from '../../scripts/programs/room/contract/roles.ts';
import { databaseOf } from '../../scripts/programs/room/database/open.ts';
import { prepare } from '../../scripts/programs/room/database/prepare.ts';
import { iso, type Queries, type Sql, type Value } from '../../scripts/programs/room/database/sql.ts';

export const TIME_ZONE = 'Europe/Paris';

/** Another console on the same database, open until the test ends. */
export async function consoleRoom(t: Test, where: string, nowMs: number): Promise<Sql> {
  const db = databaseOf(where, ({ message }) => t.comment(`idle: ${message}`));
  t.teardown(() => db.close());
  await prepare(db, TIME_ZONE, nowMs, async () => undefined);
  return db;
}

/** Names are of people, roles what they may; parts that a call does not name are empty. */
export function callOf<N extends RouteName>(
  who: string,
  nowMs: number,
  parts: Partial<Pick<Call<N>, 'params' | 'query' | 'body' | 'key'>> = {},
): Call<N> {
  const role: Role = who.startsWith('sup') ? 'supervisor' : who.startsWith('aud') ? 'auditor' : 'operator';
  const account = { name: who, role, isProgram: false };
  const empty = { params: {}, query: {}, body: {}, key: '' };
  return { ...empty, ...parts, who: account, nowMs } as unknown as Call<N>;
}

/** What a refused call says; fails with what it gave instead. */
export async function refusalOf(call: Promise<unknown>): Promise<CallError> {
  try {
    const given = await call;
    throw new Error(`was not refused: ${JSON.stringify(given).slice(0, 200)}`);
  } catch (error) {
    if (error instanceof CallError) return error;
    throw error;
  }
}

const INCIDENT = {
  ...{ revision: 0, site: 'lyon', box: 'b-1', entry: 1, severity: 'alert', priority: 2, kind: 'loitering' },
  ...{ rule: 'r-1', place: 'zone/square', ended: null, clock_doubt: false, objects: '[]', cause: '{}' },
  ...{ events: 1, still: null, detail: '{}', state: 'new' },
} as const;

let episodes = 0;

/** As the archive writes one, with a number of its own. Returns `no`. */
export async function addIncident(
  db: Sql,
  receivedMs: number,
  change: Readonly<Record<string, Value>> = {},
): Promise<number> {
  const at = iso(receivedMs);
  episodes += 1;
  const times = { started: at, received: at, newest: at };
  const columns = { episode: `e-${episodes}`, ...INCIDENT, ...times, ...change };
  return db.transaction(async (transaction) => {
    const [counter] = await transaction.all<{ value: number }>(
      "UPDATE counter SET value = value + 1 WHERE name = 'rev' RETURNING value",
    );
    return insert(transaction, 'incident', { rev: counter?.value ?? 0, ...columns });
  });
}

export async function addCamera(
  db: Sql,
  box: string,
  heardMs: number,
  change: Readonly<Record<string, Value>> = {},
): Promise<void> {
  await db.transaction(async (transaction) => {
    const [counter] = await transaction.all<{ value: number }>(
      "UPDATE counter SET value = value + 1 WHERE name = 'rev' RETURNING value",
    );
    const columns = { site: 'lyon', box, state: 'online', mode: 'active', conditions: '[]' };
    await insert(transaction, 'camera', {
      ...{ rev: counter?.value ?? 0, ...columns, heard: iso(heardMs) },
      ...change,
    });
  });
}

export interface NamedPicture {
  readonly moment: string;
  readonly name: string;
  readonly time: string;
  readonly sha256: string;
}

/** What comes of it is what the event names, unless `jpeg` is another. */
export async function addStill(
  db: Sql,
  named: NamedPicture,
  jpeg: Buffer,
  receivedMs: number,
): Promise<void> {
  await insert(db, 'snapshot', {
    ...{ site: 'lyon', box: 'b-1', epoch: 'e1', lane: 'alert', seq: 1, name: named.name },
    ...{ sha256: createHash('sha256').update(jpeg).digest('hex'), jpeg, received: iso(receivedMs) },
  });
}

export async function insert(
  db: Queries,
  table: string,
  columns: Readonly<Record<string, Value>>,
): Promise<number> {
  const places = Object.keys(columns).map((_, index) => `$${index + 1}`);
  const back = table === 'incident' ? ' RETURNING no' : '';
  const [row] = await db.all<{ no: number }>(
    `INSERT INTO ${table} (${Object.keys(columns).join(', ')}) VALUES (${places.join(', ')})${back}`,
    Object.values(columns),
  );
  return row?.no ?? 0;
}
