/**
 * Tests the console's login by OpenID Connect with a real provider: attacks on the callback, a lying provider, and withdrawn roles.
 */

import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { freePort } from '../../scripts/lib/mosquitto.ts';
import type { Sql } from '../../scripts/products/room/database/sql.ts';
import { ask, from, type Reply, readStream } from '../lib/console.ts';
import { addIncidents } from '../lib/console-rows.ts';
import { Browser, consoleWith, GROUPS, listening, provider } from '../lib/oidc-people.ts';
import { scratch } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';
import { numbered } from '../lib/room-evening.ts';
import { unlessAll } from '../lib/run.ts';
import { openBrowser } from '../page/phone.ts';

async function refusals(db: Sql): Promise<{ name: string; reason: string }[]> {
  const rows = await db.all<{ more: string }>(
    "SELECT more FROM audit WHERE act = 'login-refused' ORDER BY no",
  );
  return rows.map(({ more }) => JSON.parse(more) as { name: string; reason: string });
}

const sessions = async (db: Sql): Promise<number> => (await db.all('SELECT id FROM session')).length;

/** A provider and a console that uses it. */
async function bothOf(t: Test, isFullConsole = false) {
  const [port, idPort] = [await freePort(), await freePort()];
  const { issuer, person } = await provider(t, idPort, `http://127.0.0.1:${port}/auth/back`);
  return { issuer, person, ...(await consoleWith(t, port, issuer, isFullConsole)) };
}

t.test('users log in by the provider, with the role that it gives them', async (t) => {
  const { person, url, db } = await bothOf(t);
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
    await db.all<{ act: string; account: string; role: string }>('SELECT * FROM audit ORDER BY no')
  ).at(-1);
  t.match(marc, { act: 'login', account: 'marc', role: 'supervisor' });

  for (const name of ['stranger', 'room']) {
    const browser = new Browser();
    person.name = name;
    const answer = await browser.get(await browser.wayBack(`${url}/auth/enter`));
    t.match(answer, {
      status: 403,
      text: name === 'room' ? /cannot be that of an account/ : /lacks a role in this room/,
    });
    t.equal(browser.cookie(url, 'vigie'), undefined);
    t.match((await refusals(db)).at(-1), { name });
  }
});

t.test('attacks on the callback are refused and audited', async (t) => {
  const { person, url, db } = await bothOf(t);
  const withParam = (callback: string, name: string, value: string): string => {
    const address = new URL(callback);
    address.searchParams.set(name, value);
    return address.href;
  };
  const attacks: [string, (browser: Browser, callback: string) => Promise<string>, RegExp][] = [
    ['another state', async (_, callback) => withParam(callback, 'state', 'x'.repeat(43)), /not right/],
    ['no state', async (_, callback) => callback.replace(/&?state=[^&]*/, ''), /not right/],
    [
      'another issuer',
      async (_, callback) => withParam(callback, 'iss', 'https://evil.example'),
      /not right/,
    ],
    ['no issuer', async (_, callback) => callback.replace(/&?iss=[^&]*/, ''), /not right/],
    [
      'an invented code',
      async (_, callback) => withParam(callback, 'code', 'x'.repeat(43)),
      /provider says invalid_grant/,
    ],
    [
      'the code of another person',
      async (_, callback) => {
        person.name = 'marc';
        const other = await new Browser().wayBack(`${url}/auth/enter`);
        return withParam(callback, 'code', new URL(other).searchParams.get('code') ?? '');
      },
      /provider says invalid_grant/,
    ],
    [
      'another nonce',
      async (browser, callback) => {
        const [state, , verifier] = (browser.cookie(url, 'vigie-flow') ?? '').split('.');
        browser.put(url, 'vigie-flow', `${state}.${'n'.repeat(43)}.${verifier}`);
        return callback;
      },
      /not right/,
    ],
    [
      'a browser that did not leave (login of another account)',
      async (browser, callback) => {
        browser.put(url, 'vigie-flow', '');
        return callback;
      },
      /has not asked to enter/,
    ],
    [
      'the provider says no',
      async (_, callback) =>
        withParam(callback.replace(/code=[^&]*/, ''), 'error', '<script>alert(1)</script>'),
      /provider says &lt;script&gt;/,
    ],
  ];
  for (const [name, attack, line] of attacks) {
    const browser = new Browser();
    person.name = 'ines';
    const callback = await browser.wayBack(`${url}/auth/enter`);
    const answer = await browser.get(await attack(browser, callback));
    t.match(answer, { status: 403, text: line }, name);
    t.notMatch(answer.text, /<script/);
    t.equal(browser.cookie(url, 'vigie'), undefined);
  }
  t.equal(await sessions(db), 0);
  t.equal((await refusals(db)).length, attacks.length, 'each is in the record');

  const browser = new Browser();
  const wayBackUrl = await browser.wayBack(`${url}/auth/enter`);
  const flow = browser.cookie(url, 'vigie-flow') ?? '';
  t.equal((await browser.get(wayBackUrl)).status, 200);
  t.equal((await browser.get(wayBackUrl)).status, 403, 'the same again: the cookie of the way is gone');
  browser.put(url, 'vigie-flow', flow);
  t.match(
    await browser.get(wayBackUrl),
    { status: 403, text: /invalid_grant/ },
    'the same again with its cookie',
  );
});

