/** All parts of a room, each a program of its own or the real library: boxes, broker, archive, database, console. */
import Database from 'better-sqlite3';
import pg from 'pg';
import type { Test } from 'tap';
import { CHANNEL } from '../../scripts/products/room/database/sql.ts';
import { DATABASES, type Row, type TestDatabase } from './databases.ts';
import { makeRoom, type Room } from './room.ts';
import { ConsoleProgram, RoomProgram } from './room-program.ts';
import { type StreetBox, startStreet } from './street-boxes.ts';

/** Polling interval for SQLite, which does not notify; small against a latency of tens of milliseconds. */
const COMMITS_EVERY_MS = 2;

export interface Chain {
  readonly name: keyof typeof DATABASES;
  readonly room: Room;
  readonly database: TestDatabase;
  readonly archive: RoomProgram;
  readonly consoleProgram: ConsoleProgram;
  readonly street: readonly StreetBox[];
}

export async function startChain(t: Test, name: Chain['name'], boxes = 10): Promise<Chain> {
  const database = await DATABASES[name](t);
  const room = await makeRoom(t);
  const archive = await RoomProgram.start(t, room, '--database', database.address, '--quiet');
  const street = await startStreet(t, room, boxes);
  const consoleProgram = await ConsoleProgram.start(t, database.address);
  return { name, room, database, archive, consoleProgram, street };
}

/** Commit time of each incident, by the clock of this machine, ms; the times are never too early. */
export async function watchCommits(t: Test, { name, database }: Chain): Promise<Map<number, number>> {
  const commits = new Map<number, number>();
  let last = 0;
  const take = (rows: readonly Row[], atMs: number): void => {
    for (const { no } of rows) {
      last = Math.max(last, Number(no));
      commits.set(Number(no), atMs);
    }
  };
  const sql = (): string => `SELECT no FROM incident WHERE no > ${last} ORDER BY no`;
  if (name === 'sqlite') {
    const db = new Database(database.address, { readonly: true });
    const poll = (): void => take(db.prepare(sql()).all() as Row[], Date.now());
    poll();
    const pollTimer = setInterval(poll, COMMITS_EVERY_MS);
    t.teardown(() => {
      clearInterval(pollTimer);
      db.close();
    });
    return commits;
  }
  const client = new pg.Client({ connectionString: database.address });
  // The test may kill the server.
  client.on('error', (error) => t.comment(error.message));
  await client.connect();
  let asking = Promise.resolve();
  const queryRows = (): void => {
    // PostgreSQL notifies listeners after the commit.
    const atMs = Date.now();
    asking = asking.then(async () => take((await client.query<Row>(sql())).rows, atMs));
  };
  client.on('notification', queryRows);
  await client.query(`LISTEN ${CHANNEL}`);
  queryRows();
  await asking;
  t.teardown(async () => {
    client.off('notification', queryRows);
    await asking;
    await client.end();
  });
  return commits;
}
