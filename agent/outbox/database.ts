/**
 * Opens the outbox's database and classifies its failures.
 *
 * LIMITS: the file never exceeds `limitMiB` (max_page_count), or the part of it that the disk could provide on opening.
 * The write-ahead log is truncated to WAL_BYTES. Both are reserved, so that a disk filled by another program does not
 * stop the outbox.
 */
import { spawnSync } from 'node:child_process';
import { statfsSync, statSync, writeFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import { AgentError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type Db, makePrivate, openSqlite, PAGE_BYTES, type SqliteFile, sqliteCall } from '../base/sqlite.ts';
import { LANES } from '../contract/outbox.ts';

/**
 * Pages of log that trigger a checkpoint: 512 (2 MiB). Recovery after a power cut stays short, and 4 MiB hold any
 * single transaction on top.
 */
const WAL_CHECKPOINT_PAGES = 512;
const WAL_BYTES = 4_194_304;

/** Bytes of the smallest wal-index (https://sqlite.org/walformat.html, 2.2). Zeros are an empty one. */
const SHM_BYTES = 32_768;

/** Rows are read once, in order, so better-sqlite3's default of 16 MiB would waste memory. */
const CACHE_KIB = 1024;

/** Smallest useful file, bytes: memory holds as much. */
const BYTES_MIN = 1_048_576;

const BYTES_PER_MIB = 1_048_576;

/** Version of the tables below, in SQLite's user_version. */
const TABLES_VERSION = 3;

/**
 * Tables of the database:
 * - A row of a lane is a message or, if `gap` is set, the record of missing numbers. The index counts rows and finds
 *   those to drop.
 * - `epoch` has one row. A new file counts from the start again, and eight random digits distinguish its numbers from
 *   an older file's.
 * - `note` holds data stored beside the messages.
 */
const TABLES = `
${LANES.map(
  (lane) => `
CREATE TABLE ${lane} (
  seq INTEGER PRIMARY KEY, rank INTEGER NOT NULL, bytes INTEGER NOT NULL,
  boot TEXT NOT NULL, wall_ms REAL NOT NULL, mono_ms REAL NOT NULL, expiry_s REAL,
  topic TEXT NOT NULL, content_type TEXT NOT NULL, body BLOB NOT NULL, gap TEXT
) STRICT;
CREATE INDEX ${lane}_rank ON ${lane} (rank, bytes);
CREATE INDEX ${lane}_expiry ON ${lane} (expiry_s) WHERE expiry_s IS NOT NULL;`,
).join('')}
CREATE TABLE sequence (lane TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
${LANES.map((lane) => `INSERT INTO sequence VALUES ('${lane}', 0);`).join('\n')}
CREATE TABLE epoch (id TEXT NOT NULL) STRICT;
INSERT INTO epoch VALUES (lower(hex(randomblob(4))));
CREATE TABLE note (key TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA user_version = ${TABLES_VERSION};
`;

/** Describes the file for messages and errors. */
export function outboxFile(path: string): SqliteFile {
  return { title: 'outbox', path, alone: true };
}

/** Opens `path` for writing; creates and checks it if needed. Throws AgentError as `openSqlite` does. */
export function openDatabase(path: string, limitMiB: number, log: Logger): Db {
  const file = outboxFile(path);
  const db = openSqlite(
    file,
    { busyMs: 2000, walPages: WAL_CHECKPOINT_PAGES, walBytes: WAL_BYTES, cacheKiB: CACHE_KIB },
    { version: TABLES_VERSION, create: TABLES },
  );
  try {
    sqliteCall(file, () => {
      // Writes immediately: on a read-only disk everything else, including BEGIN IMMEDIATE, succeeds.
      db.exec('UPDATE sequence SET last = last');
      const limitBytes = limitMiB * BYTES_PER_MIB;
      const bytes = db.memory ? limitBytes : reserve(path, limitBytes, log);
      db.pragma(`max_page_count = ${Math.floor(bytes / PAGE_BYTES)}`);
    });
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Opens an existing file that cannot be written, to send its content; undefined if that fails too. */
export function openReadOnly(file: string, log: Logger): Db | undefined {
  try {
    const db = new Database(file, { readonly: true, fileMustExist: true });
    try {
      db.prepare('SELECT last FROM sequence').all();
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  } catch (error) {
    log.warn({ file, reason: messageOf(error) }, 'the outbox on disk cannot even be read');
    return undefined;
  }
}

/** Closes a database so that it stays readable if its disk is read-only at the next start. */
export function closeDatabase(db: Db, log: Logger): void {
  const { name: file, memory, readonly } = db;
  try {
    db.close();
    if (memory || readonly) return;
    // SQLite deletes both on a clean close. Without them it refuses to read the file on a disk that is read-only or
    // full.
    makePrivate(outboxFile(file), `${file}-wal`);
    writeFileSync(`${file}-shm`, Buffer.alloc(SHM_BYTES), { mode: 0o600 });
  } catch (error) {
    log.warn({ file, reason: messageOf(error) }, 'the outbox could not be closed cleanly; no event was lost');
  }
}

/**
 * Reserves blocks without writing them and returns how large the file may become. On a disk with little space, half of
 * it is left to others. It uses fallocate(1) of util-linux, because SQLite has no call for it.
 *
 * The file must not grow beyond that. A log without space for its pages cannot be emptied, grows, and then even a
 * DELETE fails. The call runs in another process, because closing a descriptor of the file in this one would drop
 * SQLite's locks.
 */
function reserve(file: string, wantedBytes: number, log: Logger): number {
  const walBytes = take(`${file}-wal`, WAL_BYTES, log);
  const bytes = take(file, wantedBytes, log);
  if (walBytes < WAL_BYTES || bytes < Math.min(wantedBytes, BYTES_MIN)) {
    throw new AgentError('exhausted', `no room for the outbox ${file}; free at least 12 MiB on its disk`);
  }
  if (bytes < wantedBytes) {
    log.warn(
      { file, bytes, wantedBytes },
      'the disk is nearly full: the outbox keeps less until the next start',
    );
  }
  return bytes;
}

/** Returns the bytes that the file may have, or the full request if the file system cannot reserve space. */
function take(path: string, wantedBytes: number, log: Logger): number {
  const { bavail, bsize } = statfsSync(path);
  const hasBytes = statSync(path).blocks * 512;
  const bytes = Math.min(wantedBytes, hasBytes + Math.floor((bavail * bsize) / 2));
  if (bytes <= hasBytes) return bytes;
  const { status, error, stderr } = spawnSync('fallocate', ['--keep-size', '--length', `${bytes}`, path], {
    encoding: 'utf8',
    timeout: 10_000,
  });
  if (status === 0) return bytes;
  const reason = error?.message ?? stderr.trim();
  log.warn({ path, reason }, 'space for the outbox cannot be reserved here: a full disk can stop it');
  return wantedBytes;
}
