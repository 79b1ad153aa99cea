/** Creates monthly partitions of `event` and `snapshot` in PostgreSQL. SQLite has none. */
import type { Queries, Sql } from './sql.ts';

export const PARTITIONED = { event: 'at', snapshot: 'received' } as const;
export type Partitioned = keyof typeof PARTITIONED;

/**
 * Number of months created in advance. The archive calls once a day; a spare month exists even if it is down for long.
 */
const MONTHS_AHEAD = 2;

export interface Partition {
  readonly table: Partitioned;
  readonly name: string;
  /** Range in ms: inclusive start, exclusive end. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** Returns the partition of the UTC month that contains the time. */
export function partitionOf(table: Partitioned, atMs: number): Partition {
  const at = new Date(atMs);
  const [year, month] = [at.getUTCFullYear(), at.getUTCMonth()];
  const name = `${table}_${year}_${String(month + 1).padStart(2, '0')}`;
  return { table, name, fromMs: Date.UTC(year, month), toMs: Date.UTC(year, month + 1) };
}

/** Returns all partitions except the default ones. */
export async function partitionsOf(db: Queries): Promise<Partition[]> {
  const rows = await db.all<{ parent: string; name: string }>(
    `SELECT parent.relname AS parent, child.relname AS name FROM pg_inherits
     JOIN pg_class parent ON parent.oid = inhparent JOIN pg_class child ON child.oid = inhrelid
     WHERE parent.relname IN ('event', 'snapshot') ORDER BY child.relname`,
  );
  return rows.flatMap(({ parent, name }) => {
    const [, year, month] = /_(\d{4})_(\d{2})$/.exec(name) ?? [];
    if (year === undefined || month === undefined) return [];
    return [{ ...partitionOf(parent as Partitioned, Date.UTC(Number(year), Number(month) - 1)), name }];
  });
}

/**
 * Creates the partitions of the last, this and the next months, and a default partition.
 *
 * The default takes rows of all other months, from a box whose clock is years behind or an old delayed event. A month
 * with rows in the default partition stays there.
 */
export async function makePartitions(db: Sql | Queries, isPostgres: boolean, nowMs: number): Promise<void> {
  if (!isPostgres) return;
  const existingNames = new Set((await partitionsOf(db)).map(({ name }) => name));
  for (const table of Object.keys(PARTITIONED) as Partitioned[]) {
    await db.run(`CREATE TABLE IF NOT EXISTS ${table}_other PARTITION OF ${table} DEFAULT`);
    const now = new Date(nowMs);
    for (let monthOffset = -1; monthOffset <= MONTHS_AHEAD; monthOffset += 1) {
      const at = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + monthOffset);
      const { name, fromMs, toMs } = partitionOf(table, at);
      if (existingNames.has(name)) continue;
      const [from, to] = [fromMs, toMs].map((ms) => new Date(ms).toISOString());
      const column = PARTITIONED[table];
      const [other] = await db.all(
        `SELECT 1 AS there FROM ${table}_other WHERE ${column} >= $1 AND ${column} < $2 LIMIT 1`,
        [from ?? '', to ?? ''],
      );
      if (other !== undefined) continue;
      await db.run(`CREATE TABLE ${name} PARTITION OF ${table} FOR VALUES FROM ('${from}') TO ('${to}')`);
    }
  }
}
