/**
 * Implements the room's database in one SQLite file.
 *
 * INVARIANTS:
 * - One connection writes, one transaction at a time. Another connection reads, so uncommitted data is never read.
 * - A transaction is durable when it resolves (synchronous = FULL).
 * - Deleted data is overwritten with zeros (secure_delete). `scrub` removes its copies in the log and in split pages.
 * LIMITS: waits up to BUSY_MS for another writer, without blocking this process.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import {
  type Columns,
  DatabaseUnavailable,
  DataRefused,
  type Dialect,
  type Queries,
  type ScrubLimits,
  type Sql,
  type Value,
} from './sql.ts';
import { vacuum } from './sqlite-vacuum.ts';

/** Wait for another program's transaction on the same file, in ms. */
const BUSY_MS = 30_000;
const BUSY_RETRY_MS = 5;

/**
 * Wait for readers, in ms, since a reader prevents the truncation of the log. The console's longest query is far
 * shorter.
 */
const CUT_WITHIN_MS = 10_000;
const CUT_RETRY_MS = 100;

/** Interval of the check for changes in ms, equal to the interval of the console's updates to its screens. */
const POLL_MS = 50;

const TYPES = {
  integer: 'INTEGER',
  real: 'REAL',
  text: 'TEXT',
  boolean: 'INTEGER',
  time: 'TEXT',
  json: 'TEXT',
  bytes: 'BLOB',
  identity: 'INTEGER PRIMARY KEY AUTOINCREMENT',
} as const;

export const SQLITE: Dialect = {
  name: 'sqlite',
  types: TYPES,
  rows: (parameter: string, name: string, columns: Columns) => {
    const fields = Object.entries(columns).map(
      ([key, type]) => `value ${type === 'json' ? '->' : '->>'} '$.${key}' AS ${key}`,
    );
    return `(SELECT ${fields.join(', ')} FROM json_each(${parameter})) AS ${name}`;
  },
  notifySql: undefined,
  forUpdate: '',
  greatest: (a, b) => `max(${a}, ${b})`,
};

export class SqliteDatabase implements Sql {
  readonly dialect = SQLITE;
  readonly #file: string;
  #connections: { writer: Connection; reader: Connection } | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** Does not open the file. The first query does, and creates it if it is missing. */
  constructor(file: string) {
    this.#file = file;
  }

  async all<T extends object>(sql: string, values: readonly Value[] = []): Promise<T[]> {
    return this.#open().reader.all<T>(sql, values);
  }

  /** A single statement is its own transaction. */
  run(sql: string, values: readonly Value[] = []): Promise<number> {
    return this.transaction((transaction) => transaction.run(sql, values));
  }

  transaction<T>(work: (transaction: Queries) => Promise<T>): Promise<T> {
    const result = this.#last.then(() => this.#transact(work));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async listen(onChange: () => void): Promise<() => Promise<void>> {
    const { reader } = this.#open();
    let version = reader.version();
    const timer = setInterval(() => {
      const now = reader.version();
      if (now === version) return;
      version = now;
      onChange();
    }, POLL_MS);
    return async () => clearInterval(timer);
  }

  /** Truncates the log, which holds old versions of pages. At night it rewrites the file first. */
  async scrub(isNight: boolean, limits: Partial<ScrubLimits> = {}): Promise<string[]> {
    const vacuumLines = isNight ? await vacuum(this.#file, limits) : undefined;
    const { withinMs = CUT_WITHIN_MS, signal } = limits;
    let isCut = false;
    for (const deadlineMs = performance.now() + withinMs; ; await sleep(CUT_RETRY_MS)) {
      const attempt = this.#last.then(() => this.#open().writer.cutLog());
      this.#last = attempt.catch(() => undefined);
      isCut = await attempt;
      if (isCut || signal?.aborted === true || performance.now() > deadlineMs) break;
    }
    const line = `${this.#file}-wal: another program has read it for more than ${withinMs / 1000} s; it contains deleted data until it is truncated`;
    return [
      ...(vacuumLines === undefined ? [] : [vacuumLines]),
      ...(isCut || signal?.aborted === true ? [] : [line]),
    ];
  }

  async close(): Promise<void> {
    await this.#last;
    this.#connections?.reader.close();
    this.#connections?.writer.close();
    this.#connections = undefined;
  }

  #open(): { writer: Connection; reader: Connection } {
    this.#connections ??= { writer: new Connection(this.#file), reader: new Connection(this.#file) };
    return this.#connections;
  }

