/** The two databases that a room may have, as real servers. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import pg from 'pg';
import type { Test } from 'tap';
import { Archive, type ArchiveOptions } from '../../scripts/programs/room/archive/archive.ts';
import { databaseOf } from '../../scripts/programs/room/database/open.ts';
import type { Sql } from '../../scripts/programs/room/database/sql.ts';
import { scratch } from './paths.ts';
import { Postgres } from './postgres.ts';

export type Row = Record<string, unknown>;

export interface TestDatabase {
  /** Address for `--database`. */
  readonly address: string;
  /** The server, where there is one that can be killed. */
  readonly server?: Postgres;
  /** Opens another archive on it until the test ends; `now` is its clock. */
  open(now?: () => number, options?: Partial<ArchiveOptions>): Promise<Archive>;
  /** The program's own connection, closed when the test ends; the tables exist after an `open`. */
  sql(): Sql;
  /** Result of one query, read by a program other than the archive. */
  read(sql: string): Promise<Row[]>;
}

/** Databases by name, made on first use. */
export const DATABASES = { sqlite, postgres };

async function sqlite(t: Test): Promise<TestDatabase> {
  const address = join(scratch(t), 'room.db');
  const read = async (sql: string): Promise<Row[]> => {
    const db = new Database(address);
    try {
      return db.prepare(sql).all() as Row[];
    } finally {
      db.close();
    }
  };
  return { address, read, ...opener(t, address) };
}

async function postgres(t: Test): Promise<TestDatabase> {
  const server = new Postgres(scratch(t));
  t.teardown(() => server.stop());
  await server.start();
  const address = server.url;
  const read = async (sql: string): Promise<Row[]> => {
    const client = new pg.Client({ connectionString: address });
    await client.connect();
    try {
      return (await client.query<Row>(sql)).rows;
    } finally {
      await client.end();
    }
  };
  return { address, server, read, ...opener(t, address) };
}

/** Time zone in which tests count days and hours of statistics. */
export const TIME_ZONE = 'Europe/Paris';

function opener(t: Test, address: string): Pick<TestDatabase, 'open' | 'sql'> {
  const database = (): Sql => databaseOf(address, ({ message }) => t.comment(`idle: ${message}`));
  return {
    open: async (now = Date.now, options = {}) => {
      const archive = new Archive(database(), {
        timeZone: TIME_ZONE,
        now,
        instanceId: randomUUID(),
        onNotice: (line) => t.comment(line),
        ...options,
      });
      t.teardown(() => archive.close());
      await archive.open();
      return archive;
    },
    sql: () => {
      const db = database();
      t.teardown(() => db.close());
      return db;
    },
  };
}
