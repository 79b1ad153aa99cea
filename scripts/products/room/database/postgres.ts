/**
 * Implements the room's database in PostgreSQL, for several programs and machines. The server behind the URL may change
 * (failover).
 *
 * INVARIANTS:
 * - A resolved transaction is durable on the server, and on its synchronous standby if it has one.
 * - A transaction rejects with DatabaseUnavailable if its COMMIT was not answered or did not wait for the standby. It may or
 *   may not be stored.
 * LIMITS: CONNECTIONS_MAX connections. An answer may take ANSWER_WITHIN_MS. The server rolls back a transaction that is
 * idle for 10 s (postgres-session.ts).
 */
import pg from 'pg';
import { networkProblem } from '../../../../agent/base/network-error.ts';
import { PostgresListener } from './postgres-listener.ts';
import { rewriteTables } from './postgres-rewrite.ts';
import { prepareSession, READ_ONLY, StandbyError, watchCommits } from './postgres-session.ts';
import {
  CHANNEL,
  type Columns,
  DatabaseUnavailable,
  DataRefused,
  type Dialect,
  type Queries,
  type ScrubLimits,
  type Sql,
  type Value,
} from './sql.ts';

/** Time limit of a new connection, in ms. An unresponsive server is tried again on another one. */
const CONNECT_WITHIN_MS = 10_000;
const ANSWER_WITHIN_MS = 60_000;

const CONNECTIONS_MAX = 8;

/** Default port of PostgreSQL. */
const PORT = '5432';

/** Idle time after which a connection is probed, in ms. The kernel's default is two hours. */
const KEEPALIVE_AFTER_MS = 10_000;

const TYPES = {
  integer: 'BIGINT',
  real: 'DOUBLE PRECISION',
  text: 'TEXT',
  boolean: 'BOOLEAN',
  time: 'TIMESTAMPTZ',
  json: 'JSONB',
  bytes: 'BYTEA',
  identity: 'BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY',
} as const;

export const POSTGRES: Dialect = {
  name: 'postgres',
  types: TYPES,
  rows: (parameter: string, name: string, columns: Columns) => {
    const fields = Object.entries(columns).map(([key, type]) => `${key} ${TYPES[type]}`);
    return `jsonb_to_recordset(${parameter}::jsonb) AS ${name} (${fields.join(', ')})`;
  },
  notifySql: `NOTIFY ${CHANNEL}`,
  forUpdate: 'FOR UPDATE',
  greatest: (a, b) => `greatest(${a}, ${b})`,
};

/**
 * Parsers that give rows the same form as SQLite. The keys are type numbers of pg_type.dat, see
 * https://github.com/brianc/node-pg-types
 */
const PARSERS: Readonly<Record<number, (text: string) => unknown>> = {
  20: Number, // int8
  1700: Number, // numeric
  1114: (text) => new Date(`${text}Z`).toISOString(), // timestamp
  1184: (text) => new Date(text).toISOString(), // timestamptz
  114: (text) => text, // json
  3802: (text) => text, // jsonb
};
const types = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    PARSERS[oid] ?? pg.types.getTypeParser(oid, format as 'text'),
} as pg.CustomTypesConfig;

export class PostgresDatabase implements Sql {
  readonly dialect = POSTGRES;
  readonly #url: string;
  readonly #config: pg.ClientConfig;
  readonly #pool: pg.Pool;
  readonly #onBroken: (error: Error) => void;
  /** Number of deleted rows of each table at its last rewrite. */
  readonly #rewritten = new Map<string, number>();

  /** `onBroken` receives the error of a connection that breaks between two queries. The next query opens another. */
  constructor(url: string, onBroken: (error: Error) => void) {
    this.#url = url;
    this.#onBroken = onBroken;
    this.#config = {
      connectionString: url,
      connectionTimeoutMillis: CONNECT_WITHIN_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEPALIVE_AFTER_MS,
      types,
    };
    // The pool awaits the returned promise, which its types do not express.
    const onConnect: (client: pg.ClientBase) => unknown = prepareSession;
    const pooled = { ...this.#config, max: CONNECTIONS_MAX, query_timeout: ANSWER_WITHIN_MS, onConnect };
    this.#pool = new pg.Pool(pooled);
    this.#pool.on('error', onBroken);
  }