  async #transact<T>(work: (transaction: Queries) => Promise<T>): Promise<T> {
    const { writer } = this.#open();
    await begin(writer);
    try {
      const result = await work({
        all: async <R extends object>(sql: string, values: readonly Value[] = []) =>
          writer.all<R>(sql, values),
        run: async (sql: string, values: readonly Value[] = []) => writer.run(sql, values),
      });
      writer.exec('COMMIT');
      return result;
    } catch (error) {
      writer.rollback();
      throw mappedError(error);
    }
  }
}

/** IMMEDIATE takes the write lock before our reads, so no other program changes what we read before we write. */
async function begin(writer: Connection): Promise<void> {
  for (const deadlineMs = performance.now() + BUSY_MS; ; await sleep(BUSY_RETRY_MS)) {
    try {
      writer.exec('BEGIN IMMEDIATE');
      return;
    } catch (error) {
      const isBusy = error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');
      if (!isBusy || performance.now() > deadlineMs) throw mappedError(error);
    }
  }
}

/** Maps errors as for PostgreSQL: retry later, refused data, or a bug. */
function mappedError(error: unknown): unknown {
  if (isUnavailable(error)) return new DatabaseUnavailable(error.message, { cause: error });
  return isRefusal(error) ? new DataRefused(error.message, { cause: error }) : error;
}

/** The file is locked, the disk is full, or an I/O error occurred: a retry may succeed. */
function isUnavailable(error: unknown): error is Error {
  return error instanceof Database.SqliteError && /^SQLITE_(BUSY|FULL|IOERR)/.test(error.code);
}

/** https://sqlite.org/rescode.html */
function isRefusal(error: unknown): error is Error {
  if (!(error instanceof Database.SqliteError)) return false;
  return /^SQLITE_(CONSTRAINT|TOOBIG|MISMATCH)/.test(error.code) || /malformed JSON/.test(error.message);
}

class Connection {
  readonly #db: Database.Database;
  readonly #statements = new Map<string, Database.Statement>();

  constructor(file: string) {
    // A wait inside SQLite would block the whole process, even if this process itself holds the file.
    this.#db = new Database(file, { timeout: 0 });
    waitForMode(this.#db);
    // NORMAL, the default of better-sqlite3 here, loses committed transactions on a power failure.
    this.#db.pragma('synchronous = FULL');
    // Overwrites deleted data, so that no copy of the file shows it.
    this.#db.pragma('secure_delete = ON');
  }

  all<T extends object>(sql: string, values: readonly Value[]): T[] {
    const statement = this.#statement(sql);
    if (statement.reader) return statement.all(bound(values)) as T[];
    statement.run(bound(values));
    return [];
  }

  run(sql: string, values: readonly Value[]): number {
    const statement = this.#statement(sql);
    if (statement.reader) return statement.all(bound(values)).length;
    return statement.run(bound(values)).changes;
  }

  exec(sql: string): void {
    this.#db.exec(sql);
  }

  rollback(): void {
    if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
  }

  /**
   * Truncates the log. Returns false if another connection reads it or writes.
   * https://sqlite.org/pragma.html#pragma_wal_checkpoint
   */
  cutLog(): boolean {
    const [row] = this.#db.pragma('wal_checkpoint(TRUNCATE)') as [{ readonly busy: number }];
    return row.busy === 0;
  }

  /** Changes whenever another connection has committed; https://sqlite.org/pragma.html#pragma_data_version */
  version(): unknown {
    return this.#db.pragma('data_version', { simple: true });
  }

  close(): void {
    this.#db.close();
  }

  #statement(sql: string): Database.Statement {
    const cachedStatement = this.#statements.get(sql);
    if (cachedStatement !== undefined) return cachedStatement;
    const statement = this.#db.prepare(sql.replaceAll(/\$(\d+)/g, '@p$1'));
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** Sets WAL mode with SQLite's own wait, because two programs that create the file at once may both set it. */
function waitForMode(db: Database.Database): void {
  db.pragma('busy_timeout = 5000');
  db.pragma('journal_mode = WAL');
  db.pragma('busy_timeout = 0');
}

function bound(values: readonly Value[]): Record<string, unknown> {
  return Object.fromEntries(
    values.map((value, index) => [`p${index + 1}`, typeof value === 'boolean' ? Number(value) : value]),
  );
}
