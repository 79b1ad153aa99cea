/**
 * Manages the boxes that request enrolment without a token, until a person decides. Its methods run inside transactions
 * of the store.
 *
 * LIMITS:
 * - PENDING_MAX boxes wait. If the list is full, a box from a network with fewer entries replaces the newest entry of
 *   the network with the most. Among the addresses of one network the same holds.
 * - REFUSED_MAX refusals are stored.
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
  /** Site at which it is accepted. */
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

  /** Number of undecided boxes. */
  get count(): number {
    return this.#db.prepare('SELECT count(*) FROM pending WHERE decision IS NULL').pluck().get() as number;
  }

  find(box: string, key: string): PendingRow | undefined {
    return this.#db.prepare('SELECT * FROM pending WHERE box = ? AND key = ?').get(box, key) as
      | PendingRow
      | undefined;
  }

  /** Records a request. Returns false if the box is not on the list and there is no place for it. */
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

  /**
   * Decides on a waiting box. `key` is the beginning of its SHA-256.
   * @throws {AgentError} `config` if the box is not waiting or the key is ambiguous
   */
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

  /** Refuses all waiting boxes of an address. Returns their number. */
  refuseFrom(address: string): number {
    const { changes } = this.#db
      .prepare("UPDATE pending SET decision = 'refused' WHERE address = ? AND decision IS NULL")
      .run(address);
    this.#forgetRefusals();
    return changes;
  }

  /** Removes one key of the box, or all of them. */
  remove(box: string, key?: string): void {
    this.#db.prepare('DELETE FROM pending WHERE box = ? AND key = coalesce(?, key)').run(box, key ?? null);
  }

  /** Removes boxes that have not asked since. */
  forgetBefore(ms: number): void {
    this.#db.prepare('DELETE FROM pending WHERE last < ?').run(ms);
  }

  /**
   * Tries to free a place for one more box of this address, by removing an entry of the network with the most, or of its
   * own network. There it is the newest of the address with the most. Returns false if there is none.
   */
  #makePlace(address: string): boolean {
    const counts = this.#db
      .prepare('SELECT address, count(*) AS count FROM pending WHERE decision IS NULL GROUP BY address')
      .all() as { address: string; count: number }[];
    const sizes = new Map<string, number>();
    for (const { address: one, count } of counts)
      sizes.set(networkOf(one), (sizes.get(networkOf(one)) ?? 0) + count);
    const own = networkOf(address);
    const sizeOf = (network: string): number => sizes.get(network) ?? 0;
    const largest = [...sizes.keys()].reduce((a, b) => (sizeOf(b) > sizeOf(a) ? b : a), own);
    const isOfOther = sizeOf(largest) > sizeOf(own) + 1;
    const network = isOfOther ? largest : own;
    const addresses = counts.filter((one) => networkOf(one.address) === network);
    const [crowdedAddress] = addresses.toSorted((a, b) => b.count - a.count);
    const ownCount = isOfOther ? 0 : (addresses.find((one) => one.address === address)?.count ?? 0) + 1;
    if (crowdedAddress === undefined || crowdedAddress.count <= ownCount) return false;
    const newest =
      'SELECT box, key FROM pending WHERE decision IS NULL AND address = ? ORDER BY first DESC, rowid DESC LIMIT 1';
    this.#db.prepare(`DELETE FROM pending WHERE (box, key) IN (${newest})`).run(crowdedAddress.address);
    return true;
  }

  #forgetRefusals(): void {
    const newestRefusals = "SELECT rowid FROM pending WHERE decision = 'refused' ORDER BY last DESC LIMIT ?";
    this.#db
      .prepare(`DELETE FROM pending WHERE decision = 'refused' AND rowid NOT IN (${newestRefusals})`)
      .run(REFUSED_MAX);
  }
}

/**
 * Returns the network that one owner gets as a whole: /48 of IPv6, /24 of IPv4. `address` is as named by `addressKey`,
 * which for IPv6 is its /64.
 */
function networkOf(address: string): string {
  const separator = address.includes(':') ? ':' : '.';
  return address.split(separator).slice(0, 3).join(separator);
}
