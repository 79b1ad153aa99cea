/**
 * SQLite files of the box: durable across power cuts, checked at opening, with one-line error messages.
 *
 * INVARIANTS:
 * - A committed transaction survives a power cut (WAL, synchronous=FULL).
 * - Files are accessible only to the agent's user.
 * - A file of a newer program is refused and never changed.
 */
import { closeSync, existsSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { AgentError, messageOf } from './errors.ts';

export type Db = Database.Database;

/** SQLite's default page size in bytes. It suits a hard disk sector, a flash page and the page cache. */
export const PAGE_BYTES = 4096;

/** Name of a file in messages, and its path (`:memory:` for none). */
export interface SqliteFile {
  readonly title: string;
  readonly path: string;
  /** Only one agent may use it. Another process is an error (`denied`), not a reason to retry (`unavailable`). */
  readonly alone?: boolean;
}

export interface SqliteOptions {
  /** Time to wait for another writing connection, in ms. */
  readonly busyMs: number;
  /** Size at which the WAL is checkpointed and truncated. A small WAL keeps recovery after a power cut short. */
  readonly walPages: number;
  readonly walBytes: number;
  readonly cacheKiB: number;
  /** Further pragmas, set before any table is created. */
  readonly pragmas?: readonly string[];
  readonly mustExist?: boolean;
}

export interface Tables {
  /** Stored in SQLite's user_version; `create` sets it. */
  readonly version: number;
  readonly create: string;
}

/**
 * Opens a file, and creates and checks it as needed.
 * @throws AgentError `corrupt` if the content is damaged, `config` for a file of another layout, otherwise as
 * `sqliteCall`
 */
export function openSqlite(file: SqliteFile, options: SqliteOptions, tables: Tables): Db {
  const { title, path } = file;
  const onDisk = path !== ':memory:';
  const { busyMs, mustExist = false } = options;
  if (onDisk && !mustExist) makePrivate(file, path);
  const db = sqliteCall(file, () => new Database(path, { timeout: busyMs, fileMustExist: mustExist }));
  try {
    sqliteCall(file, () => {
      db.pragma(`page_size = ${PAGE_BYTES}`);
      if (onDisk) {
        db.pragma('journal_mode = WAL');
        // better-sqlite3's default in WAL is NORMAL, which loses committed rows in a power cut.
        db.pragma('synchronous = FULL');
        db.pragma(`wal_autocheckpoint = ${options.walPages}`);
        db.pragma(`journal_size_limit = ${options.walBytes}`);
      }
      db.pragma(`cache_size = -${options.cacheKiB}`);
      db.pragma('trusted_schema = OFF');
      for (const pragma of options.pragmas ?? []) db.pragma(pragma);
      if (prepareTables(db, file, tables) === 'made') return;
      const verdict: unknown = db.pragma('quick_check(1)', { simple: true });
      if (verdict !== 'ok') {
        throw new AgentError('corrupt', `the ${title} ${path} is damaged (${String(verdict)})`);
      }
    });
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Opens a file of queried and expiring data: deleted content is overwritten, and the file grows to at most `limitMiB`.
 * @throws AgentError as `openSqlite`
 */
export function openBoundedSqlite(file: SqliteFile, limitMiB: number, tables: Tables): Db {
  const db = openSqlite(
    file,
    {
      busyMs: 2000,
      walPages: 512,
      walBytes: 4_194_304,
      // A query reads each page once, so better-sqlite3's 16 MiB would waste memory.
      cacheKiB: 1024,
      // Deleted content must not be readable in the file's free pages.
      pragmas: ['secure_delete = ON'],
    },
    tables,
  );
  db.pragma(`max_page_count = ${(limitMiB * 1_048_576) / PAGE_BYTES}`);
  return db;
}

/**
 * Runs `operation` and maps errors of SQLite and the file system.
 * - `corrupt`: the content is damaged.
 * - `exhausted`: no space.
 * - `unavailable`: the disk refuses, or another process writes.
 * - `denied`: another process uses a file that only one agent may use.
 * - `bug`: any other error of SQLite.
 */
export function sqliteCall<T>(file: SqliteFile, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw mapped(error, file);
  }
}

/** Creates a file that only this user may access, unless it exists. */
export function makePrivate(file: SqliteFile, path: string): void {
  if (existsSync(path)) return;
  sqliteCall(file, () => closeSync(openSync(path, 'a', 0o600)));
}

/** Returns the path of a damaged file that was moved aside for inspection. Only the newest one is stored. */
export function damagedPath(path: string): string {
  return `${path}.damaged`;
}

/**
 * Moves the file aside.
 * @throws AgentError `unavailable` if the disk refuses
 */
export function moveAside(file: SqliteFile): string {
  const { path } = file;
  const target = damagedPath(path);
  sqliteCall(file, () => {
    for (const suffix of ['', '-wal']) {
      rmSync(target + suffix, { force: true });
      if (existsSync(path + suffix)) renameSync(path + suffix, target + suffix);
    }
    rmSync(`${path}-shm`, { force: true });
  });
  return target;
}

/** Deletes the damaged file if it was last written before `beforeMs`; returns true if there was one. */
export function forgetDamaged(file: SqliteFile, beforeMs: number): boolean {
  const target = damagedPath(file.path);
  return sqliteCall(file, () => {
    const stats = statSync(target, { throwIfNoEntry: false });
    if (stats === undefined || stats.mtimeMs >= beforeMs) return false;
    for (const suffix of ['', '-wal']) rmSync(target + suffix, { force: true });
    return true;
  });
}

function prepareTables(db: Db, { title, path }: SqliteFile, tables: Tables): 'made' | 'found' {
  const version = Number(db.pragma('user_version', { simple: true }));
  if (version === 0) {
    db.transaction(() => db.exec(tables.create)).immediate();
    return 'made';
  }
  if (version !== tables.version) {
    throw new AgentError(
      'config',
      `the ${title} ${path} has tables of version ${version}, this program knows ${tables.version}; run the program that made it, or move its folder elsewhere`,
    );
  }
  return 'found';
}

function mapped(error: unknown, { title, path, alone = false }: SqliteFile): unknown {
  if (error instanceof Database.SqliteError) {
    const { code } = error;
    if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) {
      return new AgentError('corrupt', `the ${title} ${path} is damaged (${code})`, error);
    }
    if (code === 'SQLITE_FULL') return new AgentError('exhausted', `no room for the ${title} ${path}`, error);
    if (alone && /^SQLITE_(BUSY|LOCKED|CONSTRAINT)/.test(code)) {
      const message = `another process uses the ${title} ${path}; only one agent may run`;
      return new AgentError('denied', message, error);
    }
    if (/^SQLITE_(BUSY|LOCKED)/.test(code)) {
      return new AgentError('unavailable', `another program uses the ${title} ${path} (${code})`, error);
    }
    if (/^SQLITE_(IOERR|READONLY|CANTOPEN|PERM|AUTH|NOLFS)/.test(code)) {
      return new AgentError('unavailable', `the disk refuses the ${title} ${path} (${code})`, error);
    }
    return new AgentError('bug', `${title} ${path}: ${code}: ${messageOf(error)}`, error);
  }
  if (error instanceof TypeError && /directory does not exist/.test(error.message)) {
    return new AgentError('unavailable', `the folder of the ${title} ${path} does not exist; make it`, error);
  }
  if (error instanceof Error && 'syscall' in error) {
    return new AgentError('unavailable', `the disk refuses the ${title} ${path}: ${messageOf(error)}`, error);
  }
  return error;
}
