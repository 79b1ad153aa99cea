/** Login to the room's console by OpenID Connect: a real provider, real attacks on the way back, and a lying provider. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import Provider from 'oidc-provider';
import t, { type Test } from 'tap';
import { freePort } from '../../scripts/lib/mosquitto.ts';
import type { Settings } from '../../scripts/programs/room/console/settings.ts';
import type { Role } from '../../scripts/programs/room/contract/roles.ts';
import type { Sql } from '../../scripts/programs/room/database/sql.ts';
import {
  type Asked,
  ask,
  from,
  readStream,
  roomDatabase,
  startConsole,
  type TestConsole,
  wholeConsole,
} from '../lib/console.ts';
import { addIncidents } from '../lib/console-rows.ts';
import { DATABASES } from '../lib/databases.ts';
import { scratch } from '../lib/paths.ts';
import { until } from '../lib/room.ts';
import { numbered } from '../lib/room-evening.ts';
import { openBrowser } from '../page/phone.ts';

const SECRET = 'a-secret-of-the-client';
const ROLES: Readonly<Record<string, Role>> = {
  'room-supervisors': 'supervisor',
  'room-operators': 'operator',
};
const GROUPS: Record<string, readonly string[]> = {
  ines: ['staff', 'room-operators'],
  marc: ['room-operators', 'room-supervisors'],
  stranger: ['staff'],
  room: ['room-operators'],
};

async function listening(t: Test, port: number, serve: http.RequestListener): Promise<http.Server> {
  const server = http.createServer(serve);
  t.teardown(() => server.close().closeAllConnections());
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** oidc-provider as it comes, but that nobody types a password: `person.name` is who sits there. */
async function provider(t: Test, port: number, back: string, isRenewable = false) {
  // Another site than the console's: 127.0.0.1 on another port would be the same one to a browser.
  const issuer = `http://localhost:${port}`;
  const oidc = new Provider(issuer, {
    clients: [
      {
        client_id: 'vigie',
        client_secret: SECRET,
        redirect_uris: [back],
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
  ...{ issuer: new URL(issuer), clientId: 'vigie', clientSecret: SECRET, scope: 'openid profile' },
  ...{ nameClaim: 'preferred_username', roleClaim: 'groups', roles: ROLES },
});

async function consoleWith(
  t: Test,
  port: number,
  issuer: string,
  isWhole = false,
): Promise<TestConsole & { db: Sql }> {
  const db = await roomDatabase(t, (await DATABASES.sqlite(t)).where);
  const settings = { listen: { host: '127.0.0.1', port }, accounts: undefined, oidc: oidcSettings(issuer) };
  return { ...(await (isWhole ? wholeConsole(t, db, settings) : startConsole(t, db, { settings }))), db };
}

/** A browser as far as cookies and redirects go. */
class Browser {
  readonly #jar = new Map<string, Map<string, string>>();

  async get(url: string): Promise<Asked> {
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

  /** Follows redirects from `url` until one leads back to the console: that URL. */
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

async function refusals(db: Sql): Promise<{ name: string; why: string }[]> {
  const rows = await db.all<{ more: string }>(
    "SELECT more FROM audit WHERE act = 'login-refused' ORDER BY no",
  );
  return rows.map(({ more }) => JSON.parse(more) as { name: string; why: string });
}

const sessions = async (db: Sql): Promise<number> => (await db.all('SELECT id FROM session')).length;

t.test('people enter by the provider, with the role that it gives them', async (t) => {
  const [port, idPort] = [await freePort(), await freePort()];
  const { issuer, person } = await provider(t, idPort, `http://127.0.0.1:${port}/auth/back`);
  const { url, db } = await consoleWith(t, port, issuer);
  t.same((await ask(`${url}/api/login`)).json, { method: 'oidc', accounts: [] });
  const local = await ask(`${url}/api/login`, {
    method: 'POST',
    headers: from(url),
    body: { name: 'operator' },
  });
  t.match(local, { status: 403, json: { title: /accounts are the identity provider/ } });

  for (const [name, role] of [
    ['ines', 'operator'],
    ['marc', 'supervisor'],
  ] as const) {
    const browser = new Browser();
    person.name = name;
    const answer = await browser.get(await browser.wayBack(`${url}/auth/enter`));
    t.match(answer, { status: 200, text: /http-equiv="refresh" content="0;url=\/"/ });
    t.match(answer.headers['set-cookie'], [/^vigie-flow=; Max-Age=0/, /^vigie=.*HttpOnly; SameSite=Strict$/]);
    const session = await browser.get(`${url}/api/session`);
    t.match(session.json, { user: name, role, demo: false });
  }
  const marc = (
    await db.all<{ act: string; who: string; role: string }>('SELECT * FROM audit ORDER BY no')
  ).at(-1);
  t.match(marc, { act: 'login', who: 'marc', role: 'supervisor' });

  for (const name of ['stranger', 'room']) {
    const browser = new Browser();
    person.name = name;
    const answer = await browser.get(await browser.wayBack(`${url}/auth/enter`));
    t.match(answer, {
      status: 403,
      text: name === 'room' ? /cannot be that of an account/ : /has no role in this room/,
    });
    t.equal(browser.cookie(url, 'vigie'), undefined);
    t.match((await refusals(db)).at(-1), { name });
  }
});

t.test('attacks on the way back are refused, and recorded', async (t) => {
  const [port, idPort] = [await freePort(), await freePort()];
  const { issuer, person } = await provider(t, idPort, `http://127.0.0.1:${port}/auth/back`);
  const { url, db } = await consoleWith(t, port, issuer);
  const changed = (back: string, name: string, value: string): string => {
    const made = new URL(back);
    made.searchParams.set(name, value);
    return made.href;
  };
  const attacks: [string, (browser: Browser, back: string) => Promise<string>, RegExp][] = [
    ['another state', async (_, back) => changed(back, 'state', 'x'.repeat(43)), /not right/],
    ['no state', async (_, back) => back.replace(/&?state=[^&]*/, ''), /not right/],
    ['another issuer', async (_, back) => changed(back, 'iss', 'https://evil.example'), /not right/],
    ['no issuer', async (_, back) => back.replace(/&?iss=[^&]*/, ''), /not right/],
    [
      'an invented code',
      async (_, back) => changed(back, 'code', 'x'.repeat(43)),
      /provider says invalid_grant/,
    ],
    [
      'the code of somebody else',
      async (_, back) => {
        person.name = 'marc';
        const other = await new Browser().wayBack(`${url}/auth/enter`);
        return changed(back, 'code', new URL(other).searchParams.get('code') ?? '');
      },
      /provider says invalid_grant/,
    ],
    [
      'another nonce',
      async (browser, back) => {
        const [state, , verifier] = (browser.cookie(url, 'vigie-flow') ?? '').split('.');
        browser.put(url, 'vigie-flow', `${state}.${'n'.repeat(43)}.${verifier}`);
        return back;
      },
      /not right/,
    ],
    [
      'a browser that did not leave (login of somebody else’s account)',
      async (browser, back) => {
        browser.put(url, 'vigie-flow', '');
        return back;
      },
      /has not asked to enter/,
    ],
    [
      'the provider says no',
      async (_, back) => changed(back.replace(/code=[^&]*/, ''), 'error', '<script>alert(1)</script>'),
      /provider says &lt;script&gt;/,
    ],
  ];
  for (const [what, attack, line] of attacks) {
    const browser = new Browser();
    person.name = 'ines';
    const back = await browser.wayBack(`${url}/auth/enter`);
    const answer = await browser.get(await attack(browser, back));
    t.match(answer, { status: 403, text: line }, what);
    t.notMatch(answer.text, /<script/);
    t.equal(browser.cookie(url, 'vigie'), undefined);
  }
  t.equal(await sessions(db), 0);
  t.equal((await refusals(db)).length, attacks.length, 'each is in the record');

  const browser = new Browser();
  const back = await browser.wayBack(`${url}/auth/enter`);
  const flow = browser.cookie(url, 'vigie-flow') ?? '';
  t.equal((await browser.get(back)).status, 200);
  t.equal((await browser.get(back)).status, 403, 'the same again: the cookie of the way is gone');
  browser.put(url, 'vigie-flow', flow);
  t.match(await browser.get(back), { status: 403, text: /invalid_grant/ }, 'the same again with its cookie');
});

const RSA = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
const OTHER = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
type Claims = Readonly<Record<string, unknown>>;
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function signed(
  claims: Claims,
  key: string,
  header: Claims = { alg: 'RS256', kid: 'k', typ: 'JWT' },
): string {
  const text = `${part(header)}.${part(claims)}`;
  const signature =
    header['alg'] === 'none'
      ? ''
      : sign('sha256', Buffer.from(text), createPrivateKey(key)).toString('base64url');
  return `${text}.${signature}`;
}

t.test('a provider that lies in its ID token is not believed', async (t) => {
  const [port, idPort] = [await freePort(), await freePort()];
  const issuer = `http://localhost:${idPort}`;
  const jwk = {
    ...createPublicKey(RSA.publicKey).export({ format: 'jwk' }),
    kid: 'k',
    alg: 'RS256',
    use: 'sig',
  };
  let token: (claims: Claims) => string = (claims) => signed(claims, RSA.privateKey);
  let nonce = '';
  await listening(t, idPort, (request, response) => {
    const path = new URL(request.url ?? '/', issuer).pathname;
    const nowS = Math.floor(Date.now() / 1000);
    const claims = {
      ...{ iss: issuer, aud: 'vigie', sub: 's', nonce, iat: nowS, exp: nowS + 300 },
      ...{ preferred_username: 'ines', groups: 'room-operators' },
    };
    const answers: Readonly<Record<string, () => unknown>> = {
      '/.well-known/openid-configuration': () => ({
        ...{ issuer, jwks_uri: `${issuer}/jwks`, token_endpoint: `${issuer}/token` },
        ...{ authorization_endpoint: `${issuer}/auth`, id_token_signing_alg_values_supported: ['RS256'] },
      }),
      '/jwks': () => ({ keys: [jwk] }),
      '/token': () => ({ access_token: 'a', token_type: 'Bearer', id_token: token(claims) }),
    };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(answers[path]?.() ?? {}));
  });
  const { url, db } = await consoleWith(t, port, issuer);
  const enters = async (): Promise<Asked> => {
    const browser = new Browser();
    const { headers } = await browser.get(`${url}/auth/enter`);
    const asked = new URL(headers.location ?? '').searchParams;
    t.match(Object.fromEntries(asked), {
      code_challenge_method: 'S256',
      response_type: 'code',
      client_id: 'vigie',
    });
    nonce = asked.get('nonce') ?? '';
    return browser.get(`${url}/auth/back?code=c&state=${asked.get('state')}`);
  };
  t.equal((await enters()).status, 200, 'the truth is taken');
  const lies: [string, (claims: Claims) => string][] = [
    ['iss', (claims) => signed({ ...claims, iss: 'https://evil.example' }, RSA.privateKey)],
    ['aud', (claims) => signed({ ...claims, aud: 'another-client' }, RSA.privateKey)],
    ['azp', (claims) => signed({ ...claims, aud: ['vigie', 'x'], azp: 'x' }, RSA.privateKey)],
    ['nonce', (claims) => signed({ ...claims, nonce: 'n'.repeat(43) }, RSA.privateKey)],
    ['no nonce', ({ nonce: _, ...claims }) => signed(claims, RSA.privateKey)],
    ['exp', (claims) => signed({ ...claims, exp: Math.floor(Date.now() / 1000) - 300 }, RSA.privateKey)],
    ['the key of somebody else', (claims) => signed(claims, OTHER.privateKey)],
    ['no signature', (claims) => signed(claims, '', { alg: 'none' })],
    ['no token', () => ''],
  ];
  for (const [what, lie] of lies) {
    token = lie;
    t.equal((await enters()).status, 403, what);
  }
  t.equal(await sessions(db), 1);
  t.equal((await refusals(db)).length, lies.length);
});

t.test('a provider that is away is told, and asked again', async (t) => {
  const [port, idPort] = [await freePort(), await freePort()];
  const { url, db } = await consoleWith(t, port, `http://localhost:${idPort}`);
  const away = await new Browser().get(`${url}/auth/enter`);
  t.match(away, { status: 503, text: /the identity provider does not answer/ });
  t.equal(await sessions(db), 0);
  const { server } = await provider(t, idPort, `http://127.0.0.1:${port}/auth/back`);
  const browser = new Browser();
  const back = await browser.wayBack(`${url}/auth/enter`);
  server.close().closeAllConnections();
  t.match(await browser.get(back), { status: 503, text: /does not answer/ });
  t.same(await refusals(db), [], 'nobody was refused');
});

t.test('a real browser: the Strict cookie is there when it has come back from another site', async (t) => {
  const [port, idPort] = [await freePort(), await freePort()];
  const { issuer } = await provider(t, idPort, `http://127.0.0.1:${port}/auth/back`);
  const { url, db } = await consoleWith(t, port, issuer);
  const browser = await openBrowser(scratch(t));
  t.teardown(() => browser.close());
  const page = await browser.newPage();
  await page.goto(`${url}/auth/enter`);
  await page.waitForFunction("document.title === 'Vigie' && location.pathname === '/'", { timeout: 30_000 });
  t.match(await page.evaluate("fetch('/api/session').then((answer) => answer.json())"), { user: 'ines' });
  // As the app leaves: its own POST, with what the browser says of where it comes from.
  const leave = `fetch('/api/logout', {method: 'POST', headers: {'content-type': 'application/json'}, body: '{}'}).then(({status}) => status)`;
  t.equal(await page.evaluate(leave), 200);
  t.equal(await sessions(db), 0);
  t.equal(await page.evaluate("fetch('/api/session').then(({status}) => status)"), 401);
  // A page of somebody else asks in the name of whoever is logged in.
  await page.goto(`${url}/auth/enter`);
  await page.waitForFunction("document.title === 'Vigie' && location.pathname === '/'", { timeout: 30_000 });
  await page.goto(`${issuer}/nothing`);
  const forged = `fetch('${url}/api/logout', {method: 'POST', mode: 'no-cors', credentials: 'include', body: '{}'}).then(() => 'sent', () => 'kept')`;
  t.comment(`a forged request was ${await page.evaluate(forged)}`);
  t.equal(await sessions(db), 1, 'and has done nothing');
});

t.test('a real browser: a verdict in mid-session-end is sent after the login, by nobody else', async (t) => {
  const [port, idPort] = [await freePort(), await freePort()];
  const { issuer, person } = await provider(t, idPort, `http://127.0.0.1:${port}/auth/back`);
  const { url, db } = await consoleWith(t, port, issuer, true);
  await addIncidents(db, [numbered(1), numbered(2)]);
  const browser = await openBrowser(scratch(t));
  t.teardown(() => browser.close());
  const page = await browser.newPage();
  const shown = (condition: string) => page.waitForFunction(condition, { timeout: 15_000, polling: 20 });
  const login = async (): Promise<void> => {
    await shown(`document.querySelector('a[href="/auth/enter"]')?.checkVisibility() === true`);
    await page.click('a[href="/auth/enter"]');
  };
  /** Where the stream has told of the end before the key came, there was nothing to press: once more. */
  const judgedInVain = async (key: 't' | 'f'): Promise<void> => {
    for (;;) {
      await db.run('DELETE FROM session');
      await page.keyboard.press(key);
      await shown(`document.querySelector('a[href="/auth/enter"]')?.checkVisibility() === true`);
      if (await page.evaluate(`(sessionStorage.getItem('kept-acts') ?? '[]') !== '[]'`)) return;
      await login();
      await page.waitForSelector('.incident .act.true');
    }
  };
  const judged = () => db.all('SELECT who, act, incident FROM audit WHERE act = $1 ORDER BY no', ['judge']);
  await page.goto(url);
  await login();
  await page.waitForSelector('.row');
  t.match(await page.$eval('.who', ({ textContent }) => textContent), 'ines');
  await page.click('[data-no="1"]');
  await page.waitForSelector('.incident .act.true');
  await judgedInVain('t');
  await login();
  await shown('document.querySelector(".toast.good")?.textContent.includes("was sent")');
  await shown('document.querySelectorAll(".row").length === 1');
  t.equal(await page.evaluate('location.pathname'), '/incidents/1', 'where she was');
  t.same(await judged(), [{ who: 'ines', act: 'judge', incident: 1 }]);
  await page.keyboard.press('Escape');
  await page.click('[data-no="2"]');
  await page.waitForSelector('.incident .act.true');
  await judgedInVain('f');
  person.name = 'marc';
  // She has left; at the provider it is he now.
  const cookies = (await browser.cookies()).filter(({ domain }) => domain === 'localhost');
  await browser.deleteCookie(...cookies);
  await login();
  await shown('document.querySelector(".toast.bad")?.textContent.includes("ines")');
  t.match(await page.$eval('.who', ({ textContent }) => textContent), 'marc');
  t.same((await judged()).length, 1, 'her verdict is not his');
});

t.test('a role that was taken away holds for minutes, and an account that is gone too', async (t) => {
  const [port, idp] = [await freePort(), await freePort()];
  const { issuer, person, server, serve } = await provider(
    t,
    idp,
    `http://127.0.0.1:${port}/auth/back`,
    true,
  );
  const { url, db, clock, notices } = await consoleWith(t, port, issuer);
  const come = async (name: string): Promise<Browser> => {
    person.name = name;
    const browser = new Browser();
    const answer = await browser.get(await browser.wayBack(`${url}/auth/enter`));
    t.equal(answer.status, 200, answer.text);
    return browser;
  };
  GROUPS['lena'] = ['room-supervisors'];
  GROUPS['otto'] = ['room-operators'];
  GROUPS['paul'] = ['room-operators'];
  t.teardown(() => ['lena', 'otto', 'paul'].map((name) => delete GROUPS[name]));
  const [lena, otto, paul] = [await come('lena'), await come('otto'), await come('paul')];
  const status = async (browser: Browser): Promise<number> =>
    (await browser.get(`${url}/api/session`)).status;
  const rows = await db.all<{ renewal: string | null }>('SELECT renewal FROM session');
  t.equal(rows.filter(({ renewal }) => renewal !== null).length, 3);
  const cookie = `vigie=${paul.cookie(url, 'vigie')}`;
  const stream = readStream(t, url, cookie);
  await until(t, 'a stream', () => stream.status === 200);
  const endings = () =>
    db.all<{ more: string }>("SELECT more FROM audit WHERE act = 'session-ended' ORDER BY no");
  let ended: string[] = [];
  const untilEnded = async (many: number): Promise<void> => {
    let isAsking = false;
    await until(t, `${many} are logged out`, () => {
      if (!isAsking) {
        isAsking = true;
        void endings().then((found) => {
          ended = found.map(({ more }) => more);
          isAsking = false;
        });
      }
      return ended.length === many;
    });
  };
  GROUPS['lena'] = ['room-operators'];
  delete GROUPS['paul'];
  clock.aheadMs = 6 * 60_000;
  await untilEnded(2);
  t.equal(await status(lena), 401, 'another role');
  t.equal(await status(paul), 401, 'no account');
  t.equal(await status(otto), 200, 'as before');
  t.ok(stream.names().includes('session'), 'and the stream has ended');
  t.match(ended.join(), /"user":"lena","role":"supervisor","why":"the role is operator now"/);
  // A provider that is away ends nobody's session.
  server.close().closeAllConnections();
  clock.aheadMs = 12 * 60_000;
  await until(t, 'it is told', () => notices.some((line) => /identity provider does not answer/.test(line)));
  t.equal(await status(otto), 200);
  await listening(t, idp, serve);
  GROUPS['otto'] = ['staff'];
  clock.aheadMs = 18 * 60_000;
  await untilEnded(3);
  t.equal(await status(otto), 401, 'when it is back');
});

t.test('without a refresh token a session lasts an hour', async (t) => {
  const [port, idp] = [await freePort(), await freePort()];
  const { issuer } = await provider(t, idp, `http://127.0.0.1:${port}/auth/back`);
  const { url, clock } = await consoleWith(t, port, issuer);
  const browser = new Browser();
  await browser.get(await browser.wayBack(`${url}/auth/enter`));
  const { json } = await browser.get(`${url}/api/session`);
  t.ok(Date.parse(json.ends) - Date.parse(json.now) <= 3_600_000);
  // In use, but for longer.
  for (const minutes of [20, 40, 59]) {
    clock.aheadMs = minutes * 60_000;
    t.equal((await browser.get(`${url}/api/session`)).status, 200);
  }
  clock.aheadMs = 61 * 60_000;
  t.equal((await browser.get(`${url}/api/session`)).status, 401);
});
