/** Creates the room's tables in one transaction, so that an interruption leaves the database unchanged. */
import { makePartitions } from './partitions.ts';
import type { Queries, Sql } from './sql.ts';
import { tables, VERSION } from './tables.ts';

/**
 * Key of the advisory lock that prevents two programs from creating the tables at once. The number is arbitrary but the
 * same everywhere.
 */
export const TABLES_LOCK = 8_442_017;

/**
 * Creates the tables if there are none, and the partitions. The first start stores `timeZone`, which defines days and
 * hours in statistics.
 *
 * @throws {DatabaseUnavailable} if the database is unavailable
 * @throws {Error} with one line if the tables are of another version
 */
export function prepare(db: Sql, timeZone: string, nowMs: number): Promise<void> {
  const isPostgres = db.dialect.name === 'postgres';
  return db.transaction(async (transaction) => {
    if (isPostgres) await transaction.all('SELECT pg_advisory_xact_lock($1)', [TABLES_LOCK]);
    const version = await versionOf(transaction, isPostgres);
    if (version !== undefined && version !== String(VERSION)) {
      throw new Error(
        `the database has tables of version ${version}, this program knows ${VERSION}; run the program that made it, or name another database`,
      );
    }
    if (version === undefined) {
      for (const statement of tables(db.dialect)) await transaction.run(statement);
      await transaction.run("INSERT INTO setting VALUES ('version', $1), ('time-zone', $2)", [
        String(VERSION),
        timeZone,
      ]);
    }
    await makePartitions(transaction, isPostgres, nowMs);
  });
}

/** Returns the version of the tables, or undefined if there are none. */
async function versionOf(transaction: Queries, isPostgres: boolean): Promise<string | undefined> {
  const tables = await transaction.all<{ name: string }>(
    isPostgres
      ? "SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema() AND tablename IN ('setting', 'event')"
      : "SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('setting', 'event')",
  );
  if (tables.length === 0) return undefined;
  if (!tables.some(({ name }) => name === 'setting')) return 'unknown';
  const [row] = await transaction.all<{ value: string }>("SELECT value FROM setting WHERE name = 'version'");
  return row?.value ?? 'unknown';
}

/** Returns the room's time zone, as given at the first start. */
export async function timeZoneOf(db: Queries): Promise<string> {
  const [row] = await db.all<{ value: string }>("SELECT value FROM setting WHERE name = 'time-zone'");
  if (row === undefined)
    throw new Error('the database lacks a time zone; it was not created by this program');
  return row.value;
}
