/**
 * Rewrites tables of PostgreSQL with VACUUM FULL to remove deleted data from its files.
 *
 * A plain VACUUM leaves deleted data in the pages until other rows overwrite it. A test found 5,110 of 6,000 marks
 * after it, and none after VACUUM FULL.
 *
 * LIMITS: no other connection reads or writes a table during its rewrite. A table is skipped and reported if it is
 * larger than SIZE_MAX, takes longer than REWRITE_WITHIN_MS, or is in use for more than LOCK_WITHIN_MS.
 */
import pg from 'pg';
import { type ScrubLimits, SIZE_MAX } from './sql.ts';

/**
 * Maximum wait for the lock, in ms, because all others wait behind it. The deletion waits equally long for a month in
 * use.
 */
const LOCK_WITHIN_MS = 2000;

/** Time limit of one rewrite: a third of the answer timeout of the other connections. */
const REWRITE_WITHIN_MS = 20_000;

const CONNECT_WITHIN_MS = 10_000;

/** Tables not rewritten: their rows change with every run and contain no personal data. */
const NOT_THESE = "('setting', 'counter')";

const LEFT = 'its pages may still contain deleted data';

interface Table {
  readonly name: string;
  /** Rows deleted since the server began to count; `bigint` as text. */
  readonly deleted: string;
  readonly bytes: string;
}

/**
 * Rewrites the tables with deletions since their last rewrite. `deletedCounts` holds the number of deleted rows at that
 * time. Resolves with one line for each table that was skipped.
 */
export async function rewriteTables(
  url: string,
  deletedCounts: Map<string, number>,
  { sizeMax = SIZE_MAX, withinMs = LOCK_WITHIN_MS, signal }: Partial<ScrubLimits>,
): Promise<string[]> {
  // Needs its own connection, because it runs outside a transaction and with its own time limits.
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_WITHIN_MS,
    options: `-c lock_timeout=${withinMs} -c statement_timeout=${REWRITE_WITHIN_MS}`,
  });
  const lines: string[] = [];
  await client.connect();
  try {
    const { rows } = await client.query<Table>(
      `SELECT relname AS name, n_tup_del AS deleted, pg_total_relation_size(relid) AS bytes
       FROM pg_stat_user_tables WHERE schemaname = current_schema() AND relname NOT IN ${NOT_THESE}
       ORDER BY relname`,
    );
    for (const { name, deleted, bytes } of rows) {
      if (signal?.aborted === true) break;
      // A lower number also differs: the server has reset its counters.
      if (Number(deleted) === (deletedCounts.get(name) ?? 0)) continue;
      const line =
        Number(bytes) > sizeMax ? tooLarge(name, sizeMax) : await rewritten(client, name, withinMs);
      if (line === undefined) deletedCounts.set(name, Number(deleted));
      else lines.push(line);
    }
  } finally {
    await client.end();
  }
  return lines;
}

function tooLarge(name: string, sizeMax: number): string {
  return `table ${name}: more than ${Math.round(sizeMax / 1e6)} MB; ${LEFT}: VACUUM FULL it by hand, see docs/guide/room.md`;
}

async function rewritten(client: pg.Client, name: string, withinMs: number): Promise<string | undefined> {
  try {
    await client.query(`VACUUM (FULL) ${client.escapeIdentifier(name)}`);
    return undefined;
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    // https://www.postgresql.org/docs/current/errcodes-appendix.html
    if (error.code === '42P01') return undefined; // dropped meanwhile: the month is over
    const reason =
      error.code === '55P03'
        ? `in use for more than ${withinMs / 1000} s`
        : error.code === '57014'
          ? `not rewritten within ${REWRITE_WITHIN_MS / 1000} s`
          : `cannot be rewritten (${error.message})`;
    return `table ${name}: ${reason}; ${LEFT} until the next night`;
  }
}
