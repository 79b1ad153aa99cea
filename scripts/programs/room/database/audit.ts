/**
 * Writes the audit log. Each entry holds the hash of the entry before it, so that none can be changed or removed
 * unnoticed.
 */
import canonicalize from 'canonicalize';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { type AuditDraft, type AuditEntry, GENESIS } from '../contract/audit.ts';
import { next } from './counters.ts';
import { iso, type Queries } from './sql.ts';

/**
 * Appends an entry, in the transaction of the recorded action. Call it last: the number stays locked until the
 * transaction ends.
 */
export async function record(
  transaction: Queries,
  { account, role, act, site = '', box = '', incident, more = {} }: AuditDraft,
  nowMs: number,
): Promise<void> {
  const no = await next(transaction, 'audit');
  const [before] = await transaction.all<{ hash: string }>('SELECT hash FROM audit WHERE no = $1', [no - 1]);
  const entry = {
    no,
    at: iso(nowMs),
    account,
    role,
    act,
    more,
    previous: before?.hash ?? GENESIS,
    site: site || null,
    box: box || null,
    incident: incident ?? null,
  };
  await transaction.run(
    `INSERT INTO audit (no, at, account, role, act, site, box, incident, more, previous, hash)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    [
      ...[no, entry.at, account, role, act, entry.site, entry.box, entry.incident],
      ...[JSON.stringify(more), entry.previous, hashOf(entry)],
    ],
  );
}

/** Returns the SHA-256 of an entry without its hash, in JCS (RFC 8785), as hex. */
export function hashOf(entry: Omit<AuditEntry, 'hash'>): string {
  const text = canonicalize(entry);
  if (text === undefined) throw new Error(`entry ${entry.no} cannot be put into canonical form`);
  return sha256Of(text);
}
