/**
 * A lease that no clock decides: whoever waits for it watches its row, and takes over what has not changed for long enough by
 * its own monotonic clock. A clock that is set wrongly, on any machine, neither ends a lease nor makes one last.
 *
 * INVARIANT: a transaction in which the lease was confirmed is its holder's alone until it ends: the row stays locked, and
 * somebody who wants to take it over waits.
 * LIMITS: who comes to a row that somebody has left behind waits for the whole time of the lease, whatever its age.
 */
import { iso, type Queries, type Sql } from './sql.ts';

export interface LeaseRow {
  /** Another text after each renewal. */
  readonly value: string;
  readonly isOurs: boolean;
}

/** Another program has the lease: what was to be stored under it is not. */
export class LeaseLost extends Error {}

/** Digits of an ISO time with milliseconds; the holder comes behind them. The time is for people who look into the table. */
const TIME_CHARS = 24;

export class WatchedLease {
  readonly #db: Sql;
  readonly #name: 'lease-archive';
  readonly #holder: string;

  /** `name` is that of a row in `setting`; `holder` is this program's and nobody else's. */
  constructor(db: Sql, name: 'lease-archive', holder: string) {
    this.#db = db;
    this.#name = name;
    this.#holder = holder;
  }

  /** Undefined where nobody has it. */
  async look(): Promise<LeaseRow | undefined> {
    const [row] = await this.#db.all<{ value: string }>('SELECT value FROM setting WHERE name = $1', [
      this.#name,
    ]);
    return row && { value: row.value, isOurs: row.value.slice(TIME_CHARS + 1) === this.#holder };
  }

  /** Takes it where it still is what `look` gave. False: somebody was faster. */
  async take(seen: LeaseRow | undefined): Promise<boolean> {
    const changed = await this.#db.run(
      `INSERT INTO setting (name, value) VALUES ($1, $2)
       ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE setting.value = $3`,
      [this.#name, this.#value(), seen?.value ?? ''],
    );
    return changed > 0;
  }

  /** False: somebody else has taken it. */
  async renew(): Promise<boolean> {
    const changed = await this.#db.run(
      `UPDATE setting SET value = $2 WHERE name = $1 AND substr(value, ${TIME_CHARS + 2}) = $3`,
      [this.#name, this.#value(), this.#holder],
    );
    return changed > 0;
  }

  /** Throws LeaseLost where it is not ours; otherwise nobody takes it before the transaction ends. */
  async confirm(transaction: Queries): Promise<void> {
    const rows = await transaction.all(
      `SELECT 1 AS ours FROM setting WHERE name = $1 AND substr(value, ${TIME_CHARS + 2}) = $2
       ${this.#db.dialect.forUpdate}`,
      [this.#name, this.#holder],
    );
    if (rows.length === 0) throw new LeaseLost('another archive has taken over');
  }

  /** Lets it go, so that another need not wait. */
  async release(): Promise<void> {
    await this.#db.run(`DELETE FROM setting WHERE name = $1 AND substr(value, ${TIME_CHARS + 2}) = $2`, [
      this.#name,
      this.#holder,
    ]);
  }

  #value(): string {
    return `${iso(Date.now())} ${this.#holder}`;
  }
}
