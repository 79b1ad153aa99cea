/**
 * The boxes that ask without a token, until somebody decides. Its methods are parts of the store's transactions.
 *
 * LIMITS: PENDING_MAX boxes wait; where the list is full, whoever asks from an address with fewer of them takes the newest
 * place of the address with the most. REFUSED_MAX refusals are remembered.
 */
import type Database from 'better-sqlite3';
import { AgentError } from '../../../../agent/base/errors.ts';

const PENDING_MAX = 1000;
const REFUSED_MAX = 1000;

export interface PendingRow {
  readonly box: string;
  readonly key: string;
  readonly address: string;
  readonly first: number;
  readonly last: number;
  readonly decision: 'accepted' | 'refused' | null;
  /** Where it is accepted. */
  readonly site: string | null;
}

export class WaitingList {
  static readonly TABLE = `
CREATE TABLE IF NOT EXISTS pending (
  box TEXT NOT NULL, key TEXT NOT NULL, address TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  decision TEXT, site TEXT, PRIMARY KEY (box, key)
) STRICT;
`;
  readonly #db: Database.Database;

  constructor(db: Database.Database) {
    this.#db = db;
  }

  rows(): PendingRow[] {
    return this.#db.prepare('SELECT * FROM pending ORDER BY first').all() as PendingRow[];
  }

  /** Who has been decided on has no place on the list. */
  get count(): number {
    return this.#db.prepare('SELECT count(*) FROM pending WHERE decision IS NULL').pluck().get() as number;
  }

  find(box: string, key: string): PendingRow | undefined {
    return this.#db.prepare('SELECT * FROM pending WHERE box = ? AND key = ?').get(box, key) as
      | PendingRow
      | undefined;
  }

  /** Notes that it asks. False: it is not on the list, and there is no place for it. */
  note(
    address: string,
    { box, key, nowMs }: { readonly box: string; readonly key: string; readonly nowMs: number },
  ): boolean {
    const isFull = this.find(box, key) === undefined && this.count >= PENDING_MAX;
    if (isFull && !this.#makePlace(address)) return false;
    this.#db
      .prepare(
        `INSERT INTO pending (box, key, address, first, last) VALUES (@box, @key, @address, @nowMs, @nowMs)
         ON CONFLICT (box, key) DO UPDATE SET address = @address, last = @nowMs`,
      )
      .run({ box, key, address, nowMs });
    return true;
  }

  /** Throws AgentError `config` where it is not clear whom. `key`: how its SHA-256 begins. */
  decide(box: string, key: string, { decision, site }: Pick<PendingRow, 'decision' | 'site'>): PendingRow {
    const rows = this.rows().filter((row) => row.box === box && row.key.startsWith(key));
    const [row, other] = rows;
    if (row === undefined) throw new AgentError('config', `${box}: does not ask; see list`);
    if (other !== undefined) {
      const keys = rows.map((one) => one.key.slice(0, 16)).join(', ');
      throw new AgentError(
        'config',
        `${box}: asks with several keys (${keys}); name one, as the box says it`,
      );
    }
    this.#db
      .prepare('UPDATE pending SET decision = ?, site = ? WHERE box = ? AND key = ?')
      .run(decision, site, box, row.key);
    this.#forgetRefusals();
    return row;
  }

  /** All that ask from an address; how many that was. */
  refuseFrom(address: string): number {
    const { changes } = this.#db
      .prepare("UPDATE pending SET decision = 'refused' WHERE address = ? AND decision IS NULL")
      .run(address);
    this.#forgetRefusals();
    return changes;
  }

  /** One key of the box, or all of them. */
  remove(box: string, key?: string): void {
    this.#db.prepare('DELETE FROM pending WHERE box = ? AND key = coalesce(?, key)').run(box, key ?? null);
  }

  /** Who has not asked since. */
  forgetBefore(ms: number): void {
    this.#db.prepare('DELETE FROM pending WHERE last < ?').run(ms);
  }

  /** Whether there is a place for one more from this address: of an address with more, the newest has lost its own. */
  #makePlace(address: string): boolean {
    const counts = this.#db
      .prepare(
        `SELECT address, count(*) AS count FROM pending WHERE decision IS NULL
         GROUP BY address ORDER BY count DESC, address`,
      )
      .all() as { address: string; count: number }[];
    const own = counts.find((one) => one.address === address)?.count ?? 0;
    const [most] = counts;
    if (most === undefined || most.count <= own + 1) return false;
    const newest =
      'SELECT box, key FROM pending WHERE decision IS NULL AND address = ? ORDER BY first DESC, rowid DESC LIMIT 1';
    this.#db.prepare(`DELETE FROM pending WHERE (box, key) IN (${newest})`).run(most.address);
    return true;
  }

  #forgetRefusals(): void {
    const kept = "SELECT rowid FROM pending WHERE decision = 'refused' ORDER BY last DESC LIMIT ?";
    this.#db
      .prepare(`DELETE FROM pending WHERE decision = 'refused' AND rowid NOT IN (${kept})`)
      .run(REFUSED_MAX);
  }
}
