/**
 * Makes the room's tables, and takes over a database of before: version 1 had `event`, `snapshot`, `lane` and `report`
 * with text in them. All of it is one transaction: who is interrupted finds what was there.
 */
import { makePartitions } from './partitions.ts';
import type { Queries, Sql } from './sql.ts';
import { tables, VERSION } from './tables.ts';

/** Any number will do, the same for everybody: two programs do not make the tables at once. */
export const TABLES_LOCK = 8_442_017;

export interface Prepared {
  /** Version of what was there; undefined where there was nothing. */
  readonly from: number | undefined;
}

/**
 * `timeZone` counts for days and hours in figures, and is kept from the first start on. `onOld` takes over the rows of
 * version 1, whose tables are `event_1`, `snapshot_1`, `lane_1` and `report_1` meanwhile. Throws DatabaseAway, or an
 * error with one line where the tables are of another program.
 */
export function prepare(
  db: Sql,
  timeZone: string,
  nowMs: number,
  onOld: (transaction: Queries) => Promise<void>,
): Promise<Prepared> {
  const isPostgres = db.dialect.name === 'postgres';
  return db.transaction(async (transaction) => {
    if (isPostgres) await transaction.all('SELECT pg_advisory_xact_lock($1)', [TABLES_LOCK]);
    const from = await versionOf(transaction, isPostgres);
    if (from !== undefined && from > VERSION) {
      throw new Error(
        `the database is of a newer program (its version is ${from}, this one knows ${VERSION})`,
      );
    }
    if (from !== undefined && from > 1 && from < VERSION) {
      throw new Error(
        `the database is of an earlier program (its version is ${from}, this one needs ${VERSION}): name another one`,
      );
    }
    if (from === 1) await setAside(transaction, isPostgres);
    if (from !== VERSION) {
      for (const statement of tables(db.dialect)) await transaction.run(statement);
      await transaction.run("INSERT INTO setting VALUES ('version', $1), ('time-zone', $2)", [
        String(VERSION),
        timeZone,
      ]);
    }
    await makePartitions(transaction, isPostgres, nowMs);
    if (from === 1) {
      await onOld(transaction);
      for (const table of OLD) await transaction.run(`DROP TABLE ${table}_1`);
    }
    return { from };
  });
}

const OLD = ['event', 'snapshot', 'lane', 'report'] as const;

async function versionOf(transaction: Queries, isPostgres: boolean): Promise<number | undefined> {
  const there = async (table: string): Promise<boolean> => {
    const [row] = await transaction.all(
      isPostgres
        ? 'SELECT 1 AS there FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1'
        : "SELECT 1 AS there FROM sqlite_master WHERE type = 'table' AND name = $1",
      [table],
    );
    return row !== undefined;
  };
  if (await there('setting')) {
    const [row] = await transaction.all<{ value: string }>(
      "SELECT value FROM setting WHERE name = 'version'",
    );
    return Number(row?.value);
  }
  return (await there('event')) ? 1 : undefined;
}

async function setAside(transaction: Queries, isPostgres: boolean): Promise<void> {
  for (const table of OLD) {
    await transaction.run(`ALTER TABLE ${table} RENAME TO ${table}_1`);
    // PostgreSQL's primary keys are named after the table, and a name is free only when it is let go.
    if (isPostgres) await transaction.run(`ALTER INDEX ${table}_pkey RENAME TO ${table}_1_pkey`);
  }
  await transaction.run('DROP INDEX IF EXISTS event_time');
}

/** The room's time zone, as it was given at the first start. */
export async function timeZoneOf(db: Queries): Promise<string> {
  const [row] = await db.all<{ value: string }>("SELECT value FROM setting WHERE name = 'time-zone'");
  if (row === undefined) throw new Error('the database has no time zone: it was not made by this program');
  return row.value;
}
