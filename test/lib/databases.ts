/** The two databases that a room may have, real ones. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import pg from 'pg';
import type { Test } from 'tap';
import type { Archive } from '../../scripts/programs/room/archive/archive.ts';
import { PostgresArchive } from '../../scripts/programs/room/archive/postgres.ts';
import { SqliteArchive } from '../../scripts/programs/room/archive/sqlite.ts';
import { scratch } from './paths.ts';
import { Postgres } from './postgres.ts';

export type Row = Record<string, unknown>;

export interface TestDatabase {
  /** For `--database`. */
  readonly where: string;
  /** Where there is one that can be killed. */
  readonly server?: Postgres;
  /** Another archive on it, open until the test ends. */
  open(): Promise<Archive>;
  /** What one query gives, read by another program than the archive. */
  read(sql: string): Promise<Row[]>;
}

/** By name, made when asked for. */
export const DATABASES = { sqlite, postgres };

async function sqlite(t: Test): Promise<TestDatabase> {
  const where = join(scratch(t), 'room.db');
  const read = async (sql: string): Promise<Row[]> => {
    const db = new Database(where);
    try {
      return db.prepare(sql).all() as Row[];
    } finally {
      db.close();
    }
  };
  return { where, read, open: () => opened(t, new SqliteArchive(where)) };
}

async function postgres(t: Test): Promise<TestDatabase> {
  const server = new Postgres(scratch(t));
  t.teardown(() => server.stop());
  await server.start();
  const where = server.url;
  const read = async (sql: string): Promise<Row[]> => {
    const client = new pg.Client({ connectionString: where });
    await client.connect();
    try {
      return (await client.query<Row>(sql)).rows;
    } finally {
      await client.end();
    }
  };
  const open = (): Promise<Archive> =>
    opened(t, new PostgresArchive(where, ({ message }) => t.comment(`idle: ${message}`)));
  return { where, server, read, open };
}

async function opened(t: Test, archive: Archive): Promise<Archive> {
  await archive.open();
  t.teardown(() => archive.close());
  return archive;
}
