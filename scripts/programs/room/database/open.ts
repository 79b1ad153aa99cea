/** Opens the database that a setting names: an SQLite file, or postgres://… */
import { PostgresDatabase } from './postgres.ts';
import type { Sql } from './sql.ts';
import { SqliteDatabase } from './sqlite.ts';

/**
 * Opens the database.
 * @throws {Error} with one line and without the URL, which may contain a password
 */
export function databaseOf(where: string, onBroken: (error: Error) => void): Sql {
  if (/^postgres(ql)?:/.test(where)) {
    if (!URL.canParse(where)) throw new Error('must be a file or postgres://user@host/name');
    return new PostgresDatabase(where, onBroken);
  }
  if (/^[a-z]+:\/\//.test(where)) {
    throw new Error(`must be a file or postgres://…, not '${new URL(where).protocol}//…'`);
  }
  return new SqliteDatabase(where);
}
