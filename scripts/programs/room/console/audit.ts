/** The room's record, page by page, and whether it is whole. */

import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { type AuditEntry, type AuditHead, type AuditPage, GENESIS } from '../contract/audit.ts';
import { hashOf } from '../database/audit.ts';
import type { Queries, Value } from '../database/sql.ts';
import { textAsked } from './asked.ts';
import { objectIn } from './rows.ts';

const PAGE_MAX = 100;
/** Of a walk, in memory at a time. */
const BATCH_MAX = 1000;

/** A walk over all takes 20 µs an entry: what has been walked is not walked again for every page, but is after this. */
const WALK_EACH_MS = 3_600_000;

/** A page does not wait longer for a walk: the record of a city's years has millions of entries. */
const WAIT_MS = 3000;

type AuditRow = Omit<AuditEntry, 'more'> & { readonly more: string };

export interface AuditQuery {
  readonly before?: number;
  readonly incident?: number;
  readonly who?: string;
}

/** The newest first. */
export async function auditPage(
  db: Queries,
  query: AuditQuery,
): Promise<Pick<AuditPage, 'entries' | 'next'>> {
  const values: Value[] = [];
  const where: string[] = [];
  const add = (test: string, value: Value): void => {
    values.push(value);
    where.push(`${test} $${values.length}`);
  };
  const number = (no: number): number => Math.min(no, Number.MAX_SAFE_INTEGER);
  if (query.before !== undefined) add('no <', number(query.before));
  if (query.incident !== undefined) add('incident =', number(query.incident));
  if (query.who !== undefined) add('who =', textAsked('who', query.who));
  const rows = await db.all<AuditRow>(
    `SELECT * FROM audit ${where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''}
     ORDER BY no DESC LIMIT ${PAGE_MAX + 1}`,
    values,
  );
  const next = rows.length > PAGE_MAX ? (rows[PAGE_MAX - 1]?.no ?? null) : null;
  return { entries: rows.slice(0, PAGE_MAX).map(entryOf), next };
}

/** All that is kept beyond `after`, the oldest first. */
export async function* auditOf(db: Queries, after = 0): AsyncGenerator<AuditEntry> {
  for (let last = after; ; ) {
    const rows = await db.all<AuditRow>(`SELECT * FROM audit WHERE no > $1 ORDER BY no LIMIT ${BATCH_MAX}`, [
      last,
    ]);
    yield* rows.map(entryOf);
    last = rows.at(-1)?.no ?? last;
    if (rows.length < BATCH_MAX) return;
    // SQLite answers at once: others of this process must have their turn.
    await setImmediate();
  }
}

/** How far the chain has been walked. */
export interface Walked {
  /** The last entry that is as it was written; 0 for none. */
  readonly no: number;
  readonly hash: string;
  /** One line, where it breaks. */
  readonly fault: string | null;
}

const NOTHING: Walked = { no: 0, hash: GENESIS, fault: null };

/**
 * Walks on from where a walk has ended, by default from the beginning. None may be missing, up to the number that was
 * given out last: the record is kept for ever.
 */
export async function verifyChain(
  db: Queries,
  from: Walked = NOTHING,
  onWalked: (walked: Walked) => void = () => undefined,
): Promise<Walked> {
  const given = await givenOf(db);
  let walked = from;
  for await (const entry of auditOf(db, walked.no)) {
    const fault = faultOf(entry, walked);
    if (fault !== undefined) return { ...walked, fault };
    walked = { no: entry.no, hash: entry.hash, fault: null };
    onWalked(walked);
  }
  if (walked.no >= given) return walked;
  return { ...walked, fault: `entries are missing after ${walked.no}: ${given} have been written` };
}

/** The last entry that there is. */
export async function headOf(db: Queries): Promise<AuditHead> {
  const [row] = await db.all<{ no: number; hash: string }>(
    'SELECT no, hash FROM audit ORDER BY no DESC LIMIT 1',
  );
  return row === undefined ? null : { no: row.no, hash: row.hash };
}

/** The last number that was given out. */
async function givenOf(db: Queries): Promise<number> {
  const [counter] = await db.all<{ value: number }>("SELECT value FROM counter WHERE name = 'audit'");
  return counter?.value ?? 0;
}

async function lostSince(db: Queries, walked: Walked): Promise<Walked | undefined> {
  if (walked.no === 0) return undefined;
  const [entry] = await db.all<{ hash: string }>('SELECT hash FROM audit WHERE no = $1', [walked.no]);
  if (entry?.hash === walked.hash) return undefined;
  return { ...walked, fault: `entry ${walked.no} is not the one any more that was there before` };
}

function faultOf({ hash, ...entry }: AuditEntry, before: Walked): string | undefined {
  const { no, previous } = entry;
  if (no !== before.no + 1) return `entry ${before.no + 1} is missing`;
  if (previous !== before.hash) return `entry ${no} does not hold the hash of the one before`;
  if (hashOf(entry) !== hash) return `entry ${no} is not as it was written`;
  return undefined;
}

/**
 * For pages: entries that are new are walked at once, all of them every WALK_EACH_MS. One walk at a time; it goes on when
 * a page has not waited for it.
 */
export class ChainCheck {
  readonly #db: Queries;
  #walked: Walked | undefined;
  #wholeAtMs = Number.NEGATIVE_INFINITY;
  #walking: Promise<Walked> | undefined;
  #through = 0;

  constructor(db: Queries) {
    this.#db = db;
  }

  async check(nowMs: number): Promise<Pick<AuditPage, 'whole' | 'fault'>> {
    this.#walking ??= this.#walk(nowMs).finally(() => {
      this.#walking = undefined;
    });
    const walked = await Promise.race([this.#walking, sleep(WAIT_MS, undefined, { ref: false })]);
    if (walked !== undefined) return { whole: walked.fault === null, fault: walked.fault };
    // Whoever waits no longer hears of its failure at the next page, which begins another walk.
    this.#walking?.catch(() => undefined);
    const given = await givenOf(this.#db);
    return {
      whole: false,
      fault: `not all are looked at yet: entries 1 to ${this.#through} of ${given} are whole; ask again`,
    };
  }

  async #walk(nowMs: number): Promise<Walked> {
    const isOld = nowMs - this.#wholeAtMs >= WALK_EACH_MS;
    const known = isOld ? undefined : this.#walked;
    // What is broken stays so until all of it is walked again.
    if (known !== undefined && known.fault !== null) return known;
    // By which an end that was cut off shows here, though the count was put back with it.
    const lost = this.#walked === undefined ? undefined : await lostSince(this.#db, this.#walked);
    if (lost !== undefined) {
      this.#walked = lost;
      return lost;
    }
    const walked = await verifyChain(this.#db, known, ({ no }) => {
      this.#through = no;
    });
    if (known === undefined) this.#wholeAtMs = nowMs;
    this.#walked = walked;
    return walked;
  }
}

function entryOf({
  no,
  at,
  who,
  role,
  act,
  site,
  box,
  incident,
  more,
  previous,
  hash,
}: AuditRow): AuditEntry {
  return { no, at, who, role, act, site, box, incident, more: { ...objectIn(more) }, previous, hash };
}
