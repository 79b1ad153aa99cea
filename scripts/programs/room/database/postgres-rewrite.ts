/**
 * Writes tables of PostgreSQL anew: VACUUM alone leaves what was deleted in the pages, where it stands until other rows
 * come there (5,110 of 6,000 marks were found behind it, none behind VACUUM FULL).
 *
 * LIMITS: while a table is written, nobody else reads or writes it: one that is larger than SIZE_MAX, takes longer than
 * REWRITE_WITHIN_MS or is in use for more than LOCK_WITHIN_MS is left as it is and told.
 */
import pg from 'pg';
import { type ScrubLimits, SIZE_MAX } from './sql.ts';

/** As long as the deletion waits for a month that is in use: all others wait behind it. */
const LOCK_WITHIN_MS = 2000;

/** A third of the time that the other connections wait for an answer. */
const REWRITE_WITHIN_MS = 20_000;

const CONNECT_WITHIN_MS = 10_000;

/** Rows of them change with every run, and hold nothing of a person. */
const NOT_THESE = "('setting', 'counter')";

const LEFT = 'what was deleted may stand in its pages';

interface Table {
  readonly name: string;
  /** Rows that were deleted since the server counts; `bigint` as text. */
  readonly deleted: string;
  readonly bytes: string;
}

/** `known` has how many rows were deleted of each when it was written last. Resolves with a line for each that was not. */
export async function rewriteTables(
  url: string,
  known: Map<string, number>,
  { sizeMax = SIZE_MAX, withinMs = LOCK_WITHIN_MS, signal }: Partial<ScrubLimits>,
): Promise<string[]> {
  // Not in a transaction, and with limits of its own: a connection of its own.
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_WITHIN_MS,
    options: `-c lock_timeout=${withinMs} -c statement_timeout=${REWRITE_WITHIN_MS}`,
  });
  const told: string[] = [];
  await client.connect();
  try {
    const { rows } = await client.query<Table>(
      `SELECT relname AS name, n_tup_del AS deleted, pg_total_relation_size(relid) AS bytes
       FROM pg_stat_user_tables WHERE schemaname = current_schema() AND relname NOT IN ${NOT_THESE}
       ORDER BY relname`,
    );
    for (const { name, deleted, bytes } of rows) {
      if (signal?.aborted === true) break;
      // Fewer than before: the server has begun to count anew.
      if (Number(deleted) === (known.get(name) ?? 0)) continue;
      const line =
        Number(bytes) > sizeMax ? tooLarge(name, sizeMax) : await rewritten(client, name, withinMs);
      if (line === undefined) known.set(name, Number(deleted));
      else told.push(line);
    }
  } finally {
    await client.end();
  }
  return told;
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
    if (error.code === '42P01') return undefined; // dropped meanwhile, a month that is over
    const why =
      error.code === '55P03'
        ? `in use for more than ${withinMs / 1000} s`
        : error.code === '57014'
          ? `not written anew within ${REWRITE_WITHIN_MS / 1000} s`
          : `cannot be written anew (${error.message})`;
    return `table ${name}: ${why}; ${LEFT} until the next night`;
  }
}
