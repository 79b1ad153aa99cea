/**
 * The room's database in PostgreSQL, for several programs and machines.
 *
 * LIMITS: CONNECTIONS_MAX connections; an answer is waited for ANSWER_WITHIN_MS.
 */
import pg from 'pg';
import { networkFault } from '../../../../agent/base/network-fault.ts';
import { rewriteTables } from './postgres-rewrite.ts';
import {
  CHANNEL,
  type Columns,
  DatabaseAway,
  DataRefused,
  type Dialect,
  type Queries,
  type ScrubLimits,
  type Sql,
  type Value,
} from './sql.ts';

/** A server that does not answer for this long is asked again on a new connection. */
const CONNECT_WITHIN_MS = 10_000;
const ANSWER_WITHIN_MS = 60_000;

const CONNECTIONS_MAX = 8;

/** Where PostgreSQL listens unless told otherwise. */
const PORT = '5432';

/**
 * Sums of a month by rule, 12,000 of them, are made in memory and not sorted on disk; the default is 4 MB. Compiling a
 * query (jit) takes longer than any of ours.
 */
const PLANS = '-c work_mem=32MB -c jit=off';

/** The connection that listens is tried again at this pace. */
const LISTEN_AGAIN_MS = 500;

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
  changed: `NOTIFY ${CHANNEL}`,
  forUpdate: 'FOR UPDATE',
  greatest: (a, b) => `greatest(${a}, ${b})`,
};

/** Rows as SQLite gives them. https://github.com/brianc/node-pg-types: numbers of types from pg_type.dat. */
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
  readonly #pool: pg.Pool;
  readonly #onBroken: (error: Error) => void;
  /** How many rows had been deleted of each table when it was written anew. */
  readonly #rewritten = new Map<string, number>();

  /** `onBroken` hears of a connection that breaks between two queries; the next query opens another. */
  constructor(url: string, onBroken: (error: Error) => void) {
    this.#url = url;
    this.#onBroken = onBroken;
    this.#pool = new pg.Pool({
      connectionString: url,
      max: CONNECTIONS_MAX,
      connectionTimeoutMillis: CONNECT_WITHIN_MS,
      query_timeout: ANSWER_WITHIN_MS,
      keepAlive: true,
      types,
      // A server set to `off` would answer before the transaction is on its disk. Times are compared in UTC.
      options: `-c synchronous_commit=on -c timezone=UTC ${PLANS}`,
    });
    this.#pool.on('error', onBroken);
  }

  all<T extends object>(sql: string, values: readonly Value[] = []): Promise<T[]> {
    return mapped(
      this.#url,
      async () => (await this.#pool.query<T & pg.QueryResultRow>(sql, [...values])).rows,
    );
  }

  run(sql: string, values: readonly Value[] = []): Promise<number> {
    return mapped(this.#url, async () => (await this.#pool.query(sql, [...values])).rowCount ?? 0);
  }

  transaction<T>(act: (transaction: Queries) => Promise<T>): Promise<T> {
    return mapped(this.#url, async () => {
      const client = await this.#pool.connect();
      // The pool listens to idle connections only, and an error that nobody hears ends the process.
      client.on('error', this.#onBroken);
      try {
        await client.query('BEGIN');
        const result = await act({
          all: async <R extends object>(sql: string, values: readonly Value[] = []) =>
            (await client.query<R & pg.QueryResultRow>(sql, [...values])).rows,
          run: async (sql: string, values: readonly Value[] = []) =>
            (await client.query(sql, [...values])).rowCount ?? 0,
        });
        await client.query('COMMIT');
        client.off('error', this.#onBroken);
        client.release();
        return result;
      } catch (error) {
        // The connection goes with the transaction, whatever state the two are in.
        client.off('error', this.#onBroken);
        client.release(true);
        throw error;
      }
    });
  }

  async listen(onChange: () => void): Promise<() => Promise<void>> {
    let client: pg.Client | undefined;
    let timer: NodeJS.Timeout | undefined;
    let ended = false;
    const again = (error: unknown): void => {
      void client?.end().catch(this.#onBroken);
      client = undefined;
      if (ended) return;
      this.#onBroken(error instanceof Error ? error : new Error(String(error)));
      clearTimeout(timer);
      timer = setTimeout(() => void connect().catch(again), LISTEN_AGAIN_MS);
    };
    const connect = async (): Promise<void> => {
      const mine = new pg.Client({
        connectionString: this.#url,
        connectionTimeoutMillis: CONNECT_WITHIN_MS,
        keepAlive: true,
      });
      mine.once('error', again);
      mine.on('notification', onChange);
      client = mine;
      await mine.connect();
      await mine.query(`LISTEN ${CHANNEL}`);
      onChange();
    };
    await mapped(this.#url, connect);
    return async () => {
      ended = true;
      clearTimeout(timer);
      await client?.end();
    };
  }

  /** Writes those tables anew, in the night, of which something was deleted since the last time. */
  async scrub(isNight: boolean, limits: Partial<ScrubLimits> = {}): Promise<string[]> {
    if (!isNight) return [];
    return mapped(this.#url, () => rewriteTables(this.#url, this.#rewritten, limits));
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

/** One line that names the server, without user and password. */
function awayText(error: Error, url: string): string {
  const fault = networkFault(error);
  if (fault === undefined) return error.message;
  const { hostname, port } = new URL(url);
  const host = hostname === '' ? 'this machine' : `${hostname}:${port === '' ? PORT : port}`;
  return `PostgreSQL on ${host}: ${fault}; start it, or put host and port of the database right`;
}

/** Errors of the server as they are, DatabaseAway for one that does not answer, DataRefused where it does not take. */
async function mapped<T>(url: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (isAway(error)) throw new DatabaseAway(awayText(error, url), { cause: error });
    // Data exceptions, breaches of integrity, limits of the program.
    const isRefusal = error instanceof pg.DatabaseError && /^(22|23|54)/.test(error.code ?? '');
    throw isRefusal ? new DataRefused(error.message, { cause: error }) : error;
  }
}

/**
 * What the driver itself says (no connection, no answer), or SQLSTATE of the classes 08 (connection), 53 (resources)
 * and 57P (shutting down, starting). https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
function isAway(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  if (error instanceof pg.DatabaseError) return /^(08|53|57P)/.test(error.code ?? '08');
  const { code } = error as NodeJS.ErrnoException;
  return (
    code !== undefined ||
    error instanceof AggregateError ||
    /timeout|terminated|connection/i.test(error.message)
  );
}
