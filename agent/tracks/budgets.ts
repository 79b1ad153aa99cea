/**
 * Budgets of an authorisation's log of tracks: how many tracks were disclosed in a case, to a key and in all. They live
 * in a file of their own as long as the authorisation, also when the log is damaged and begun again.
 *
 * INVARIANTS:
 * - A cost is on disk before its answer is given.
 * - If the file is lost while the log remembers it, every budget counts as used up.
 * - The number of a case is stored as a keyed hash only, and the key goes with the file.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../base/errors.ts';
import { type Db, openBoundedSqlite, type SqliteFile, sqliteCall } from '../base/sqlite.ts';
import { CommandRefused } from '../contract/command.ts';
import type { TrackStore } from './store.ts';

const BUDGETS_FILE = 'track-budgets.db';
/** A million answers of a month. */
const LIMIT_MIB = 128;
const DAY_MS = 86_400_000;
/** Note of the log: the authorisation whose budgets have been begun. */
const NOTE = 'budgets';
const TABLES = `
CREATE TABLE spent (row INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, key TEXT NOT NULL, case_hash BLOB NOT NULL,
  tracks INTEGER NOT NULL) STRICT;
CREATE INDEX spent_by_time ON spent (at_ms);
CREATE TABLE authorisation (number TEXT PRIMARY KEY, secret BLOB NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA user_version = 1;
`;

/** Disclosed tracks in a case, to a key within a day, and to all keys within a day. */
export interface Spent {
  readonly case: number;
  readonly keyDay: number;
  readonly day: number;
}

/** Key and case of a question, at a time of the log. */
export interface Asking {
  readonly atMs: number;
  readonly key: string;
  readonly case: string;
}

const fileIn = (stateDir: string): SqliteFile => ({
  title: 'budgets of the log of tracks',
  path: join(stateDir, BUDGETS_FILE),
});

export class Budgets {
  readonly #file: SqliteFile;
  readonly #db: Db;
  readonly #secret: Buffer;

  /**
   * Opens the budgets of the authorisation, and begins them if it is new.
   * @throws CommandRefused if they were begun and are lost; AgentError as `openSqlite` does
   */
  constructor(stateDir: string, order: string, store: Pick<TrackStore, 'note' | 'setNote'>) {
    this.#file = fileIn(stateDir);
    this.#db = openFile(this.#file);
    const row = this.#call(() =>
      this.#db.prepare('SELECT secret FROM authorisation WHERE number = ?').get(order),
    ) as { secret: Buffer } | undefined;
    if (row === undefined && store.note(NOTE) === order) {
      this.close();
      throw new CommandRefused(
        'not-permitted',
        `tracks: the record of what was disclosed under authorisation ${order} is lost, so its budgets count as used up; ask for a new authorisation`,
      );
    }
    this.#secret = row?.secret ?? this.#begin(order);
    store.setNote(NOTE, order);
  }

  /** Idempotent. */
  close(): void {
    if (this.#db.open) this.#call(() => this.#db.close());
  }

  spent({ atMs, key, case: number }: Asking): Spent {
    const parameters = { since: atMs - DAY_MS, key, hash: this.#hashOf(number) };
    return this.#call(() =>
      this.#db
        .prepare(
          `SELECT total(CASE WHEN case_hash = @hash THEN tracks END) AS "case",
           total(CASE WHEN at_ms >= @since AND key = @key THEN tracks END) AS keyDay,
           total(CASE WHEN at_ms >= @since THEN tracks END) AS day FROM spent`,
        )
        .get(parameters),
    ) as Spent;
  }

  /** Records the cost of an answer; durable on return. */
  spend({ atMs, key, case: number }: Asking, tracks: number): void {
    this.#call(() =>
      this.#db
        .prepare('INSERT INTO spent (at_ms, key, case_hash, tracks) VALUES (?, ?, ?, ?)')
        .run(Math.round(atMs), key, this.#hashOf(number), tracks),
    );
  }

  #begin(order: string): Buffer {
    const secret = randomBytes(32);
    this.#call(() => {
      overwrite(this.#db);
      this.#db.prepare('INSERT INTO authorisation VALUES (?, ?)').run(order, secret);
    });
    return secret;
  }

  #hashOf(number: string): Buffer {
    return createHmac('sha256', this.#secret).update(number).digest();
  }

  #call<T>(operation: () => T): T {
    return sqliteCall(this.#file, operation);
  }
}

/** Overwrites and removes the file of the state folder. Throws AgentError as `openSqlite` does. */
export function removeBudgets(stateDir: string): void {
  const file = fileIn(stateDir);
  if (!existsSync(file.path)) return;
  const db = openFile(file);
  sqliteCall(file, () => {
    overwrite(db);
    db.close();
  });
  removeFile(file);
}

/** Deletes all rows. Their pages are overwritten (`secure_delete`), and the write-ahead log is emptied. */
function overwrite(db: Db): void {
  db.transaction(() => db.exec('DELETE FROM spent; DELETE FROM authorisation;'))();
  db.pragma('wal_checkpoint(TRUNCATE)');
}

/** Opens the file; a damaged one is begun again. Throws AgentError as `openSqlite` does. */
function openFile(file: SqliteFile): Db {
  const open = (): Db => openBoundedSqlite(file, LIMIT_MIB, { version: 1, create: TABLES });
  try {
    return open();
  } catch (error) {
    if (!(error instanceof AgentError) || error.kind !== 'corrupt') throw error;
    removeFile(file);
    return open();
  }
}

function removeFile({ path }: SqliteFile): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
}
