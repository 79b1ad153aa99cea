/** Database of the archive. */
import { type Db, openBoundedSqlite, type SqliteFile } from '../base/sqlite.ts';
import { LANES } from '../contract/outbox.ts';

/** Version of the tables below, in SQLite's user_version. */
const TABLES_VERSION = 1;

/**
 * Tables of the archive.
 * - `kept_from_ms`: the time from which retention counts, or null while no clock was trusted.
 * - `progress`: the newest number of each lane of the outbox in the archive.
 * - `record`: purges and searches.
 */
const TABLES = `
CREATE TABLE event (
  row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time_ms INTEGER NOT NULL, kind TEXT NOT NULL,
  place TEXT NOT NULL, boot TEXT NOT NULL, mono_ms REAL NOT NULL, kept_from_ms REAL, body TEXT NOT NULL
) STRICT;
CREATE INDEX event_time ON event (time_ms, row);
CREATE INDEX event_kept ON event (kept_from_ms);
CREATE TABLE progress (lane TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
${LANES.map((lane) => `INSERT INTO progress VALUES ('${lane}', 0);`).join('\n')}
CREATE TABLE record (row INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL) STRICT;
PRAGMA user_version = ${TABLES_VERSION};
`;

/** Returns the file description for messages and errors. */
export function archiveFile(path: string): SqliteFile {
  return { title: 'archive', path };
}

/**
 * Opens `path`, and creates and checks it as needed.
 * @throws AgentError as `openSqlite`
 */
export function openDatabase(path: string, limitMiB: number): Db {
  return openBoundedSqlite(archiveFile(path), limitMiB, { version: TABLES_VERSION, create: TABLES });
}
