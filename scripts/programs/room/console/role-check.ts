/**
 * Reads the roles of people again while their sessions last: by the refresh token that the identity provider gave with the
 * login (RFC 6749, 6). Whose role is another one, or whose account is gone, is logged out.
 *
 * INVARIANTS: the database holds the token sealed by a key that is made of the session's cookie, which the browser alone
 * keeps: whoever reads the table has no token. Of several consoles one asks for a session at a time. A provider that does
 * not answer ends nobody's session; it is told once, and asked again.
 * LIMITS: a session is read again EACH_MS after the last time; keys of KEYS_MAX sessions are in memory, the oldest goes.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import type { Account } from './handler.ts';
import { LoginRefused, type Oidc, type Renewal } from './oidc.ts';
import type { Sessions } from './sessions.ts';

/** Within ten minutes, with a look that is late and a provider that was away once. */
const EACH_MS = 5 * 60_000;
const LOOK_EVERY_MS = 10_000;

/** As many as there are sessions. */
const KEYS_MAX = 1000;

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface RoleCheckOptions {
  readonly oidc: Oidc;
  readonly sessions: Sessions;
  readonly nowMs: () => number;
  /** One line for a person. */
  readonly onNotice: (line: string) => void;
}

export class RoleCheck {
  readonly counters = { read: 0, ended: 0, away: 0 };
  readonly #options: RoleCheckOptions;
  /** By session. */
  readonly #keys = new Map<string, Buffer>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #isAway = false;

  constructor(options: RoleCheckOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.look(), LOOK_EVERY_MS);
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  /** A browser has shown the cookie of this session. */
  know(session: string, cookie: string): void {
    const key = this.#keys.get(session) ?? keyOf(cookie);
    this.#keys.delete(session);
    this.#keys.set(session, key);
    const [oldest] = this.#keys.keys();
    if (this.#keys.size > KEYS_MAX && oldest !== undefined) this.#keys.delete(oldest);
  }

  /** Reads again what is due. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { sessions, nowMs, onNotice } = this.#options;
    try {
      const due = await sessions.due(nowMs() - EACH_MS);
      for (const { id, who, checked, renewal } of due) {
        const key = this.#keys.get(id);
        if (key === undefined || !(await sessions.take(id, checked, nowMs()))) continue;
        await this.#read(id, who, key, renewal);
      }
    } catch (error) {
      // The database; the pump tells of it. What was not read is due again.
      onNotice(`console: roles were not read again: ${messageOf(error)}`);
    }
  }

  async #read(id: string, who: Account, key: Buffer, sealed: string): Promise<void> {
    const { oidc, sessions, nowMs, onNotice } = this.#options;
    const renewal = opened(key, sealed);
    if (renewal === undefined) return this.#end(id, who, 'its token cannot be read');
    try {
      const now = await oidc.again(renewal);
      const { name, role } = now.who;
      this.counters.read += 1;
      this.#isAway = false;
      if (name !== who.name) return await this.#end(id, who, 'the account has another name now');
      if (role !== who.role) return await this.#end(id, who, `the role is ${role} now`);
      await sessions.renew(id, seal(key, now.renewal), nowMs());
    } catch (error) {
      if (error instanceof LoginRefused) return this.#end(id, who, error.message);
      if (!(error instanceof AgentError)) throw error;
      this.counters.away += 1;
      if (!this.#isAway) onNotice(`console: ${error.message}; roles are as they were, and asked for again`);
      this.#isAway = true;
    }
  }

  async #end(id: string, who: Account, why: string): Promise<void> {
    this.counters.ended += 1;
    this.#keys.delete(id);
    await this.#options.sessions.endFor(id, who, why, this.#options.nowMs());
  }
}

/** For the database, by the cookie of the session that begins. */
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

function opened(key: Buffer, sealed: string): Renewal | undefined {
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
    // Not what was sealed by this key.
    if (error instanceof Error) return undefined;
    throw error;
  }
}
