/** People who log in to the room's console by a real identity provider, without a browser. */
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import Provider from 'oidc-provider';
import type { Test } from 'tap';
import type { Settings } from '../../scripts/products/room/console/settings.ts';
import type { Role } from '../../scripts/products/room/contract/roles.ts';
import type { Sql } from '../../scripts/products/room/database/sql.ts';
import { ask, fullConsole, type Reply, roomDatabase, startConsole, type TestConsole } from './console.ts';
import { DATABASES } from './databases.ts';

const SECRET = 'a-secret-of-the-client';
const ROLES: Readonly<Record<string, Role>> = {
  'room-supervisors': 'supervisor',
  'room-operators': 'operator',
};
export const GROUPS: Record<string, readonly string[]> = {
  ines: ['staff', 'room-operators'],
  marc: ['room-operators', 'room-supervisors'],
  stranger: ['staff'],
  room: ['room-operators'],
};

export async function listening(t: Test, port: number, serve: http.RequestListener): Promise<http.Server> {
  const server = http.createServer(serve);
  t.teardown(() => server.close().closeAllConnections());
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** Starts an unchanged oidc-provider without password entry: `person.name` is the person who logs in. */
export async function provider(t: Test, port: number, callbackUrl: string, isRenewable = false) {
  // A site other than the console's: to a browser, 127.0.0.1 on another port would be the same one.
  const issuer = `http://localhost:${port}`;
  const oidc = new Provider(issuer, {
    clients: [
      {
        client_id: 'vigie',
        client_secret: SECRET,
        redirect_uris: [callbackUrl],
        grant_types: ['authorization_code', 'refresh_token'],
      },
    ],
    issueRefreshToken: async () => isRenewable,
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups'] },
    cookies: { keys: ['a-key'] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_context, id) =>
      GROUPS[id] === undefined
        ? undefined
        : {
            accountId: id,
            claims: async () => ({
              sub: `sub-${id}`,
              preferred_username: id,
              groups: [...(GROUPS[id] ?? [])],
            }),
          },
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant: async (context) => {
      const grant = new context.oidc.provider.Grant({
        accountId: context.oidc.session?.accountId ?? '',
        clientId: context.oidc.client?.clientId ?? '',
      });
      grant.addOIDCScope('openid profile');
      await grant.save();
      return grant;
    },
  });
  const person = { name: 'ines' };
  const callback = oidc.callback();
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    if (request.url?.startsWith('/interaction/') !== true) return void callback(request, response);
    void oidc.interactionFinished(request, response, { login: { accountId: person.name } });
  };
  const server = await listening(t, port, serve);
  return { issuer, person, server, serve };
}

const oidcSettings = (issuer: string): Settings['oidc'] => ({
  issuer: new URL(issuer),
  clientId: 'vigie',
  clientSecret: SECRET,
  scope: 'openid profile',
  nameClaim: 'preferred_username',
  roleClaim: 'groups',
  roles: ROLES,
});

export async function consoleWith(
  t: Test,
  port: number,
  issuer: string,
  isFullConsole = false,
): Promise<TestConsole & { db: Sql }> {
  const db = await roomDatabase(t, (await DATABASES.sqlite(t)).address);
  const settings = { listen: { host: '127.0.0.1', port }, accounts: undefined, oidc: oidcSettings(issuer) };
  return {
    ...(await (isFullConsole ? fullConsole(t, db, settings) : startConsole(t, db, { settings }))),
    db,
  };
}

/** A browser reduced to cookies and redirects. */
export class Browser {
  readonly #jar = new Map<string, Map<string, string>>();

  async get(url: string): Promise<Reply> {
    const { host } = new URL(url);
    const own = this.#jar.get(host) ?? new Map<string, string>();
    this.#jar.set(host, own);
    const cookie = [...own].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await ask(url, { headers: cookie === '' ? {} : { cookie } });
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '' || /Max-Age=0/i.test(line)) own.delete(name);
      else own.set(name, value);
    }
    return answer;
  }

  cookie(url: string, name: string): string | undefined {
    return this.#jar.get(new URL(url).host)?.get(name);
  }

  put(url: string, name: string, value: string): void {
    this.#jar.get(new URL(url).host)?.set(name, value);
  }

  /** Follows redirects from `url` until one leads to the console; returns that URL. */
  async wayBack(url: string): Promise<string> {
    let at = url;
    for (let hops = 0; hops < 10; hops += 1) {
      const { headers, status, text } = await this.get(at);
      if (headers.location === undefined) throw new Error(`${at}: ${status} ${text.slice(0, 300)}`);
      at = new URL(headers.location, at).href;
      if (at.includes('/auth/back')) return at;
    }
    throw new Error(`too many redirects: ${at}`);
  }
}