const keyPair = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
const [RSA, OTHER] = [keyPair(), keyPair()];
type Claims = Readonly<Record<string, unknown>>;
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function signToken(claims: Claims, key?: KeyObject): string {
  const header = key === undefined ? { alg: 'none' } : { alg: 'RS256', kid: 'k', typ: 'JWT' };
  const text = `${part(header)}.${part(claims)}`;
  const signature = key === undefined ? '' : sign('sha256', Buffer.from(text), key).toString('base64url');
  return `${text}.${signature}`;
}

t.test('an invalid ID token of the provider is refused', async (t) => {
  const [port, idPort] = [await freePort(), await freePort()];
  const issuer = `http://localhost:${idPort}`;
  const jwk = { ...RSA.publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'RS256', use: 'sig' };
  let token: (claims: Claims) => string = (claims) => signToken(claims, RSA.privateKey);
  let nonce = '';
  await listening(t, idPort, (request, response) => {
    const path = new URL(request.url ?? '/', issuer).pathname;
    const nowS = Math.floor(Date.now() / 1000);
    const person = { sub: 's', preferred_username: 'ines', groups: 'room-operators' };
    const claims = { iss: issuer, aud: 'vigie', nonce, iat: nowS, exp: nowS + 300, ...person };
    const answers: Readonly<Record<string, () => unknown>> = {
      '/.well-known/openid-configuration': () => ({
        issuer,
        jwks_uri: `${issuer}/jwks`,
        token_endpoint: `${issuer}/token`,
        authorization_endpoint: `${issuer}/auth`,
        id_token_signing_alg_values_supported: ['RS256'],
      }),
      '/jwks': () => ({ keys: [jwk] }),
      '/token': () => ({ access_token: 'a', token_type: 'Bearer', id_token: token(claims) }),
    };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(answers[path]?.() ?? {}));
  });
  const { url, db } = await consoleWith(t, port, issuer);
  const logIn = async (): Promise<Reply> => {
    const browser = new Browser();
    const { headers } = await browser.get(`${url}/auth/enter`);
    const params = new URL(headers.location ?? '').searchParams;
    t.match(Object.fromEntries(params), {
      code_challenge_method: 'S256',
      response_type: 'code',
      client_id: 'vigie',
    });
    nonce = params.get('nonce') ?? '';
    return browser.get(`${url}/auth/back?code=c&state=${params.get('state')}`);
  };
  t.equal((await logIn()).status, 200, 'the truth is taken');
  const lies: [string, (claims: Claims) => string][] = [
    ['nonce', (claims) => signToken({ ...claims, nonce: 'n'.repeat(43) }, RSA.privateKey)],
    ['the key of another provider', (claims) => signToken(claims, OTHER.privateKey)],
    ['no signature', (claims) => signToken(claims)],
    ['no token', () => ''],
  ];
  for (const [name, lie] of lies) {
    token = lie;
    t.equal((await logIn()).status, 403, name);
  }
  t.equal(await sessions(db), 1);
  t.equal((await refusals(db)).length, lies.length);
});

t.test('an unavailable provider is reported and queried again', async (t) => {
  const [port, idPort] = [await freePort(), await freePort()];
  const { url, db } = await consoleWith(t, port, `http://localhost:${idPort}`);
  const outage = await new Browser().get(`${url}/auth/enter`);
  t.match(outage, { status: 503, text: /the identity provider does not answer/ });
  t.equal(await sessions(db), 0);
  const { server } = await provider(t, idPort, `http://127.0.0.1:${port}/auth/back`);
  const browser = new Browser();
  const callback = await browser.wayBack(`${url}/auth/enter`);
  server.close().closeAllConnections();
  t.match(await browser.get(callback), { status: 503, text: /does not answer/ });
  t.same(await refusals(db), [], 'no refusal is audited');
});

t.test('a browser has the Strict cookie after the return', { skip: unlessAll }, async (t) => {
  const { issuer, url, db } = await bothOf(t);
  const browser = await openBrowser(scratch(t));
  t.teardown(() => browser.close());
  const page = await browser.newPage();
  await page.goto(`${url}/auth/enter`);
  await page.waitForFunction("document.title === 'Vigie' && location.pathname === '/'", { timeout: 30_000 });
  t.match(await page.evaluate("fetch('/api/session').then((answer) => answer.json())"), { user: 'ines' });
  // Like the app's logout: its own POST, with the browser's headers about its origin.
  const leave = `fetch('/api/logout', {method: 'POST', headers: {'content-type': 'application/json'}, body: '{}'}).then(({status}) => status)`;
  t.equal(await page.evaluate(leave), 200);
  t.equal(await sessions(db), 0);
  t.equal(await page.evaluate("fetch('/api/session').then(({status}) => status)"), 401);
  // A page of another origin requests as the logged-in user.
  await page.goto(`${url}/auth/enter`);
  await page.waitForFunction("document.title === 'Vigie' && location.pathname === '/'", { timeout: 30_000 });
  await page.goto(`${issuer}/nothing`);
  const forged = `fetch('${url}/api/logout', {method: 'POST', mode: 'no-cors', credentials: 'include', body: '{}'}).then(() => 'sent', () => 'kept')`;
  t.comment(`a forged request was ${await page.evaluate(forged)}`);
  t.equal(await sessions(db), 1, 'and has done nothing');
});

