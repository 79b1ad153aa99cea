/**
 * Checks the roles of logged-in people again during their sessions, with the refresh token of the login (RFC 6749, 6).
 * A person whose role changed or whose account no longer exists is logged out.
 *
 * INVARIANTS:
 * - The database holds the refresh token encrypted with a key derived from the session's cookie, which only the browser
 *   stores. A reader of the table obtains no token.
 * - Only one of several consoles checks a session at a time.
 * - An unresponsive provider ends no session; the outage is reported once and the check is repeated.
 * LIMITS: each session is checked EACH_MS after its last check. Memory holds the keys of KEYS_MAX sessions; the oldest
 * is dropped.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import type { Account } from './handler.ts';
import { LoginRefused, type Oidc, type Renewal } from './oidc.ts';
import type { Sessions } from './sessions.ts';

/**
 * Interval between checks in ms: a change takes effect within ten minutes, even if a check is late and the provider was
 * unavailable once.
 */
const EACH_MS = 5 * 60_000;
const CHECK_EVERY_MS = 10_000;

/** Equal to the maximum number of sessions. */
const KEYS_MAX = 1000;

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface RoleCheckOptions {
  readonly oidc: Oidc;
  readonly sessions: Sessions;
  readonly nowMs: () => number;
  /** Receives one line for a person. */
  readonly onNotice: (line: string) => void;
}

export class RoleCheck {
  readonly counters = { read: 0, endedSessions: 0, unavailable: 0 };
  readonly #options: RoleCheckOptions;
  /** Keys by session. */
  readonly #keys = new Map<string, Buffer>();
  #timer: NodeJS.Timeout | undefined;
  #checking: Promise<void> | undefined;
  #isUnavailable = false;

  constructor(options: RoleCheckOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.check(), CHECK_EVERY_MS);
  }

  /** Stops the checks. Idempotent. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#checking;
  }

  /** Stores the key of a session whose cookie a browser has sent. */
  know(session: string, cookie: string): void {
    const key = this.#keys.get(session) ?? keyOf(cookie);
    this.#keys.delete(session);
    this.#keys.set(session, key);
    const [oldest] = this.#keys.keys();
    if (this.#keys.size > KEYS_MAX && oldest !== undefined) this.#keys.delete(oldest);
  }

  /** Checks the sessions that are due. */
  check(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  async #check(): Promise<void> {
    const { sessions, nowMs, onNotice } = this.#options;
    try {
      const due = await sessions.due(nowMs() - EACH_MS);
      for (const { id, account, checked, renewal } of due) {
        const key = this.#keys.get(id);
        if (key === undefined || !(await sessions.take(id, checked, nowMs()))) continue;
        await this.#read(id, account, key, renewal);
      }
    } catch (error) {
      // A database error, which the pump reports. Unchecked sessions remain due.
      onNotice(`console: roles were not read again: ${messageOf(error)}`);
    }
  }

  async #read(id: string, account: Account, key: Buffer, sealed: string): Promise<void> {
    const { oidc, sessions, nowMs, onNotice } = this.#options;
    const renewal = decryptRenewal(key, sealed);
    if (renewal === undefined) return this.#end(id, account, 'its token cannot be read');
    try {
      const now = await oidc.renew(renewal);
      const { name, role } = now.account;
      this.counters.read += 1;
      this.#isUnavailable = false;
      if (name !== account.name) return await this.#end(id, account, 'the account has another name now');
      if (role !== account.role) return await this.#end(id, account, `the role is ${role} now`);
      await sessions.renew(id, seal(key, now.renewal), nowMs());
    } catch (error) {
      if (error instanceof LoginRefused) return this.#end(id, account, error.message);
      if (!(error instanceof AgentError)) throw error;
      this.counters.unavailable += 1;
      if (!this.#isUnavailable) onNotice(`console: ${error.message}; roles are unchanged; retrying`);
      this.#isUnavailable = true;
    }
  }

  async #end(id: string, account: Account, reason: string): Promise<void> {
    this.counters.endedSessions += 1;
    this.#keys.delete(id);
    await this.#options.sessions.endFor(id, account, reason, this.#options.nowMs());
  }
}

/** Encrypts the renewal for the database with the cookie of the new session. */
export const sealedBy = (cookie: string, renewal: Renewal): string => seal(keyOf(cookie), renewal);

function keyOf(cookie: string): Buffer {
  return Buffer.from(hkdfSync('sha256', cookie, '', 'vigie-room session renewal', 32));
}

function seal(key: Buffer, renewal: Renewal): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const text = Buffer.concat([cipher.update(JSON.stringify(renewal), 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64');
}

function decryptRenewal(key: Buffer, sealed: string): Renewal | undefined {
  const bytes = Buffer.from(sealed, 'base64');
  const [nonce, tag, text] = [
    bytes.subarray(0, NONCE_BYTES),
    bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES),
    bytes.subarray(NONCE_BYTES + TAG_BYTES),
  ];
  if (tag.length < TAG_BYTES) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(tag);
  try {
    const plain = Buffer.concat([decipher.update(text), decipher.final()]).toString();
    const { refreshToken, sub } = Object(jsonOf(plain)) as Partial<Renewal>;
    return refreshToken === undefined || sub === undefined ? undefined : { refreshToken, sub };
  } catch (error) {
    // The text was not encrypted with this key.
    if (error instanceof Error) return undefined;
    throw error;
  }
}
