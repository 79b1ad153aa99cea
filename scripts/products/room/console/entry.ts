/**
 * Handles login and logout: cookies, the OIDC flow, and the accounts of a demonstration.
 *
 * Demonstration accounts are open only to a browser that opened the printed link, because other users of the machine
 * can reach the port too.
 *
 * The session cookie is SameSite=Strict. A browser does not send it when it returns from the identity provider, nor on
 * a redirect from there. The flow therefore ends on a small page of the console, which then loads `/`.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { addressKey } from '../../../../agent/base/address-key.ts';
import { AgentError } from '../../../../agent/base/errors.ts';
import { type BucketLimits, TokenBuckets } from '../../../../agent/base/token-bucket.ts';
import { html } from '../../../lib/html.ts';
import type { Login, Session as SessionView } from '../contract/session.ts';
import { BACK_PATH, ENTER_PATH } from '../contract/terms.ts';
import { iso, type Queries } from '../database/sql.ts';
import { programOf } from './guard.ts';
import { type Account, CallError, TooOftenError } from './handler.ts';
import { LoginRefused, Oidc } from './oidc.ts';
import { RoleCheck, sealedBy } from './role-check.ts';
import type { Caller } from './routes.ts';
import { LONGEST_MS, peopleOf, type Session, type Sessions } from './sessions.ts';
import type { Settings } from './settings.ts';

/** Login rate per address: a whole shift behind one proxy at once, then one login in two seconds. */
const TRIES: BucketLimits = { burst: 30, perS: 0.5 };

/** Time limit of an OIDC login in s. A person may have to find their second factor. */
const FLOW_S = 600;

/** Cookie of the session (''), of the OIDC flow, or of a demonstration's link. */
type Part = '' | 'flow' | 'demo';

export interface EntryOptions {
  readonly settings: Settings;
  readonly db: Queries;
  readonly sessions: Sessions;
  /** Sends cookies over TLS only. */
  readonly isSecure: boolean;
  /** Origin before BACK_PATH, also if the settings name none. */
  readonly origin: () => string;
  readonly timeZone: string;
  readonly nowMs: () => number;
  readonly onNotice: (line: string) => void;
}

export class Entry {
  readonly tries = new TokenBuckets(TRIES);
  readonly #options: EntryOptions;
  readonly #oidc: Oidc | undefined;
  /** Present if an identity provider is configured. */
  readonly roleCheck: RoleCheck | undefined;

  constructor(options: EntryOptions) {
    this.#options = options;
    const { settings, sessions, nowMs, onNotice } = options;
    this.#oidc = settings.oidc === undefined ? undefined : new Oidc(settings.oidc);
    this.roleCheck =
      this.#oidc === undefined ? undefined : new RoleCheck({ oidc: this.#oidc, sessions, nowMs, onNotice });
  }

  /** Registers the two pages of the OIDC flow. */
  register(app: FastifyInstance): void {
    app.get(ENTER_PATH, async (request, reply) => {
      this.#limit(request);
      if (this.#oidc === undefined) return this.#byLink(request, reply);
      try {
        const { url, flow } = await this.#oidc.begin(`${this.#options.origin()}${BACK_PATH}`);
        // Lax: the cookie is needed when the provider sends the browser back.
        this.#set(reply, 'flow', flow, 'lax', FLOW_S);
        return reply.redirect(url.href, 303);
      } catch (error) {
        return refusePage(reply, error);
      }
    });
    app.get(BACK_PATH, async (request, reply) => {
      this.#limit(request);
      if (this.#oidc === undefined) return reply.redirect('/', 303);
      const flow = request.cookies[this.#name('flow')];
      this.#clear(reply, 'flow', 'lax');
      const { sessions, nowMs } = this.#options;
      try {
        const { account, renewal } = await this.#oidc.finish(
          new URL(`${this.#options.origin()}${request.url}`),
          flow,
        );
        await this.#begin(reply, account, {
          method: 'oidc',
          ...(renewal !== undefined && { renewal: (cookie: string) => sealedBy(cookie, renewal) }),
        });
        return reply.type('text/html; charset=utf-8').send(page('', html`<p><a href="/">…</a></p>`));
      } catch (error) {
        if (error instanceof LoginRefused)
          await sessions.recordRefusal(
            { name: error.account, address: request.ip, reason: error.message },
            nowMs(),
          );
        return refusePage(reply, error);
      }
    });
  }

