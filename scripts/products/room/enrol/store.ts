/**
 * Stores the room's knowledge of its boxes: site, tokens, waiting boxes, and every certificate issued.
 *
 * INVARIANTS:
 * - Tokens are stored as SHA-256 only.
 * - A token is used up in the transaction that issues and records its certificate. Only one key gets a certificate with
 *   it, and that key gets the same one again, because an answer may be lost.
 * - Committed data survives a power failure (WAL, synchronous=FULL).
 * - A box name is enrolled at one site at a time, because the broker identifies a box by name alone.
 * LIMITS:
 * - Undecided boxes are forgotten after TOKEN_DAYS.
 * - A box gets at most RENEWALS_A_DAY certificates a day by renewal.
 */
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync } from 'node:fs';
import Database from 'better-sqlite3';
import { AgentError } from '../../../../agent/base/errors.ts';
import type { Issued, Revoked } from './authority.ts';
import { type PendingRow, WaitingList } from './waiting-list.ts';

const DAY_MS = 86_400_000;
const TOKEN_DAYS = 14;
/** 192 bits, 32 characters. */
const TOKEN_BYTES = 24;
const RENEWALS_A_DAY = 10;
const BUSY_MS = 10_000;

const TABLES = `
CREATE TABLE IF NOT EXISTS token (
  sha256 TEXT PRIMARY KEY, site TEXT NOT NULL, box TEXT NOT NULL, created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL, key TEXT, serial TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS certificate (
  serial TEXT PRIMARY KEY, box TEXT NOT NULL, use TEXT NOT NULL, key TEXT NOT NULL, issued_at INTEGER NOT NULL,
  not_before INTEGER NOT NULL, not_after INTEGER NOT NULL, pem TEXT NOT NULL, revoked_at INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS certificate_box ON certificate (box);
CREATE TABLE IF NOT EXISTS box (
  box TEXT PRIMARY KEY, site TEXT NOT NULL, enrolled_at INTEGER NOT NULL, revoked_at INTEGER
) STRICT;
`;

/**
 * Purpose of a certificate: a box, its page, a server for boxes, or a program of the room, which has a separate
 * authority.
 */
export type Use = 'client' | 'server' | 'host' | 'program';

export interface BoxRow {
  readonly box: string;
  readonly site: string;
  readonly enrolled_at: number;
  readonly revoked_at: number | null;
}

export interface CertificateRow {
  readonly serial: string;
  readonly box: string;
  readonly use: Use;
  readonly key: string;
  readonly issued_at: number;
  readonly not_before: number;
  readonly not_after: number;
  readonly pem: string;
  readonly revoked_at: number | null;
}

export interface TokenRow {
  readonly sha256: string;
  readonly site: string;
  readonly box: string;
  readonly expires_at: number;
  readonly key: string | null;
  readonly serial: string | null;
}

export type Enrolled =
  | { readonly state: 'issued'; readonly pem: string }
  | { readonly state: 'pending' }
  | { readonly state: 'full' }
  | Refusal;

export interface Refusal {
  readonly state: 'refused' | 'busy';
  /** Text of the room. */
  readonly reason: string;
}

export interface Asking {
  readonly box: string;
  readonly key: string;
  readonly nowMs: number;
  /** Signs the request. An exception rolls back the transaction. */
  issue(): Issued;
}

export class EnrolStore {
  readonly waiting: WaitingList;
  readonly #db: Database.Database;

