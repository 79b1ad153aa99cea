/** The two databases that a room may have: SQLite in a file, and PostgreSQL on one server for each test file. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import pg from 'pg';
import tap, { type Test } from 'tap';
import { Archive, type ArchiveOptions } from '../../scripts/products/room/archive/archive.ts';
import { databaseOf } from '../../scripts/products/room/database/open.ts';
import { prepare } from '../../scripts/products/room/database/prepare.ts';
import type { Sql } from '../../scripts/products/room/database/sql.ts';
import { scratch } from './paths.ts';
import { Postgres } from './postgres.ts';
import { unlessAll } from './run.ts';

export type Row = Record<string, unknown>;

export interface TestDatabase {
  readonly engine: keyof typeof DATABASES;
  /** Address for `--database`. */
  readonly address: string;
  /** The server, where there is one that can be killed; other tests of the file need it running. */
  readonly server?: Postgres;
  /** Opens another archive on it until the test ends; `now` is its clock. */
  open(now?: () => number, options?: Partial<ArchiveOptions>): Promise<Archive>;
  /** The program's own connection, closed when the test ends; the tables exist after an `open`. */
  sql(): Sql;
  /** A connection of the program after it has made its tables at that time. */
  prepared(nowMs?: number): Promise<Sql>;
  /** Result of one query, read by a program other than the archive. */
  read(sql: string): Promise<Row[]>;
}

/** Databases by name, made on first use. */
export const DATABASES = { sqlite, postgres };

/**
 * Runs a test on SQLite, and with `--all` on PostgreSQL too. What both must fulfil alike in every run is `conformance`.
 */
export function onEachDatabase(
  title: string,
  run: (t: Test, database: TestDatabase) => Promise<void>,
  { conformance = false, timeout = 120_000, skip = false as string | false } = {},
): void {
  for (const [engine, make] of Object.entries(DATABASES)) {
    const isLeftOut = skip || (engine === 'postgres' && !conformance && unlessAll);
    void tap.test(`${title} (${engine})`, { skip: isLeftOut, timeout }, async (t) => run(t, await make(t)));
  }
}

/** Time zone in which tests count days and hours of statistics. */
export const TIME_ZONE = 'Europe/Paris';

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
  return { engine: 'sqlite', address, read, ...opener(t, address) };
}

let shared: Promise<Postgres> | undefined;
let databases = 0;

async function startShared(): Promise<Postgres> {
  const server = new Postgres(scratch(tap));
  tap.teardown(() => server.stop());
  await server.start();
  return server;
}

async function postgres(t: Test): Promise<TestDatabase> {
  shared ??= startShared();
  const server = await shared;
  const query = async (url: string, sql: string): Promise<Row[]> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query<Row>(sql)).rows;
    } finally {
      await client.end();
    }
  };
  databases += 1;
  await query(server.url, `CREATE DATABASE room_${databases}`);
  const address = server.url.replace(/postgres$/, `room_${databases}`);
  return {
    engine: 'postgres',
    address,
    server,
    read: (sql) => query(address, sql),
    ...opener(t, address),
  };
}

function opener(t: Test, address: string): Pick<TestDatabase, 'open' | 'sql' | 'prepared'> {
  const database = (): Sql => databaseOf(address, ({ message }) => t.comment(`idle: ${message}`));
  const sql = (): Sql => {
    const db = database();
    t.teardown(() => db.close());
    return db;
  };
  return {
    sql,
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
    prepared: async (nowMs = Date.now()) => {
      const db = sql();
      await prepare(db, TIME_ZONE, nowMs);
      return db;
    },
  };
}
