/** Reads the audit log page by page and verifies its hash chain. */

import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { type AuditEntry, type AuditHead, type AuditPage, GENESIS } from '../contract/audit.ts';
import { hashOf } from '../database/audit.ts';
import type { Queries, Value } from '../database/sql.ts';
import { textAsked } from './request-params.ts';
import { objectIn } from './rows.ts';

const PAGE_MAX = 100;
/** Entries in memory at a time during a walk. */
const BATCH_MAX = 1000;

/** Interval of a complete walk in ms. A walk takes 20 µs an entry, so a page only walks new entries in between. */
const WALK_EACH_MS = 3_600_000;

/** Maximum wait of a page for a walk, in ms. A city's audit log of several years has millions of entries. */
const WAIT_MS = 3000;

type AuditRow = Omit<AuditEntry, 'more'> & { readonly more: string };

export interface AuditQuery {
  readonly before?: number;
  readonly incident?: number;
  readonly account?: string;
}

/** Returns a page of entries, the newest first. */
export async function auditPage(
  db: Queries,
  query: AuditQuery,
): Promise<Pick<AuditPage, 'entries' | 'next'>> {
  const values: Value[] = [];
  const conditions: string[] = [];
  const add = (test: string, value: Value): void => {
    values.push(value);
    conditions.push(`${test} $${values.length}`);
  };
  const number = (no: number): number => Math.min(no, Number.MAX_SAFE_INTEGER);
  if (query.before !== undefined) add('no <', number(query.before));
  if (query.incident !== undefined) add('incident =', number(query.incident));
  if (query.account !== undefined) add('account =', textAsked('account', query.account));
  const rows = await db.all<AuditRow>(
    `SELECT * FROM audit ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''}
     ORDER BY no DESC LIMIT ${PAGE_MAX + 1}`,
    values,
  );
  const next = rows.length > PAGE_MAX ? (rows[PAGE_MAX - 1]?.no ?? null) : null;
  return { entries: rows.slice(0, PAGE_MAX).map(entryOf), next };
}

/** Yields all entries after number `after`, the oldest first. */
export async function* auditOf(db: Queries, after = 0): AsyncGenerator<AuditEntry> {
  for (let last = after; ; ) {
    const rows = await db.all<AuditRow>(`SELECT * FROM audit WHERE no > $1 ORDER BY no LIMIT ${BATCH_MAX}`, [
      last,
    ]);
    yield* rows.map(entryOf);
    last = rows.at(-1)?.no ?? last;
    if (rows.length < BATCH_MAX) return;
    // SQLite answers synchronously: this yields to other tasks of the process.
    await setImmediate();
  }
}

/** Progress of a walk along the chain. */
export interface Walked {
  /** Last valid entry; 0 if there is none. */
  readonly no: number;
  readonly hash: string;
  /** One line if the chain is broken. */
  readonly problem: string | null;
}

const NOTHING: Walked = { no: 0, hash: GENESIS, problem: null };

/**
 * Verifies the chain, from the beginning or from the end of an earlier walk.
 *
 * No entry may be missing up to the last number given out, because the audit log is kept indefinitely.
 */
export async function verifyChain(
  db: Queries,
  from: Walked = NOTHING,
  onWalked: (walked: Walked) => void = () => undefined,
): Promise<Walked> {
  const recordedCount = await givenOf(db);
  let walked = from;
  for await (const entry of auditOf(db, walked.no)) {
    const problem = chainProblem(entry, walked);
    if (problem !== undefined) return { ...walked, problem };
    walked = { no: entry.no, hash: entry.hash, problem: null };
    onWalked(walked);
  }
  if (walked.no >= recordedCount) return walked;
  return { ...walked, problem: `entries are missing after ${walked.no}: ${recordedCount} have been written` };
}

/** Returns number and hash of the last entry. */
export async function headOf(db: Queries): Promise<AuditHead> {
  const [row] = await db.all<{ no: number; hash: string }>(
    'SELECT no, hash FROM audit ORDER BY no DESC LIMIT 1',
  );
  return row === undefined ? null : { no: row.no, hash: row.hash };
}

/** Returns the last number given out. */
async function givenOf(db: Queries): Promise<number> {
  const [counter] = await db.all<{ value: number }>("SELECT value FROM counter WHERE name = 'audit'");
  return counter?.value ?? 0;
}

async function lostSince(db: Queries, walked: Walked): Promise<Walked | undefined> {
  if (walked.no === 0) return undefined;
  const [entry] = await db.all<{ hash: string }>('SELECT hash FROM audit WHERE no = $1', [walked.no]);
  if (entry?.hash === walked.hash) return undefined;
  return { ...walked, problem: `entry ${walked.no} is not the one any more that was there before` };
}

function chainProblem({ hash, ...entry }: AuditEntry, before: Walked): string | undefined {
  const { no, previous } = entry;
  if (no !== before.no + 1) return `entry ${before.no + 1} is missing`;
  if (previous !== before.hash) return `entry ${no} does not hold the hash of the one before`;
  if (hashOf(entry) !== hash) return `entry ${no} was changed after it was written`;
  return undefined;
}

/**
 * Checks the chain for pages. New entries are verified at once, all entries every WALK_EACH_MS. Only one walk runs at a
 * time; it continues if a page stops waiting for it.
 */
export class ChainCheck {
  readonly #db: Queries;
  #walked: Walked | undefined;
  #fullWalkAtMs = Number.NEGATIVE_INFINITY;
  #walking: Promise<Walked> | undefined;
  #checkedNo = 0;

  constructor(db: Queries) {
    this.#db = db;
  }

  async check(nowMs: number): Promise<Pick<AuditPage, 'isIntact' | 'fault'>> {
    this.#walking ??= this.#walk(nowMs).finally(() => {
      this.#walking = undefined;
    });
    const walked = await Promise.race([this.#walking, sleep(WAIT_MS, undefined, { ref: false })]);
    if (walked !== undefined) return { isIntact: walked.problem === null, fault: walked.problem };
    // After the timeout no one handles this error; the next page starts another walk and reports it.
    this.#walking?.catch(() => undefined);
    const recordedCount = await givenOf(this.#db);
    return {
      isIntact: false,
      fault: `verification is still running: entries 1 to ${this.#checkedNo} of ${recordedCount} are intact; try again`,
    };
  }

  async #walk(nowMs: number): Promise<Walked> {
    const isOld = nowMs - this.#fullWalkAtMs >= WALK_EACH_MS;
    const previous = isOld ? undefined : this.#walked;
    // A broken chain stays reported until the next complete walk.
    if (previous !== undefined && previous.problem !== null) return previous;
    // Detects a truncated log even if the counter was set back too.
    const loss = this.#walked === undefined ? undefined : await lostSince(this.#db, this.#walked);
    if (loss !== undefined) {
      this.#walked = loss;
      return loss;
    }
    const walked = await verifyChain(this.#db, previous, ({ no }) => {
      this.#checkedNo = no;
    });
    if (previous === undefined) this.#fullWalkAtMs = nowMs;
    this.#walked = walked;
    return walked;
  }
}

function entryOf({
  no,
  at,
  account,
  role,
  act,
  site,
  box,
  incident,
  more,
  previous,
  hash,
}: AuditRow): AuditEntry {
  return { no, at, account, role, act, site, box, incident, more: { ...objectIn(more) }, previous, hash };
}