  /**
   * Returns the caller of a request, or undefined without a valid session.
   * @throws {CallError} 401 for an unknown token
   */
  async callerOf(request: FastifyRequest, isUse: boolean): Promise<Caller | undefined> {
    const { settings, sessions, nowMs } = this.#options;
    const program = programOf(request.headers.authorization, settings.tokens);
    if (program === 'unknown') {
      this.#limit(request);
      await sessions.recordRefusal(
        { name: '', address: request.ip, reason: 'a token that is not in the settings' },
        nowMs(),
      );
      throw new CallError(401, 'Authorization: the settings have no such token');
    }
    if (program !== undefined) return { account: program, session: undefined };
    const cookie = request.cookies[this.#name('')];
    const session = await sessions.find(cookie, nowMs(), isUse);
    if (session === undefined || cookie === undefined) return undefined;
    if (session.method === 'oidc') this.roleCheck?.know(session.id, cookie);
    const reason = this.#isOver(session);
    if (reason === undefined) return { account: session.account, session };
    await sessions.endFor(session.id, session.account, reason, nowMs());
    return undefined;
  }

  /**
   * Checks a session against the current settings, which may have changed since the login. Returns the reason if it is
   * over.
   */
  #isOver({ method, account: current }: Session): string | undefined {
    const { accounts } = this.#options.settings;
    const isOidc = accounts === undefined;
    if ((method === 'oidc') !== isOidc) return 'the settings have another way in now';
    if (isOidc) return undefined;
    const account = accounts.find(({ name }) => name === current.name);
    if (account === undefined) return 'the settings have no such account any more';
    return account.role === current.role ? undefined : `the role is ${account.role} now`;
  }

  /** Returns the login method. The accounts of a demonstration are shown only to a browser that opened its link. */
  login(request: FastifyRequest): Login {
    const { accounts } = this.#options.settings;
    const visibleAccounts = this.#hasLink(request.cookies[this.#name('demo')]) ? accounts : undefined;
    return { method: accounts === undefined ? 'oidc' : 'local', accounts: [...(visibleAccounts ?? [])] };
  }

  async enter(request: FastifyRequest, reply: FastifyReply, name: string): Promise<SessionView> {
    this.#limit(request);
    const { settings, sessions, nowMs } = this.#options;
    if (settings.accounts !== undefined && !this.#hasLink(request.cookies[this.#name('demo')])) {
      await sessions.recordRefusal(
        { name, address: request.ip, reason: 'not by the link of the demonstration' },
        nowMs(),
      );
      throw new CallError(403, 'a demonstration is entered by the link that it has printed: open that first');
    }
    const account = settings.accounts?.find((one) => one.name === name);
    if (account === undefined) {
      const reason =
        settings.accounts === undefined ? 'accounts are the identity provider’s' : 'no such account';
      await sessions.recordRefusal({ name, address: request.ip, reason }, nowMs());
      throw new CallError(403, `name: ${reason}; GET /api/login lists the login methods`);
    }
    const session = await this.#begin(reply, { ...account, isProgram: false }, { method: 'local' });
    return this.view({ account: session.account, session });
  }

  async view({ account, session }: Caller): Promise<SessionView> {
    const { settings, db, timeZone, nowMs } = this.#options;
    const { plan, signer, accounts } = settings;
    const people = account.role === 'supervisor' ? await peopleOf(db, accounts ?? [], nowMs()) : [];
    return {
      user: account.name,
      role: account.role,
      timeZone,
      people,
      // A token does not expire; each call returns a later time.
      ends: session?.ends ?? iso(nowMs() + LONGEST_MS),
      now: iso(nowMs()),
      signer: signer !== undefined,
      plan: plan !== undefined,
      demo: accounts !== undefined,
    };
  }