  /** @throws AgentError `config` where the file cannot be opened */
  constructor(file: string) {
    try {
      this.#db = new Database(file, { timeout: BUSY_MS });
      chmodSync(file, 0o600);
      this.#db.pragma('journal_mode = WAL');
      this.#db.pragma('synchronous = FULL');
      this.#db.exec(TABLES + WaitingList.TABLE);
      this.waiting = new WaitingList(this.#db);
    } catch (error) {
      throw new AgentError('config', `${file}: cannot be opened as the store of enrolments`, error);
    }
  }

  close(): void {
    this.#db.close();
  }

  /** Runs `work` while no other program changes the store. */
  alone<T>(work: () => T): T {
    return this.#transaction(work);
  }

  /**
   * Creates a token; an unused one of the same box becomes invalid.
   * @throws {AgentError} `config` if the box is enrolled at another site
   */
  makeToken(site: string, box: string, nowMs: number): { token: string; untilMs: number } {
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    const untilMs = nowMs + TOKEN_DAYS * DAY_MS;
    this.#transaction(() => {
      this.#assertFree(site, box);
      this.#db.prepare('DELETE FROM token WHERE box = ? AND key IS NULL').run(box);
      this.#db
        .prepare('INSERT INTO token (sha256, site, box, created_at, expires_at) VALUES (?, ?, ?, ?, ?)')
        .run(sha256(token), site, box, nowMs, untilMs);
    });
    return { token, untilMs };
  }

  byToken(token: string, asking: Asking): Enrolled {
    const { box, key, nowMs } = asking;
    return this.#transaction((): Enrolled => {
      // The query uses the hash, so its duration reveals nothing about a token.
      const hash = sha256(token);
      const row = this.#db.prepare('SELECT * FROM token WHERE sha256 = ?').get(hash) as TokenRow | undefined;
      if (row === undefined || row.box !== box) {
        return { state: 'refused', reason: 'the token is not one for this box' };
      }
      if (row.serial !== null) {
        const issuedPem = row.key === key ? this.#issuedPem(asking) : undefined;
        if (issuedPem !== undefined) return { state: 'issued', pem: issuedPem };
        return { state: 'refused', reason: 'the token has been used' };
      }
      if (nowMs > row.expires_at) {
        return { state: 'refused', reason: `the token ended on ${new Date(row.expires_at).toISOString()}` };
      }
      const conflict = this.#siteConflict(row.site, box);
      if (conflict !== undefined) return { state: 'refused', reason: conflict };
      const { pem, serial } = this.#record(asking, 'client');
      this.#enrol(row.site, asking);
      this.#db.prepare('UPDATE token SET key = ?, serial = ? WHERE sha256 = ?').run(key, serial, hash);
      this.waiting.remove(box, key);
      return { state: 'issued', pem };
    });
  }

  /** Handles a request without a token: the box waits until a person decides. */
  byHand(address: string, asking: Asking): Enrolled {
    const { box, key, nowMs } = asking;
    return this.#transaction((): Enrolled => {
      const issuedPem = this.#issuedPem(asking);
      if (issuedPem !== undefined) return { state: 'issued', pem: issuedPem };
      const row = this.waiting.find(box, key);
      if (row?.decision === 'refused') return { state: 'refused', reason: 'the room has refused this box' };
      if (row?.decision === 'accepted' && row.site !== null) {
        const conflict = this.#siteConflict(row.site, box);
        if (conflict !== undefined) return { state: 'refused', reason: conflict };
        const { pem } = this.#record(asking, 'client');
        this.#enrol(row.site, asking);
        this.waiting.remove(box, key);
        return { state: 'issued', pem };
      }
      if (row === undefined) this.waiting.forgetBefore(nowMs - TOKEN_DAYS * DAY_MS);
      return { state: this.waiting.note(address, asking) ? 'pending' : 'full' };
    });
  }

  /**
   * Enrols a box by order of the person who controls the authority's key.
   * @throws {AgentError} `config` if the box is enrolled at another site
   */
  byOperator(site: string, asking: Asking): string {
    return this.#transaction(() => {
      this.#assertFree(site, asking.box);
      const { pem } = this.#record(asking, 'client');
      this.#enrol(site, asking);
      return pem;
    });
  }

  /** Records a certificate of a server or a program of the room. */
  record(use: 'host' | 'program', asking: Asking): Issued {
    return this.#transaction(() => this.#record(asking, use));
  }

  /** Returns why a box renews nothing now by a certificate with this serial, before its request is read. */
  renewalRefusal(serial: string, box: string, nowMs: number): Refusal | undefined {
    const old = this.#db
      .prepare("SELECT * FROM certificate WHERE serial = ? AND use = 'client'")
      .get(serial) as CertificateRow | undefined;
    if (old === undefined)
      return { state: 'refused', reason: 'the certificate is not one that was given here' };
    if (old.revoked_at !== null) return { state: 'refused', reason: 'the certificate is revoked' };
    if (old.not_after < nowMs) return { state: 'refused', reason: 'the certificate has ended' };
    const today = this.#db
      .prepare('SELECT count(*) FROM certificate WHERE box = ? AND issued_at > ?')
      .pluck()
      .get(box, nowMs - DAY_MS) as number;
    if (today < RENEWALS_A_DAY) return undefined;
    return { state: 'busy', reason: 'this box has renewed too often today' };
  }

  /** Renews by a certificate with this serial, whose name the caller has compared. */
  byCertificate(serial: string, use: 'client' | 'server', asking: Asking): Enrolled {
    return this.#transaction((): Enrolled => {
      const refusal = this.renewalRefusal(serial, asking.box, asking.nowMs);
      if (refusal !== undefined) return refusal;
      return { state: 'issued', pem: this.#issuedPem(asking, use) ?? this.#record(asking, use).pem };
    });
  }

  /**
   * Accepts a waiting box at a site. `key` is the beginning of its SHA-256.
   * @throws {AgentError} `config` if the box is not waiting or the key is ambiguous
   */
  accept(site: string, box: string, key = ''): PendingRow {
    return this.#transaction(() => {
      this.#assertFree(site, box);
      return this.waiting.decide(box, key, { decision: 'accepted', site });
    });
  }

  /**
   * Refuses a waiting box, which frees its place on the list.
   * @throws {AgentError} `config` if the box is not waiting or the key is ambiguous
   */
  refuse(box: string, key = ''): PendingRow {
    return this.#transaction(() => this.waiting.decide(box, key, { decision: 'refused', site: null }));
  }

  /** Refuses all waiting boxes of an address. Returns their number. */
  refuseFrom(address: string): number {
    return this.#transaction(() => this.waiting.refuseFrom(address));
  }

  /** Revokes the certificates of a program, or the one with a serial. Returns their number. */
  revokeProgram(name: string, serial: string | undefined, nowMs: number): number {
    const rule = "box = ? AND serial = coalesce(?, serial) AND use = 'program' AND revoked_at IS NULL";
    return this.#transaction(
      () =>
        this.#db
          .prepare(`UPDATE certificate SET revoked_at = ? WHERE ${rule}`)
          .run(nowMs, name, serial ?? null).changes,
    );
  }

  /** Returns the names of the programs with a certificate that is not revoked. */
  programs(): string[] {
    return this.#db
      .prepare(
        "SELECT DISTINCT box FROM certificate WHERE use = 'program' AND revoked_at IS NULL ORDER BY box",
      )
      .pluck()
      .all() as string[];
  }

  /**
   * Revokes the certificates of a box and deletes its tokens and waiting requests. Returns the number of certificates.
   */
  revoke(box: string, nowMs: number): number {
    return this.#transaction(() => {
      this.#db.prepare('UPDATE box SET revoked_at = ? WHERE box = ? AND revoked_at IS NULL').run(nowMs, box);
      this.#db.prepare('DELETE FROM token WHERE box = ?').run(box);
      this.waiting.remove(box);
      return this.#db
        .prepare('UPDATE certificate SET revoked_at = ? WHERE box = ? AND revoked_at IS NULL')
        .run(nowMs, box).changes;
    });
  }

  /** Returns the certificates for the revocation list of an authority; expired ones are left out. */
  revoked(of: 'boxes' | 'programs', nowMs: number): Revoked[] {
    return this.certificates()
      .filter(({ use }) => (use === 'program') === (of === 'programs'))
      .filter((row) => row.revoked_at !== null && row.not_after > nowMs)
      .map(({ serial, not_after, revoked_at }) => ({
        serial,
        notAfterMs: not_after,
        revokedMs: revoked_at ?? 0,
      }));
  }

  certificates(): CertificateRow[] {
    return this.#db.prepare('SELECT * FROM certificate ORDER BY box, issued_at').all() as CertificateRow[];
  }

  /** Returns every box that was ever enrolled, by name. */
  boxes(): BoxRow[] {
    return this.#db.prepare('SELECT * FROM box ORDER BY box').all() as BoxRow[];
  }

  tokens(): TokenRow[] {
    return this.#db.prepare('SELECT * FROM token ORDER BY created_at').all() as TokenRow[];
  }

  /** Returns the reason why a box cannot be enrolled at a site: its name is enrolled at another one. */
  #siteConflict(site: string, box: string): string | undefined {
    const row = this.#db.prepare('SELECT * FROM box WHERE box = ? AND revoked_at IS NULL').get(box) as
      | BoxRow
      | undefined;
    if (row === undefined || row.site === site) return undefined;
    return `the name ${box} is enrolled at ${row.site}`;
  }

  #assertFree(site: string, box: string): void {
    const conflict = this.#siteConflict(site, box);
    if (conflict === undefined) return;
    throw new AgentError(
      'config',
      `${conflict}: revoke it first where the box moves, or give this box another name`,
    );
  }

  #enrol(site: string, { box, nowMs }: Asking): void {
    this.#db
      .prepare(
        `INSERT INTO box (box, site, enrolled_at) VALUES (@box, @site, @nowMs)
         ON CONFLICT (box) DO UPDATE SET site = @site, revoked_at = NULL,
           enrolled_at = CASE WHEN revoked_at IS NULL AND site = @site THEN enrolled_at ELSE @nowMs END`,
      )
      .run({ box, site, nowMs });
  }

  /** Returns the certificate that was already issued for this key, because its answer may have been lost. */
  #issuedPem({ box, key, nowMs }: Asking, use: Use = 'client'): string | undefined {
    return this.#db
      .prepare(
        'SELECT pem FROM certificate WHERE box = ? AND key = ? AND use = ? AND revoked_at IS NULL AND issued_at > ?',
      )
      .pluck()
      .get(box, key, use, nowMs - TOKEN_DAYS * DAY_MS) as string | undefined;
  }

  #record({ box, key, nowMs, issue }: Asking, use: Use): Issued {
    const issued = issue();
    const { serial, pem, notBeforeMs, notAfterMs } = issued;
    this.#db
      .prepare(
        `INSERT INTO certificate (serial, box, use, key, issued_at, not_before, not_after, pem)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(serial, box, use, key, nowMs, notBeforeMs, notAfterMs, pem);
    return issued;
  }

  /** IMMEDIATE takes the write lock before our reads, so no other program writes before we do. */
  #transaction<T>(work: () => T): T {
    return this.#db.transaction(work).immediate();
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
