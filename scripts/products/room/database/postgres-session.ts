/**
 * Configures each connection to PostgreSQL and checks the server before the connection is used.
 *
 * INVARIANTS:
 * - A connection is not used if its COMMIT may answer before the transaction is on disk.
 * - A connection is not used if it reads from a standby. After a failover a proxy may briefly lead to either server.
 */
import type pg from 'pg';

/** Memory for sorting: monthly sums by rule (12,000 of them) fit in it without a sort on disk. The default is 4 MB. */
const WORK_MEM = '32MB';

/**
 * Settings of the session, https://www.postgresql.org/docs/current/runtime-config-client.html. A query sets them, which
 * overrides the server, the role and the URL. A pooler silently drops connection options.
 */
const SETTINGS = {
  // A server set to `off` would answer before the transaction is on its disk and on that of its synchronous standby.
  synchronous_commit: 'on',
  // Times are compared in UTC.
  timezone: 'UTC',
  work_mem: WORK_MEM,
  // Compiling a query takes longer than running any query of the room.
  jit: 'off',
  // Limits how long a client that crashed, lost its network or froze during a transaction keeps its locks. Until then
  // no other program can replace it.
  idle_in_transaction_session_timeout: '10s',
  tcp_keepalives_idle: '10s',
  tcp_keepalives_interval: '5s',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '30s',
} as const;

/** SQLSTATE read_only_sql_transaction: the server accepts no writes. */
export const READ_ONLY = '25006';

/**
 * Reports a server that must not be used now, with a message for a person. `code` is the one that the server would
 * give.
 */
export class StandbyError extends Error {
  readonly code = READ_ONLY;
}

/** Time limit of the check in ms. A healthy server needs far less. */
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

/**
 * Applies the settings and checks the server.
 * @throws {StandbyError} if the server is a standby
 * @throws {Error} with one line about a wrong setting of the server
 */
export async function prepareSession(client: pg.ClientBase): Promise<void> {
  // The driver accepts a time limit per query; its types lack it.
  const query: pg.QueryConfig & { query_timeout: number } = { text: CHECK, query_timeout: CHECK_WITHIN_MS };
  const [row] = (await client.query<Checked>(query)).rows;
  if (row === undefined) throw new Error('PostgreSQL returned no row for its settings');
  if (row.recovering) throw new StandbyError('it is a standby');
  if (row.fsync !== 'on') {
    throw new Error('PostgreSQL has fsync = off, so a power cut loses stored rows; set it to on');
  }
}

/**
 * Routine that reports a COMMIT whose wait for the standby was cancelled (syncrep.c). The text of the notice depends on
 * the server's language.
 */
const WAIT_CANCELLED = 'SyncRepWaitForLSN';

/**
 * Watches the notices of a connection. `isUnsure` is true if a COMMIT was answered although no standby has it, because
 * someone cancelled the wait. See https://www.postgresql.org/docs/current/warm-standby.html#SYNCHRONOUS-REPLICATION
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
