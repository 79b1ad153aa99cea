/**
 * A lease that does not depend on wall clocks.
 *
 * A waiting program watches the row and takes the lease if the row has not changed for long enough by its own monotonic
 * clock. A wrong clock on any machine neither ends nor prolongs a lease.
 *
 * INVARIANT: a transaction that has confirmed the lease belongs to the holder until it ends. The row stays locked, so
 * another program that wants the lease waits.
 * LIMITS: after a holder disappears, a new program waits for the full duration of the lease, whatever its age.
 */
import { iso, type Queries, type Sql } from './sql.ts';

export interface LeaseRow {
  /** Text that changes with each renewal. */
  readonly value: string;
  readonly isOurs: boolean;
}

/** Reports that another program holds the lease: the data was not stored. */
export class LeaseLost extends Error {}

/**
 * Length of an ISO time with milliseconds. The holder follows it in the value. The time only informs people who read
 * the table.
 */
const TIME_CHARS = 24;

export class WatchedLease {
  readonly #db: Sql;
  readonly #name: 'lease-archive';
  readonly #instanceId: string;

  /** `name` is the name of a row in `setting`; `holder` is unique to this program. */
  constructor(db: Sql, name: 'lease-archive', instanceId: string) {
    this.#db = db;
    this.#name = name;
    this.#instanceId = instanceId;
  }

  /** Returns the current row, or undefined if the lease is free. */
  async read(): Promise<LeaseRow | undefined> {
    const [row] = await this.#db.all<{ value: string }>('SELECT value FROM setting WHERE name = $1', [
      this.#name,
    ]);
    return row && { value: row.value, isOurs: row.value.slice(TIME_CHARS + 1) === this.#instanceId };
  }

  /** Takes the lease if the row still equals the result of `look`. Returns false if another program was faster. */
  async take(expected: LeaseRow | undefined): Promise<boolean> {
    const changedCount = await this.#db.run(
      `INSERT INTO setting (name, value) VALUES ($1, $2)
       ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE setting.value = $3`,
      [this.#name, this.#value(), expected?.value ?? ''],
    );
    return changedCount > 0;
  }

  /** Renews the lease. Returns false if another program has taken it. */
  async renew(): Promise<boolean> {
    const changedCount = await this.#db.run(
      `UPDATE setting SET value = $2 WHERE name = $1 AND substr(value, ${TIME_CHARS + 2}) = $3`,
      [this.#name, this.#value(), this.#instanceId],
    );
    return changedCount > 0;
  }

  /**
   * Confirms the lease: no other program takes it before the transaction ends.
   * @throws {LeaseLost} if it is not ours
   */
  async confirm(transaction: Queries): Promise<void> {
    const rows = await transaction.all(
      `SELECT 1 AS ours FROM setting WHERE name = $1 AND substr(value, ${TIME_CHARS + 2}) = $2
       ${this.#db.dialect.forUpdate}`,
      [this.#name, this.#instanceId],
    );
    if (rows.length === 0) throw new LeaseLost('another archive has taken over');
  }

  /** Releases the lease, so that another program need not wait. */
  async release(): Promise<void> {
    await this.#db.run(`DELETE FROM setting WHERE name = $1 AND substr(value, ${TIME_CHARS + 2}) = $2`, [
      this.#name,
      this.#instanceId,
    ]);
  }

  #value(): string {
    return `${iso(Date.now())} ${this.#instanceId}`;
  }
}
