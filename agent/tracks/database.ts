/** Database of the log of tracks. */
import { type Db, openBoundedSqlite, type SqliteFile } from '../base/sqlite.ts';

/** Version of the tables below, in SQLite's user_version. */
const TABLES_VERSION = 1;

/**
 * Columns and tables:
 * - `track.at`: start in tenths of a second since the epoch × 4096 + n. A time is a range of the key, so no index is
 *   needed.
 * - `track.duration`: in tenths of a second. `track.kind`: class, colours and marks (rows.ts).
 * - `note`: authorisation under which the log is stored, its time, and the number of rows.
 */
const TABLES = `
CREATE TABLE track (
  at INTEGER PRIMARY KEY, duration INTEGER NOT NULL, track INTEGER NOT NULL, kind INTEGER NOT NULL,
  score INTEGER NOT NULL, stop INTEGER NOT NULL, cells INTEGER NOT NULL, path BLOB NOT NULL
) STRICT;
CREATE TABLE span (from_ms INTEGER PRIMARY KEY, to_ms INTEGER NOT NULL, kind TEXT NOT NULL, why TEXT) STRICT;
CREATE TABLE view (from_ms INTEGER PRIMARY KEY, camera TEXT NOT NULL, aspect REAL NOT NULL) STRICT;
CREATE TABLE note (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA user_version = ${TABLES_VERSION};
`;

/** Describes the file for messages and errors. */
export function trackFile(path: string): SqliteFile {
  return { title: 'log of tracks', path };
}

/** Opens `path`; creates and checks it if needed. Throws AgentError as `openSqlite` does. */
export function openTrackDatabase(path: string, limitMiB: number): Db {
  return openBoundedSqlite(trackFile(path), limitMiB, { version: TABLES_VERSION, create: TABLES });
}
