/**
 * Of several programs on one database one does what must not be done twice at a time; when it dies another follows.
 *
 * INVARIANT: whoever has renewed a lease in a transaction is alone with its matter until that transaction ends: the row
 * stays locked, so that one who was held up for long finds out before it changes anything.
 * LIMITS: the clocks of the machines may differ by less than the time of a lease.
 */
import { iso, type Queries } from './sql.ts';

export interface Lease {
  /** What for; the name of a row in `setting`. */
  readonly name: 'lease-purge' | 'lease-withdrawal';
  /** Who; nobody else's name. */
  readonly holder: string;
  readonly forMs: number;
}

/** Digits of an ISO time with milliseconds; the holder comes behind them. */
const TIME_CHARS = 24;

/** Takes it where nobody has it, and renews it where it is ours. False: somebody else has it. */
export async function hold(db: Queries, { name, holder, forMs }: Lease, nowMs: number): Promise<boolean> {
  const changed = await db.run(
    `INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value
     WHERE substr(setting.value, 1, ${TIME_CHARS}) < $3 OR substr(setting.value, ${TIME_CHARS + 2}) = $4`,
    [name, `${iso(nowMs + forMs)} ${holder}`, iso(nowMs), holder],
  );
  return changed > 0;
}

/** Lets it go, so that another need not wait for its end. */
export async function release(db: Queries, { name, holder }: Lease): Promise<void> {
  await db.run(`DELETE FROM setting WHERE name = $1 AND substr(value, ${TIME_CHARS + 2}) = $2`, [
    name,
    holder,
  ]);
}