  async leave(reply: FastifyReply, { session }: Caller): Promise<Record<string, never>> {
    const { sessions, nowMs } = this.#options;
    if (session !== undefined) await sessions.end(session, nowMs());
    this.#clear(reply, '', 'strict');
    return {};
  }

  /** Handles the link of a demonstration: moves its token into a cookie, so that no URL contains it any longer. */
  async #byLink(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { token } = request.query as { readonly token?: unknown };
    if (token === undefined) return reply.redirect('/', 303);
    if (this.#options.settings.accounts === undefined || !this.#hasLink(token)) {
      await this.#options.sessions.recordRefusal(
        { name: '', address: request.ip, reason: 'a link that is not of this demonstration' },
        this.#options.nowMs(),
      );
      return refusePage(
        reply,
        new LoginRefused('This link is not of this demonstration: open the one that it printed.'),
      );
    }
    this.#set(reply, 'demo', String(token), 'strict', LONGEST_MS / 1000);
    return reply.type('text/html; charset=utf-8').send(page('', html`<p><a href="/">…</a></p>`));
  }

  /** Compares in constant time. */
  #hasLink(token: unknown): boolean {
    const { entryToken } = this.#options.settings;
    if (entryToken === undefined) return true;
    const [givenHash, own] = [String(token), entryToken].map((text) =>
      createHash('sha256').update(text).digest(),
    );
    return givenHash !== undefined && own !== undefined && timingSafeEqual(givenHash, own);
  }

  async #begin(reply: FastifyReply, account: Account, entry: Parameters<Sessions['begin']>[1]) {
    const { sessions, nowMs } = this.#options;
    const { cookie, session } = await sessions.begin(account, entry, nowMs());
    if (entry.method === 'oidc') this.roleCheck?.know(session.id, cookie);
    this.#set(reply, '', cookie, 'strict', LONGEST_MS / 1000);
    return session;
  }

  #limit({ ip }: FastifyRequest): void {
    const waitS = this.tries.take(addressKey(ip));
    if (waitS > 0)
      throw new TooOftenError(`too many attempts to enter; again in ${Math.ceil(waitS)} s`, waitS);
  }

  /** `__Host-` (RFC 6265bis): browsers accept such a cookie only over TLS and from this host itself. */
  #name(part: Part): string {
    const name = part === '' ? 'vigie' : `vigie-${part}`;
    return this.#options.isSecure ? `__Host-${name}` : name;
  }

  #set(reply: FastifyReply, part: Part, value: string, sameSite: 'lax' | 'strict', maxAge: number): void {
    const { isSecure } = this.#options;
    reply.setCookie(this.#name(part), value, {
      path: '/',
      httpOnly: true,
      secure: isSecure,
      sameSite,
      maxAge,
    });
  }

  #clear(reply: FastifyReply, part: Part, sameSite: 'lax' | 'strict'): void {
    this.#set(reply, part, '', sameSite, 0);
  }
}

/** Renders a page. Without a line to read it redirects to `/`. */
function page(line: string, content: ReturnType<typeof html>): string {
  const move = line === '' ? html`<meta http-equiv="refresh" content="0;url=/">` : html``;
  return html`<!doctype html><html lang="en"><meta charset="utf-8">${move}<title>Vigie</title><body>${content}`
    .text;
}

function refusePage(reply: FastifyReply, error: unknown): FastifyReply {
  const isUnavailable = error instanceof AgentError && error.kind === 'unavailable';
  if (!(error instanceof LoginRefused) && !isUnavailable) throw error;
  const line = error.message;
  return reply
    .code(isUnavailable ? 503 : 403)
    .type('text/html; charset=utf-8')
    .send(page(line, html`<p>${line}</p><p><a href="/">Vigie</a></p>`));
}
