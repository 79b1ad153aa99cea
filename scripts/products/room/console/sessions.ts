/**
 * Manages sessions as rows of `session`, so that several consoles on one database share them.
 *
 * INVARIANTS:
 * - The database holds the SHA-256 of a cookie, never the cookie.
 * - A session ends IDLE_MS after its last use, and at most LONGEST_MS after its start (UNREAD_MS if the role cannot be
 *   checked again). It ends at once when its owner logs out, a supervisor ends it, or the account's role changes.
 * - Logins, logouts and refusals are recorded in the audit log in the same transaction. Refusals beyond REFUSALS are
 *   only counted, and the next recorded one states their number.
 * LIMITS: SESSIONS_MAX at once, SESSIONS_OF_ONE_MAX of one account (its oldest ends).
 */
import { randomBytes } from 'node:crypto';
import { addressKey } from '../../../../agent/base/address-key.ts';
import { printable } from '../../../../agent/base/printable.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { type BucketLimits, TokenBuckets } from '../../../../agent/base/token-bucket.ts';
import type { Role } from '../contract/roles.ts';
import type { Present } from '../contract/session.ts';
import { record } from '../database/audit.ts';
import { iso, type Queries, type Sql } from '../database/sql.ts';
import { type Account, CallError } from './handler.ts';
import { actorOf } from './rows.ts';

/** NIST SP 800-63B, 4.2.3 (AAL 2): at most 30 minutes without use and 12 hours in total. */
const IDLE_MS = 30 * 60_000;
export const LONGEST_MS = 12 * 3_600_000;

/**
 * Maximum duration of a session without a refresh token, in ms: the role cannot be checked again, so a new login is
 * needed after an hour.
 */
const UNREAD_MS = 3_600_000;

/** Minimum age of the stored time of use before it is updated, in ms: a screen sends several requests a second. */
const USED_EVERY_MS = 60_000;

/** Enough for ten operators and their programs. */
const SESSIONS_MAX = 1000;
const SESSIONS_OF_ONE_MAX = 16;

/**
 * Refused logins of an address that are recorded: a burst, then one in ten seconds. Otherwise an unauthorised client could fill the
 * audit log.
 */
const REFUSALS: BucketLimits = { burst: 30, perS: 0.1 };

/** 256 bits cannot be guessed. */
const COOKIE_BYTES = 32;
const COOKIE = /^[A-Za-z0-9_-]{43}$/;

/** Maximum length of a typed name in the audit log. */
const NAME_CHARS_MAX = 64;

export type Method = 'oidc' | 'local';

/** Method of a login. */
interface Entry {
  readonly method: Method;
  /** Returns the data for later role checks, encrypted with the cookie. */
  readonly renewal?: (cookie: string) => string;
}

/** A session whose role must be checked again. */
export interface DueSession {
  readonly id: string;
  readonly account: Account;
  readonly checked: string;
  readonly renewal: string;
}

export interface Session {
  /** SHA-256 of the cookie, hex. */
  readonly id: string;
  readonly account: Account;
  readonly method: Method;
  /** ISO 8601. */
  readonly ends: string;
}

interface SessionRow {
  readonly id: string;
  readonly account: string;
  readonly role: Role;
  readonly method: Method;
  readonly last_used_at: string;
  readonly ends: string;
}

/** A refused login. */
interface Refusal {
  /** Typed, or of the identity provider. */
  readonly name: string;
  readonly address: string;
  /** Text of the console. */
  readonly reason: string;
}

export class Sessions {
  readonly counters = { entered: 0, refusals: 0, unrecorded: 0, full: 0 };
  readonly #db: Sql;
  readonly #onEnd: (ids: readonly string[]) => void;
  readonly #refusals = new TokenBuckets(REFUSALS);
  /** Refusals that were not recorded since the last recorded one. */
  #unrecordedCount = 0;

  /** `onEnd` receives the sessions that end here. */
  constructor(db: Sql, onEnd: (ids: readonly string[]) => void) {
    this.#db = db;
    this.#onEnd = onEnd;
  }

