/**
 * What each connection to PostgreSQL is set to, and what is asked of the server before it is used.
 *
 * INVARIANTS: no connection is used whose COMMIT may answer before the transaction is on disk, or that reads from a
 * standby. After a failover a proxy may lead to either server for a moment.
 */
import type pg from 'pg';

/** Sums of a month by rule, 12,000 of them, are made in memory and not sorted on disk; the default is 4 MB. */
const WORK_MEM = '32MB';

/**
 * Settings of the session, https://www.postgresql.org/docs/current/runtime-config-client.html. They are set by a query,
 * which overrules the server, the role and the URL; a pooler drops the options of a connection without a word.
 */
const SETTINGS = {
  // A server set to `off` would answer before the transaction is on its disk, and on that of its synchronous standby.
  synchronous_commit: 'on',
  // Times are compared in UTC.
  timezone: 'UTC',
  work_mem: WORK_MEM,
  // Compiling a query takes longer than any of ours.
  jit: 'off',
  // Whoever vanishes in the middle of a transaction, with its machine or its network, or is frozen, keeps its locks for no
  // longer than this: nobody could take over meanwhile.
  idle_in_transaction_session_timeout: '10s',
  tcp_keepalives_idle: '10s',
  tcp_keepalives_interval: '5s',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '30s',
} as const;

/** The server takes no writes: SQLSTATE read_only_sql_transaction. */
export const READ_ONLY = '25006';

/** A server that is not to be used now, with what a person reads; `code` as the server would have said it. */
export class StandbyError extends Error {
  readonly code = READ_ONLY;
}

/** Far longer than a server that is well needs for it. */
const CHECK_WITHIN_MS = 10_000;

const CHECK = [
  `SELECT ${Object.entries(SETTINGS)
    .map(([name, value]) => `set_config('${name}', '${value}', false) AS ${name}`)
    .join(', ')}`,
  ", pg_is_in_recovery() AS recovering, current_setting('fsync') AS fsync",
].join('');

interface Checked {
  readonly synchronous_commit: string;
  readonly recovering: boolean;
  readonly fsync: string;
}

/** Throws StandbyError, or an error with one line of what is set wrongly at the server. */
export async function prepareSession(client: pg.ClientBase): Promise<void> {
  // The driver takes a time limit for one query; its types do not know it.
  const query: pg.QueryConfig & { query_timeout: number } = { text: CHECK, query_timeout: CHECK_WITHIN_MS };
  const [row] = (await client.query<Checked>(query)).rows;
  if (row === undefined) throw new Error('PostgreSQL gives no row for its settings');
  if (row.recovering) throw new StandbyError('it is a standby');
  if (row.fsync !== 'on') {
    throw new Error('PostgreSQL has fsync = off: what it has stored is lost with the power; set it to on');
  }
}

/** The notice of a COMMIT that stopped waiting for its standby (syncrep.c); its text is in the server's language. */
const WAIT_CANCELLED = 'SyncRepWaitForLSN';

/**
 * Watches the notices of a connection: `isUnsure` tells whether a COMMIT has been answered although no standby has it.
 * Somebody cancelled the wait; https://www.postgresql.org/docs/current/warm-standby.html#SYNCHRONOUS-REPLICATION
 */
export function watchCommits(client: pg.ClientBase): { readonly isUnsure: boolean; end(): void } {
  let isUnsure = false;
  const onNotice = ({ routine }: { routine?: string | undefined }): void => {
    if (routine === WAIT_CANCELLED) isUnsure = true;
  };
  client.on('notice', onNotice);
  return {
    get isUnsure() {
      return isUnsure;
    },
    end: () => void client.off('notice', onNotice),
  };
}