  all<T extends object>(sql: string, values: readonly Value[] = []): Promise<T[]> {
    return this.#committed(
      async (client) => (await client.query<T & pg.QueryResultRow>(sql, [...values])).rows,
    );
  }

  run(sql: string, values: readonly Value[] = []): Promise<number> {
    return this.#committed(async (client) => (await client.query(sql, [...values])).rowCount ?? 0);
  }

  transaction<T>(work: (transaction: Queries) => Promise<T>): Promise<T> {
    return this.#committed(async (client) => {
      await client.query('BEGIN');
      const result = await work({
        all: async <R extends object>(sql: string, values: readonly Value[] = []) =>
          (await client.query<R & pg.QueryResultRow>(sql, [...values])).rows,
        run: async (sql: string, values: readonly Value[] = []) =>
          (await client.query(sql, [...values])).rowCount ?? 0,
      });
      await client.query('COMMIT');
      return result;
    });
  }

  /** Runs a function on a connection. When it resolves, its changes are on all required disks. */
  #committed<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    return mapped(this.#url, async () => {
      const client = await this.#pool.connect();
      // The pool handles errors of idle connections only, and an unhandled error event ends the process.
      client.on('error', this.#onBroken);
      const commits = watchCommits(client);
      try {
        const result = await work(client);
        assertReplicated(commits);
        client.release();
        return result;
      } catch (error) {
        // The connection is discarded together with the transaction, because its state is unknown.
        client.release(true);
        throw error;
      } finally {
        commits.end();
        client.off('error', this.#onBroken);
      }
    });
  }

  async listen(onChange: () => void): Promise<() => Promise<void>> {
    const listener = new PostgresListener({
      config: this.#config,
      channel: CHANNEL,
      onChange,
      onBroken: this.#onBroken,
    });
    await mapped(this.#url, () => listener.start());
    return () => listener.stop();
  }

  /** Rewrites, at night, the tables with deletions since their last rewrite. */
  async scrub(isNight: boolean, limits: Partial<ScrubLimits> = {}): Promise<string[]> {
    if (!isNight) return [];
    return mapped(this.#url, () => rewriteTables(this.#url, this.#rewritten, limits));
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

/**
 * Checks that the COMMIT waited for the standby.
 * @throws {DatabaseUnavailable} if it did not; a repeated transaction waits for all earlier ones
 */
function assertReplicated({ isUnsure }: { readonly isUnsure: boolean }): void {
  if (!isUnsure) return;
  throw new DatabaseUnavailable(
    'PostgreSQL is configured not to wait for its standby; the transaction is on one disk only',
  );
}

/** Returns one line that names the server, without user and password. */
function unavailableText(error: Error, url: string): string {
  const { hostname, port } = new URL(url);
  const server = hostname === '' ? 'this machine' : `${hostname}:${port === '' ? PORT : port}`;
  return `PostgreSQL on ${server}: ${unavailableReason(error)}`;
}

function unavailableReason(error: Error): string {
  if ('code' in error && error.code === READ_ONLY) {
    return 'takes no writes (a standby, or read-only); wait for the failover, or name the primary';
  }
  const problem = networkProblem(error);
  if (problem !== undefined) return `${problem}; start it, or put host and port of the database right`;
  return error instanceof AggregateError && error.message === '' ? 'nothing answers there' : error.message;
}

/** Maps errors: DatabaseUnavailable for an unresponsive server, DataRefused for refused data. Other errors pass unchanged. */
async function mapped<T>(url: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DatabaseUnavailable) throw error;
    if (isUnavailable(error)) throw new DatabaseUnavailable(unavailableText(error, url), { cause: error });
    // Data exceptions, integrity violations, program limits exceeded.
    const isRefusal = error instanceof pg.DatabaseError && /^(22|23|54)/.test(error.code ?? '');
    throw isRefusal ? new DataRefused(error.message, { cause: error }) : error;
  }
}

/**
 * True if the same query may succeed later.
 *
 * Covers the driver's own errors (no connection, no answer) and these SQLSTATEs: class 08 (connection), 53 (resources),
 * 57P (shutting down, starting), 25006 (a standby), 40003 (unknown whether committed).
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
function isUnavailable(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  if (error instanceof StandbyError) return true;
  if (error instanceof pg.DatabaseError) return /^(08|53|57P|25006|40003)/.test(error.code ?? '08');
  const { code } = error as NodeJS.ErrnoException;
  return (
    code !== undefined ||
    error instanceof AggregateError ||
    /timeout|terminated|connection/i.test(error.message)
  );
}
