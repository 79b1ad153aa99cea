/** Makes the room's tables, in one transaction: who is interrupted finds what was there. */
import { makePartitions } from './partitions.ts';
import type { Queries, Sql } from './sql.ts';
import { tables, VERSION } from './tables.ts';

/** Any number will do, the same for everybody: two programs do not make the tables at once. */
export const TABLES_LOCK = 8_442_017;

/**
 * `timeZone` counts for days and hours in figures, and is kept from the first start on. Throws DatabaseAway, or an error
 * with one line where the tables are of another program.
 */
export function prepare(db: Sql, timeZone: string, nowMs: number): Promise<void> {
  const isPostgres = db.dialect.name === 'postgres';
  return db.transaction(async (transaction) => {
    if (isPostgres) await transaction.all('SELECT pg_advisory_xact_lock($1)', [TABLES_LOCK]);
    const found = await versionOf(transaction, isPostgres);
    if (found !== undefined && found !== String(VERSION)) {
      throw new Error(
        `the database has tables of version ${found}, this program knows ${VERSION}; run the program that made it, or name another database`,
      );
    }
    if (found === undefined) {
      for (const statement of tables(db.dialect)) await transaction.run(statement);
      await transaction.run("INSERT INTO setting VALUES ('version', $1), ('time-zone', $2)", [
        String(VERSION),
        timeZone,
      ]);
    }
    await makePartitions(transaction, isPostgres, nowMs);
  });
}

/** Undefined where there are no tables of a room. */
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

/** The room's time zone, as it was given at the first start. */
export async function timeZoneOf(db: Queries): Promise<string> {
  const [row] = await db.all<{ value: string }>("SELECT value FROM setting WHERE name = 'time-zone'");
  if (row === undefined) throw new Error('the database has no time zone: it was not made by this program');
  return row.value;
}
