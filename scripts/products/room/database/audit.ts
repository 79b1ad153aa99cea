/**
 * Writes the audit log. Each entry holds the hash of the entry before it, so that none can be changed or removed
 * unnoticed.
 */
import canonicalize from 'canonicalize';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { type AuditDraft, type AuditEntry, GENESIS } from '../contract/audit.ts';
import { next } from './counters.ts';
import { type Dialect, iso, type Queries } from './sql.ts';

const COLUMNS = {
  no: 'integer',
  at: 'time',
  account: 'text',
  role: 'text',
  act: 'text',
  site: 'text',
  box: 'text',
  incident: 'integer',
  more: 'text',
  previous: 'text',
  hash: 'text',
} as const;
const NAMES = Object.keys(COLUMNS).join(', ');

/**
 * Appends an entry, in the transaction of the recorded action, and returns its number. Call it late: the number stays
 * locked until the transaction ends.
 */
export async function record(transaction: Queries, draft: AuditDraft, nowMs: number): Promise<number> {
  const { no, previous } = await nextPlace(transaction, 1);
  const entry = entryOf(draft, no, previous, nowMs);
  await transaction.run(
    `INSERT INTO audit (${NAMES}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    [
      ...[no, entry.at, entry.account, entry.role, entry.act, entry.site, entry.box, entry.incident],
      ...[JSON.stringify(entry.more), previous, entry.hash],
    ],
  );
  return no;
}

/** Appends an entry for each draft in one statement, and returns their numbers. */
export async function recordAll(
  transaction: Queries,
  dialect: Dialect,
  drafts: readonly AuditDraft[],
  nowMs: number,
): Promise<number[]> {
  if (drafts.length === 0) return [];
  const place = await nextPlace(transaction, drafts.length);
  let { previous } = place;
  const entries = drafts.map((draft, index) => {
    const entry = entryOf(draft, place.no + index, previous, nowMs);
    previous = entry.hash;
    return entry;
  });
  await transaction.run(
    `INSERT INTO audit (${NAMES}) SELECT ${NAMES} FROM ${dialect.rows('$1', 'new', COLUMNS)}`,
    [
      JSON.stringify(
        entries.map(({ more, ...entry }) => Object.assign(entry, { more: JSON.stringify(more) })),
      ),
    ],
  );
  return entries.map(({ no }) => no);
}

/** Takes the next numbers. Returns the first, and the hash of the entry before it. */
async function nextPlace(transaction: Queries, count: number): Promise<{ no: number; previous: string }> {
  const no = await next(transaction, 'audit', count);
  const [before] = await transaction.all<{ hash: string }>('SELECT hash FROM audit WHERE no = $1', [no - 1]);
  return { no, previous: before?.hash ?? GENESIS };
}

function entryOf(
  { account, role, act, site = '', box = '', incident, more = {} }: AuditDraft,
  no: number,
  previous: string,
  nowMs: number,
): AuditEntry {
  const entry = {
    no,
    at: iso(nowMs),
    account,
    role,
    act,
    more,
    previous,
    site: site || null,
    box: box || null,
    incident: incident ?? null,
  };
  return Object.assign(entry, { hash: hashOf(entry) });
}

/** Returns the SHA-256 of an entry without its hash, in JCS (RFC 8785), as hex. */
export function hashOf(entry: Omit<AuditEntry, 'hash'>): string {
  const text = canonicalize(entry);
  if (text === undefined) throw new Error(`entry ${entry.no} cannot be put into canonical form`);
  return sha256Of(text);
}
