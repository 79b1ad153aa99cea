/**
 * Elects one of several programs on one database for a task that must not run twice at a time. When it dies, another
 * follows.
 *
 * INVARIANT: a program that has renewed the lease in a transaction has exclusive access until that transaction ends.
 * The row stays locked, so a program that was delayed notices before it changes anything.
 * LIMITS: clocks of the machines must differ by less than the duration of the lease.
 */
import { iso, type Queries } from './sql.ts';

export interface Lease {
  /** Task; the name of a row in `setting`. */
  readonly name: 'lease-purge' | 'lease-withdrawal';
  /** Unique name of this program. */
  readonly instanceId: string;
  readonly forMs: number;
}

/** Length of an ISO time with milliseconds. The holder follows it in the value. */
const TIME_CHARS = 24;

/** Takes a free or expired lease, or renews our own. Returns false if another program holds it. */
export async function hold(db: Queries, { name, instanceId, forMs }: Lease, nowMs: number): Promise<boolean> {
  const changedCount = await db.run(
    `INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value
     WHERE substr(setting.value, 1, ${TIME_CHARS}) < $3 OR substr(setting.value, ${TIME_CHARS + 2}) = $4`,
    [name, `${iso(nowMs + forMs)} ${instanceId}`, iso(nowMs), instanceId],
  );
  return changedCount > 0;
}

/** Releases the lease, so that another program need not wait for its expiry. */
export async function release(db: Queries, { name, instanceId }: Lease): Promise<void> {
  await db.run(`DELETE FROM setting WHERE name = $1 AND substr(value, ${TIME_CHARS + 2}) = $2`, [
    name,
    instanceId,
  ]);
}
