/** A database by what is typed: a file of SQLite, or postgres://… */
import { PostgresDatabase } from './postgres.ts';
import type { Sql } from './sql.ts';
import { SqliteDatabase } from './sqlite.ts';

/** Throws an error with one line, without the URL: it may hold a password. */
export function databaseOf(where: string, onBroken: (error: Error) => void): Sql {
  if (/^postgres(ql)?:/.test(where)) {
    if (!URL.canParse(where)) throw new Error('takes a file or postgres://user@host/name; this is no URL');
    return new PostgresDatabase(where, onBroken);
  }
  if (/^[a-z]+:\/\//.test(where)) {
    throw new Error(`takes a file or postgres://…, not '${new URL(where).protocol}//…'`);
  }
  return new SqliteDatabase(where);
}
