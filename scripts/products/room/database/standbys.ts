/** Detects a PostgreSQL server that does not wait for its standbys: a failover would lose the latest transactions. */
import type { Sql } from './sql.ts';

/** Returns a line for a person, or undefined if a standby is waited for or there is none. */
export async function standbyProblem(db: Sql): Promise<string | undefined> {
  if (db.dialect.name !== 'postgres') return undefined;
  const [row] = await db.all<{ standbys: number; names: string }>(
    `SELECT (SELECT count(*) FROM pg_stat_replication) AS standbys,
       current_setting('synchronous_standby_names') AS names`,
  );
  if (row === undefined || row.standbys === 0 || row.names !== '') return undefined;
  return (
    'database: no standby is waited for: a failover loses what was stored last; ' +
    'set synchronous_standby_names (Patroni: synchronous_mode)'
  );
}