t.test('a verdict during a session’s end is sent after the login', { skip: unlessAll }, async (t) => {
  const { person, url, db } = await bothOf(t, true);
  await addIncidents(db, [numbered(1), numbered(2)]);
  const browser = await openBrowser(scratch(t));
  t.teardown(() => browser.close());
  const page = await browser.newPage();
  const untilTrue = (condition: string) => page.waitForFunction(condition, { timeout: 15_000, polling: 20 });
  const login = async (): Promise<void> => {
    await untilTrue(`document.querySelector('a[href="/auth/enter"]')?.checkVisibility() === true`);
    await page.click('a[href="/auth/enter"]');
  };
  /** Presses again where the stream reported the end before the key, since the button was gone. */
  const pressLoggedOut = async (key: 't' | 'f'): Promise<void> => {
    for (;;) {
      await db.run('DELETE FROM session');
      await page.keyboard.press(key);
      await untilTrue(`document.querySelector('a[href="/auth/enter"]')?.checkVisibility() === true`);
      if (await page.evaluate(`(sessionStorage.getItem('kept-acts') ?? '[]') !== '[]'`)) return;
      await login();
      await page.waitForSelector('.incident .act.confirmed');
    }
  };
  const verdictEntries = () =>
    db.all('SELECT account, act, incident FROM audit WHERE act = $1 ORDER BY no', ['judge']);
  await page.goto(url);
  await login();
  await page.waitForSelector('.row');
  t.match(await page.$eval('.who', ({ textContent }) => textContent), 'ines');
  await page.click('[data-no="1"]');
  await page.waitForSelector('.incident .act.confirmed');
  await pressLoggedOut('t');
  await login();
  await untilTrue('document.querySelector(".toast.good")?.textContent.includes("was sent")');
  await untilTrue('document.querySelectorAll(".row").length === 1');
  t.equal(await page.evaluate('location.pathname'), '/incidents/1', 'where she was');
  t.same(await verdictEntries(), [{ account: 'ines', act: 'judge', incident: 1 }]);
  await page.keyboard.press('Escape');
  await page.click('[data-no="2"]');
  await page.waitForSelector('.incident .act.confirmed');
  await pressLoggedOut('f');
  person.name = 'marc';
  // She has logged out; at the provider he is now logged in.
  const cookies = (await browser.cookies()).filter(({ domain }) => domain === 'localhost');
  await browser.deleteCookie(...cookies);
  await login();
  await untilTrue('document.querySelector(".toast.bad")?.textContent.includes("ines")');
  t.match(await page.$eval('.who', ({ textContent }) => textContent), 'marc');
  t.same((await verdictEntries()).length, 1, 'her verdict is not his');
});

t.test('a withdrawn role or account loses its rights within minutes', async (t) => {
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
  await waitUntil(t, 'a stream', () => stream.status === 200);
  const untilEnded = async (count: number): Promise<string> => {
    for (;;) {
      const entries = await db.all<{ more: string }>(
        "SELECT more FROM audit WHERE act = 'session-ended' ORDER BY no",
      );
      if (entries.length === count) return entries.map(({ more }) => more).join();
      await sleep(200);
    }
  };
  GROUPS['lena'] = ['room-operators'];
  delete GROUPS['paul'];
  clock.aheadMs = 6 * 60_000;
  const endings = await untilEnded(2);
  t.equal(await status(lena), 401, 'another role');
  t.equal(await status(paul), 401, 'no account');
  t.equal(await status(otto), 200, 'as before');
  t.ok(stream.names().includes('session'), 'and the stream has ended');
  t.match(endings, /"user":"lena","role":"supervisor","reason":"the role is operator now"/);
  // An unavailable provider ends no session.
  server.close().closeAllConnections();
  clock.aheadMs = 12 * 60_000;
  await waitUntil(t, 'it is reported', () =>
    notices.some((line) => /identity provider does not answer/.test(line)),
  );
  t.equal(await status(otto), 200);
  await listening(t, idp, serve);
  GROUPS['otto'] = ['staff'];
  clock.aheadMs = 18 * 60_000;
  await untilEnded(3);
  t.equal(await status(otto), 401, 'when it is back');
});

t.test('a session without a refresh token lasts an hour', async (t) => {
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