  /**
   * Creates a session and its cookie.
   * @throws {CallError} 503 if SESSIONS_MAX are open
   */
  async begin(
    account: Account,
    { method, renewal }: Entry,
    nowMs: number,
  ): Promise<{ cookie: string; session: Session }> {
    const cookie = randomBytes(COOKIE_BYTES).toString('base64url');
    const isRead = method === 'local' || renewal !== undefined;
    const ends = iso(nowMs + (isRead ? LONGEST_MS : UNREAD_MS));
    const session = { id: sha256Of(cookie), account, method, ends };
    const endedIds = await this.#db.transaction(async (transaction) => {
      await transaction.run('DELETE FROM session WHERE ends <= $1 OR last_used_at <= $2', [
        iso(nowMs),
        iso(nowMs - IDLE_MS),
      ]);
      const ids = await makeRoom(transaction, account.name);
      if (ids === undefined) return undefined;
      await transaction.run(
        `INSERT INTO session (id, account, role, method, started_at, last_used_at, checked_at, ends, renewal)
         VALUES ($1, $2, $3, $4, $5, $5, $5, $6, $7)`,
        [session.id, account.name, account.role, method, iso(nowMs), ends, renewal?.(cookie) ?? null],
      );
      const details = { method, ...(ids.length > 0 && { endedCount: ids.length }) };
      await record(
        transaction,
        { account: account.name, role: account.role, act: 'login', more: details },
        nowMs,
      );
      return ids;
    });
    if (endedIds === undefined) {
      this.counters.full += 1;
      throw new CallError(503, `${SESSIONS_MAX} sessions are open, which is the most: one of them must end`);
    }
    this.counters.entered += 1;
    if (endedIds.length > 0) this.#onEnd(endedIds);
    return { cookie, session };
  }

  /** Finds the open session of a cookie. `isUse` prolongs it by IDLE_MS. */
  async find(cookie: string | undefined, nowMs: number, isUse: boolean): Promise<Session | undefined> {
    if (cookie === undefined || !COOKIE.test(cookie)) return undefined;
    const [row] = await this.#db.all<SessionRow>(
      'SELECT id, account, role, method, last_used_at, ends FROM session WHERE id = $1',
      [sha256Of(cookie)],
    );
    if (row === undefined || !isOpen(row, nowMs)) return undefined;
    if (isUse && Date.parse(row.last_used_at) <= nowMs - USED_EVERY_MS) {
      await this.#db.run('UPDATE session SET last_used_at = $2 WHERE id = $1', [row.id, iso(nowMs)]);
    }
    return { id: row.id, account: accountOf(row), method: row.method, ends: row.ends };
  }

  async end({ id, account }: Session, nowMs: number): Promise<void> {
    await this.#db.transaction(async (transaction) => {
      const deletedCount = await transaction.run('DELETE FROM session WHERE id = $1', [id]);
      if (deletedCount > 0)
        await record(transaction, { account: account.name, role: account.role, act: 'logout' }, nowMs);
    });
    this.#onEnd([id]);
  }

  /** Ends a session on behalf of the room. `reason` is for the audit log. */
  async endFor(id: string, { name, role }: Account, reason: string, nowMs: number): Promise<void> {
    await this.#db.transaction(async (transaction) => {
      const deletedCount = await transaction.run('DELETE FROM session WHERE id = $1', [id]);
      const details = { user: name, role, reason: printable(reason) };
      if (deletedCount > 0)
        await record(
          transaction,
          { account: 'room', role: 'room', act: 'session-ended', more: details },
          nowMs,
        );
    });
    this.#onEnd([id]);
  }

  /** Ends all sessions of an account for a supervisor. Returns their number. */
  async endAll(user: string, by: Account, nowMs: number): Promise<number> {
    const ids = await this.#db.transaction(async (transaction) => {
      const deletedRows = await transaction.all<{ id: string }>(
        'DELETE FROM session WHERE account = $1 RETURNING id',
        [user],
      );
      const details = { user: printable(user, NAME_CHARS_MAX), endedCount: deletedRows.length };
      if (deletedRows.length > 0)
        await record(transaction, { ...actorOf(by), act: 'end-sessions', more: details }, nowMs);
      return deletedRows.map(({ id }) => id);
    });
    this.#onEnd(ids);
    return ids.length;
  }

  /** Lists the logged-in people by account. */
  async present(nowMs: number): Promise<Present['people']> {
    const rows = await this.#db.all<Omit<Present['people'][number], 'user'> & { readonly account: string }>(
      `SELECT account, role, count(*) AS sessions, min(started_at) AS "startedAt",
         max(last_used_at) AS "lastUsedAt" FROM session
       WHERE ends > $1 AND last_used_at > $2 GROUP BY account, role ORDER BY account, role`,
      [iso(nowMs), iso(nowMs - IDLE_MS)],
    );
    return rows.map(({ account: user, ...row }) => ({ user, ...row }));
  }

  /** Returns the sessions whose last role check is older than the given time. */
  async due(beforeMs: number): Promise<DueSession[]> {
    const rows = await this.#db.all<SessionRow & { readonly checked_at: string; readonly renewal: string }>(
      `SELECT id, account, role, method, last_used_at, ends, checked_at, renewal FROM session
       WHERE renewal IS NOT NULL AND checked_at <= $1 ORDER BY checked_at`,
      [iso(beforeMs)],
    );
    return rows.map((row) => ({
      id: row.id,
      account: accountOf(row),
      checked: row.checked_at,
      renewal: row.renewal,
    }));
  }

  /** Reserves a role check. Returns true if this console, and no other, performs it now. */
  async take(id: string, checked: string, nowMs: number): Promise<boolean> {
    const sql = 'UPDATE session SET checked_at = $3 WHERE id = $1 AND checked_at = $2';
    return (await this.#db.run(sql, [id, checked, iso(nowMs)])) > 0;
  }

  /** Stores the result of a check that left the role unchanged. */
  async renew(id: string, renewal: string, nowMs: number): Promise<void> {
    const sql = 'UPDATE session SET renewal = $2, checked_at = $3 WHERE id = $1';
    await this.#db.run(sql, [id, renewal, iso(nowMs)]);
  }

  /**
   * Returns those of the given sessions that are still open. Another console or a time limit may have ended the others.
   */
  async stillOpen(ids: readonly string[], nowMs: number): Promise<Set<string>> {
    if (ids.length === 0) return new Set();
    const rows = await this.#db.all<SessionRow>(
      `SELECT id, account, role, method, last_used_at, ends FROM session
       WHERE id IN (${ids.map((_, at) => `$${at + 1}`).join(', ')})`,
      ids,
    );
    return new Set(rows.filter((row) => isOpen(row, nowMs)).map(({ id }) => id));
  }

  /** Records a refused login, unless its address has too many. */
  async recordRefusal({ name, address, reason }: Refusal, nowMs: number): Promise<void> {
    this.counters.refusals += 1;
    if (this.#refusals.take(addressKey(address)) > 0) {
      this.counters.unrecorded += 1;
      this.#unrecordedCount += 1;
      return;
    }
    const details = {
      name: printable(name, NAME_CHARS_MAX),
      reason: printable(reason),
      ...(this.#unrecordedCount > 0 && { unrecorded: this.#unrecordedCount }),
    };
    this.#unrecordedCount = 0;
    await this.#db.transaction((transaction) =>
      record(transaction, { account: 'room', role: 'room', act: 'login-refused', more: details }, nowMs),
    );
  }
}

