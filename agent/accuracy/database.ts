/** Database of the record of accuracy. */
import { type Db, openSqlite, PAGE_BYTES, type SqliteFile } from '../base/sqlite.ts';

/** Maximum size in bytes; 50,000 alerts take 8 MiB. */
const FILE_BYTES_MAX = 33_554_432;

/** Version of the tables below, in SQLite's user_version. */
const TABLES_VERSION = 4;

/**
 * `episode`: one row per alert of a rule.
 * - `staged`: raised while its rule was being walk-tested.
 * - `box`: place as JSON [x1, y1, x2, y2], normalised, or null.
 * - `measure`: score or area that exceeded the threshold, or null.
 *
 * `box` has one row: the watched rules and places of the running agent, and whether it receives frames.
 */
const TABLES = `
CREATE TABLE episode (
  id INTEGER PRIMARY KEY AUTOINCREMENT, episode TEXT NOT NULL UNIQUE, event TEXT NOT NULL UNIQUE,
  rule TEXT NOT NULL, raised_ms REAL NOT NULL, ended_ms REAL,
  verdict TEXT CHECK (verdict IN ('confirmed', 'false-alarm', 'unclear')), judged_ms REAL,
  staged INTEGER NOT NULL DEFAULT 0 CHECK (staged IN (0, 1)), box TEXT, measure REAL
) STRICT;
CREATE INDEX episode_figures ON episode (staged, rule, verdict);
CREATE INDEX episode_age ON episode (raised_ms);
CREATE TABLE walk_test (
  id INTEGER PRIMARY KEY AUTOINCREMENT, rule TEXT NOT NULL, time_ms REAL NOT NULL,
  passes INTEGER NOT NULL, seen INTEGER NOT NULL, repeated INTEGER NOT NULL,
  CHECK (passes >= 1 AND seen BETWEEN 0 AND passes)
) STRICT;
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES ('expired', 0), ('dropped', 0);
CREATE TABLE box (
  id INTEGER PRIMARY KEY CHECK (id = 1), watching TEXT NOT NULL, sees INTEGER NOT NULL
) STRICT;
PRAGMA user_version = ${TABLES_VERSION};
`;

/** Returns the file description for messages and errors. */
export function recordFile(path: string): SqliteFile {
  return { title: 'record', path };
}

/**
 * Opens `path`, and creates it if `make` is set.
 * @throws AgentError as `openSqlite`
 */
export function openRecord(path: string, make: boolean): Db {
  const db = openSqlite(
    recordFile(path),
    {
      // A command that reads beside the agent locks it for some milliseconds.
      busyMs: 1000,
      walPages: 256,
      walBytes: 1_048_576,
      cacheKiB: 512,
      mustExist: !make,
    },
    { version: TABLES_VERSION, create: TABLES },
  );
  db.pragma(`max_page_count = ${FILE_BYTES_MAX / PAGE_BYTES}`);
  return db;
}
