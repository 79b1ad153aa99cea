/**
 * Stores the phones that are paired with this box. They stay paired across a restart of the page and of the box. Power
 * may fail during an installation, when the label's code is already used.
 *
 * INVARIANTS:
 * - Only the hash of a token is stored: no file and no copy of one admits anyone.
 * - The journal names a session by a random id that is independent of the token.
 * - A session's time is the page's running time by the monotonic clock; the wall clock neither lengthens nor ends it.
 * - The disk never holds more time than is left. A power cut may cost KEEP_EVERY_MS of it and adds none.
 * - An unreadable file means no session, and is logged once.
 * LIMITS: SESSIONS_MAX; a further one replaces the oldest, because its user was given a valid code. Written at changes
 * and every KEEP_EVERY_MS. If the disk refuses, this is logged once, and each later write retries.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { writeAtomically } from '../../base/atomic-file.ts';
import type { Clock } from '../../base/clock.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { readJson } from './state-file.ts';

const SESSIONS_FILE = 'sessions.json';
/** The technician's phone and a second one. */
const SESSIONS_MAX = 2;
/** A working day. */
const SESSION_MS = 8 * 3_600_000;
const KEEP_EVERY_MS = 60_000;
/** OWASP, Session Management Cheat Sheet: 64 bits at least. */
const TOKEN_BYTES = 32;
/** `__Host-`: no other host and no other path can set it, and only over TLS (RFC 6265bis, 4.1.3.2). */
const COOKIE = '__Host-vigie';
const TOKEN = /(?:^|;\s*)__Host-vigie=([A-Za-z0-9_-]{43})(?:;|$)/;
/**
 * The phone keeps the cookie over a weekend without power, which does not count as session time. The box decides
 * whether it is still valid.
 */
const COOKIE_S = 3 * 86_400;

const strict = { additionalProperties: false } as const;
const StoredSessions = Type.Object(
  {
    version: Type.Literal(1),
    /** Oldest first. */
    sessions: Type.Array(
      Type.Object(
        {
          /** Hash of the token. */
          sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
          id: Type.String({ pattern: '^[0-9a-f]{16}$' }),
          leftS: Type.Number({ minimum: 0, maximum: SESSION_MS / 1000 }),
        },
        strict,
      ),
      { maxItems: SESSIONS_MAX },
    ),
  },
  strict,
);

export interface Session {
  /** Id for the journal: 16 hexadecimal digits. */
  readonly id: string;
  /** End by the monotonic clock. */
  readonly untilMs: number;
}

export interface SessionsOptions {
  readonly stateDir: string;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: Logger;
  onEnded(session: Session): void;
}

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #file: string;
  /** Sessions by the token's hash, oldest first. */
  readonly #sessions = new Map<string, Session>();
  #keptAtMs: number;
  #started = false;
  /** True if the disk has refused the present sessions. */
  #isUnsaved = false;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#file = join(options.stateDir, SESSIONS_FILE);
    this.#keptAtMs = options.clock.nowMs();
  }

  /** Restores the stored sessions. Never throws, whatever the disk does. */
  start(): void {
    const { clock, log } = this.#options;
    this.#started = true;
    try {
      if (!existsSync(this.#file)) return;
      const { sessions }: Static<typeof StoredSessions> = readJson(this.#file, StoredSessions);
      for (const { sha256, id, leftS } of sessions) {
        if (leftS > 0) this.#sessions.set(sha256, { id, untilMs: clock.nowMs() + leftS * 1000 });
      }
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind !== 'corrupt') throw error;
      log.error({ reason: error.message }, 'phones that were paired must be paired again');
    }
    // Time from now on is deducted on disk before it is used; a damaged file is replaced.
    this.#keep();
  }

  /** Idempotent. */
  stop(): void {
    if (!this.#started) return;
    this.prune();
    this.#keep(0);
    this.#started = false;
  }

  /** `cookie` is the value of Set-Cookie. */
  open(): { readonly session: Session; readonly cookie: string } {
    this.prune();
    const oldest = [...this.#sessions.keys()][0];
    if (oldest !== undefined && this.#sessions.size >= SESSIONS_MAX) this.#end(oldest);
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    const untilMs = this.#options.clock.nowMs() + SESSION_MS;
    const session = { id: randomBytes(8).toString('hex'), untilMs };
    this.#sessions.set(hashOf(token), session);
    this.#keep();
    return { session, cookie: cookieOf(token, COOKIE_S) };
  }

  /** Returns the session of a request, by its Cookie header. */
  find(cookie: string | undefined): Session | undefined {
    this.prune();
    const token = TOKEN.exec(cookie ?? '')?.[1];
    return token === undefined ? undefined : this.#sessions.get(hashOf(token));
  }

  /** Returns the value of Set-Cookie that makes the phone drop its cookie. */
  close(session: Session): string {
    for (const [hash, entry] of this.#sessions) if (entry === session) this.#end(hash);
    this.#keep();
    return cookieOf('', 0);
  }

  leftS({ untilMs }: Session): number {
    return Math.max(0, Math.round((untilMs - this.#options.clock.nowMs()) / 1000));
  }

  /** Ends expired sessions, and stores the remaining time of the others. Must be called often. */
  prune(): void {
    const nowMs = this.#options.clock.nowMs();
    const before = this.#sessions.size;
    for (const [hash, { untilMs }] of this.#sessions) if (nowMs >= untilMs) this.#end(hash);
    const isDue = nowMs - this.#keptAtMs >= KEEP_EVERY_MS && (this.#sessions.size > 0 || this.#isUnsaved);
    if (isDue || this.#sessions.size < before) this.#keep();
  }

  #end(hash: string): void {
    const session = this.#sessions.get(hash);
    this.#sessions.delete(hash);
    if (session !== undefined) this.#options.onEnded(session);
  }

  /** Stores the sessions as they will be after `aheadMs`: by then they are written again, or power was cut. */
  #keep(aheadMs = KEEP_EVERY_MS): void {
    const { clock, log } = this.#options;
    const nowMs = clock.nowMs();
    this.#keptAtMs = nowMs;
    const sessions = [...this.#sessions].map(([sha256, { id, untilMs }]) => {
      return { sha256, id, leftS: Math.max(0, untilMs - nowMs - aheadMs) / 1000 };
    });
    try {
      writeAtomically(
        this.#file,
        JSON.stringify({ version: 1, sessions } satisfies Static<typeof StoredSessions>),
      );
      this.#isUnsaved = false;
    } catch (error) {
      const reason = `${this.#file} cannot be written: ${messageOf(error)}`;
      if (!this.#isUnsaved) log.error({ reason }, 'a restart will not know which phones are paired now');
      this.#isUnsaved = true;
    }
  }
}

/** Sessions are found by hash, so the duration of a guess reveals nothing about existing tokens. */
function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

function cookieOf(value: string, maxAgeS: number): string {
  return `${COOKIE}=${value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=${maxAgeS}`;
}