/** Returns the names that can receive an incident: logged-in people and the accounts of a demonstration. */
export async function peopleOf(
  db: Queries,
  accounts: readonly Pick<Account, 'name' | 'role'>[],
  nowMs: number,
): Promise<string[]> {
  const rows = await db.all<{ account: string }>(
    `SELECT DISTINCT account FROM session
     WHERE role IN ('operator', 'supervisor') AND ends > $1 AND last_used_at > $2`,
    [iso(nowMs), iso(nowMs - IDLE_MS)],
  );
  const local = accounts.filter(({ role }) => role !== 'auditor').map(({ name }) => name);
  return [...new Set([...local, ...rows.map(({ account }) => account)])].sort();
}

function accountOf({ account, role }: Pick<SessionRow, 'account' | 'role'>): Account {
  return { name: account, role, isProgram: false };
}

function isOpen({ last_used_at, ends }: SessionRow, nowMs: number): boolean {
  return Date.parse(ends) > nowMs && Date.parse(last_used_at) > nowMs - IDLE_MS;
}

/**
 * Ends the oldest sessions of an account beyond its limit. Returns their ids, or undefined if SESSIONS_MAX is reached.
 */
async function makeRoom(transaction: Queries, name: string): Promise<string[] | undefined> {
  const own = await transaction.all<{ id: string }>(
    'SELECT id FROM session WHERE account = $1 ORDER BY started_at DESC, id',
    [name],
  );
  const ids = own.slice(SESSIONS_OF_ONE_MAX - 1).map(({ id }) => id);
  for (const id of ids) await transaction.run('DELETE FROM session WHERE id = $1', [id]);
  const [all] = await transaction.all<{ count: number }>('SELECT count(*) AS count FROM session');
  return (all?.count ?? 0) < SESSIONS_MAX ? ids : undefined;
}
