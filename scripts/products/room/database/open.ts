/** Opens the database that a setting names: an SQLite file, or postgres://… */
import { PostgresDatabase } from './postgres.ts';
import type { Sql } from './sql.ts';
import { SqliteDatabase } from './sqlite.ts';

/**
 * Opens the database.
 * @throws {Error} with one line and without the URL, which may contain a password
 */
export function databaseOf(address: string, onBroken: (error: Error) => void): Sql {
  if (/^postgres(ql)?:/.test(address)) {
    if (!URL.canParse(address)) throw new Error('must be a file or postgres://user@host/name');
    return new PostgresDatabase(address, onBroken);
  }
  if (/^[a-z]+:\/\//.test(address)) {
    throw new Error(`must be a file or postgres://…, not '${new URL(address).protocol}//…'`);
  }
  return new SqliteDatabase(address);
}
