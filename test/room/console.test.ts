/** Tests the control room's console on both databases: access, roles, and what its screens receive. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { verifyChain } from '../../scripts/products/room/console/audit.ts';
import type { DataHandlers } from '../../scripts/products/room/console/routes.ts';
import { demoSettings, readSettings } from '../../scripts/products/room/console/settings.ts';
import { ROUTES, type Route, type RouteName } from '../../scripts/products/room/contract/api.ts';
import type { AuditEntry } from '../../scripts/products/room/contract/audit.ts';
import { may, ROLES, type Role } from '../../scripts/products/room/contract/roles.ts';
import type { Sql } from '../../scripts/products/room/database/sql.ts';
import { ask, cookieOf, enter, from, readStream, startConsole } from '../lib/console.ts';
import { DATABASES, onEachDatabase } from '../lib/databases.ts';
import { scratch } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';

const TOKENS: Readonly<Record<Role, string>> = {
  operator: 'token-of-an-operator-program',
  supervisor: 'token-of-a-supervisor-program',
  auditor: 'token-of-an-auditor-program',
};
const tokens = ROLES.map((role) => ({
  name: `program-${role}`,
  role,
  sha256: createHash('sha256').update(TOKENS[role]).digest('hex'),
}));
/** The most boxes that a search may name, with the longest names. */
const EVERY_BOX = Array.from({ length: 5000 }, (_, at) => `box-${at}`.padEnd(32, '-'));
const DAY = { from: '2026-01-01T00:00:00.000Z', to: '2026-01-02T00:00:00.000Z' };
const IN_DAY = `?from=${DAY.from}&to=${DAY.to}`;
/** Query of each route that takes one. */
const QUERIES: Partial<Record<RouteName, string>> = {
  figures: `${IN_DAY}&by=rule`,
  figuresCsv: `${IN_DAY}&by=rule`,
  handOver: IN_DAY,
  handOverCsv: IN_DAY,
};
const BODIES: Partial<Record<RouteName, object>> = {
  enter: { name: 'operator' },
  dispatch: { revision: 0 },
  judge: { revision: 0, verdict: 'confirmed' },
  note: { text: 'a note' },
  reassign: { revision: 0, to: 'operator' },
  reopen: { revision: 0 },
  reopenings: { incidents: [{ no: 1, revision: 0 }] },
  verdicts: { incidents: [{ no: 1, revision: 0 }], verdict: 'unclear' },
  patrol: { patrol: 'Patrol north', answer: 'accepted' },
  suppress: { site: 'lyon', box: 'b-1', reason: 'low sun' },
  undo: { acts: [1] },
  endSessions: { user: 'nobody' },
  resend: { webhook: 'city' },
  sealed: { case: '17', reason: 'asked for' },
  search: { case: '17', reason: 'asked for', ...DAY, boxes: EVERY_BOX },
  tracks: { box: 'b-1', case: '17', reason: 'asked for', question: { ...DAY, answer: 'tracks' } },
  trackStill: { box: 'b-1', case: '17', reason: 'asked for' },
};

/** Handlers that record each call and its caller. */
function recordingHandlers(): {
  handlers: DataHandlers;
  calls: { name: string; call: Record<string, unknown> }[];
} {
  const calls: { name: string; call: Record<string, unknown> }[] = [];
  const handlers = Object.fromEntries(
    Object.entries(ROUTES).map(([name, { gives }]) => [
      name,
      async (call: Record<string, unknown>) => {
        calls.push({ name, call });
        if (gives === 'text/csv') {
          return (async function* lines() {
            yield* ['no\r\n', '1\r\n'];
          })();
        }
        return typeof gives === 'string' ? Buffer.from('{}') : { from: name };
      },
    ]),
  );
  return { handlers: handlers as unknown as DataHandlers, calls };
}

const auditOf = async (db: Sql): Promise<AuditEntry[]> => {
  const rows = await db.all<AuditEntry & { more: string }>('SELECT * FROM audit ORDER BY no');
  return rows.map((row) => ({ ...row, more: JSON.parse(row.more) as AuditEntry['more'] }));
};

onEachDatabase('every route answers every role by its rights', async (t, database) => {
  const db = await database.prepared();
  const { handlers, calls } = recordingHandlers();
  const { url } = await startConsole(t, db, { handlers, settings: { tokens } });
  let refusals = 0;
  for (const role of ROLES) {
    const cookie = await enter(url, role);
    const callers = { [role]: { cookie, ...from(url) }, [`program-${role}`]: bearer(TOKENS[role]) };
    for (const [name, route] of Object.entries<Route>(ROUTES)) {
      const path = route.path.replace(':no', '1').replace(':moment', 'snapshot').replace(':id', 'x');
      for (const [caller, headers] of Object.entries(callers)) {
        if (name === 'stream' || name === 'logout') continue;
        calls.length = 0;
        const answer = await ask(`${url}${path}${QUERIES[name as RouteName] ?? ''}`, {
          method: route.method,
          headers: { ...headers, ...(route.idempotent === true && { 'idempotency-key': 'k' }) },
          ...(route.method === 'POST' && { body: BODIES[name as RouteName] ?? {} }),
        });
        const mayIt = route.action === undefined || route.action === 'open' || may(role, route.action);
        t.equal(answer.status, mayIt ? 200 : 403, `${name} by ${caller}: ${answer.text.slice(0, 200)}`);
        if (!mayIt) refusals += 1;
        if (!['login', 'enter', 'session', 'sessions', 'endSessions'].includes(name))
          t.equal(calls.length, mayIt ? 1 : 0);
      }
    }
    const stream = readStream(t, url, cookie);
    await waitUntil(t, 'the stream answers', () => stream.status !== 0);
    t.equal(stream.status, may(role, 'see-incidents') ? 200 : 403);
    const program = await ask(`${url}/api/logout`, {
      method: 'POST',
      headers: bearer(TOKENS[role]),
      body: {},
    });
    t.same(program.json, {}, 'a token has no session to leave');
    t.equal(
      (await ask(`${url}/api/logout`, { method: 'POST', headers: { cookie, ...from(url) }, body: {} }))
        .status,
      200,
    );
    t.equal((await ask(`${url}/api/session`, { headers: { cookie } })).status, 401);
  }
  const entries = await auditOf(db);
  t.match(await verifyChain(db), { problem: null }, 'the audit log is intact');
  const refusedEntries = entries.filter(({ act }) => act === 'refused');
  t.equal(refusedEntries.length, refusals, 'each refused act is in the record');
  t.match(
    refusedEntries.find(({ account, more }) => account === 'auditor' && more['act'] === 'see-still'),
    { role: 'auditor', incident: 1 },
  );
  t.match(
    refusedEntries.find(({ account, more }) => account === 'program-auditor' && more['act'] === 'see-still'),
    { role: 'program' },
  );
});

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

t.test('a request without a session gets nothing, and input is validated before any call', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const { handlers, calls } = recordingHandlers();
  const { url } = await startConsole(t, db, { handlers, settings: { tokens } });
  for (const [name, { method, path, action }] of Object.entries<Route>(ROUTES)) {
    if (action === 'open') continue;
    const headers = from(url);
    const answer = await ask(`${url}${path.replace(':no', '1')}`, { method, headers });
    t.equal(answer.status, 401, name);
    t.match(answer.headers['content-type'], 'application/problem+json');
  }
  t.equal((await ask(`${url}/api/queue`, { headers: bearer('a-token-that-nobody-has') })).status, 401);
  const cookie = await enter(url, 'supervisor');
  const post = (path: string, body: unknown, more = {}) =>
    ask(`${url}${path}`, { method: 'POST', headers: { cookie, ...from(url), ...more }, body });
  const get = (path: string, more = {}) => ask(`${url}${path}`, { headers: { cookie, ...more } });
  const key = { 'idempotency-key': 'k' };
  const refusedCases: [string, Promise<{ status: number; json: { title: string } }>, number, RegExp][] = [
    ['a number that is none', get('/api/incidents/x'), 400, /^path: no: expected integer/],
    [
      'an unknown query',
      get('/api/incidents?colour=red'),
      400,
      /^query: colour is not known here; known: from, to/,
    ],
    ['a time that is none', get('/api/incidents?from=today'), 400, /^query: from must be a time of RFC 3339/],
    [
      'an unknown member',
      post('/api/incidents/1/claim', { force: true }),
      400,
      /^body: force is not known here; no fields/,
    ],
    ['a missing member', post('/api/incidents/1/verdict', { revision: 1 }), 400, /^body: verdict is missing/],
    ['no JSON', post('/api/incidents/1/claim', '{'), 400, /^body: not valid JSON/],
    [
      'another type',
      post('/api/incidents/1/claim', '{}', { 'content-type': 'text/plain' }),
      415,
      /application\/json/,
    ],
    ['a body too large', post('/api/incidents/1/note', { text: 'x'.repeat(200_000) }, key), 413, /192 kB/],
    ['no key', post('/api/incidents/1/note', { text: 'x' }), 400, /^Idempotency-Key: required/],
    ['a name with escapes', get('/api/incidents?%1b%5b31m=1'), 400, /^query: \\x1b\[31m is not known/],
    ['a path that is none', get('/api/nothing'), 404, /is not here/],
    ['a path that is not readable', get('/api/incidents/%zz'), 400, /not readable/],
    ['an id that is none', get('/api/stream', { 'last-event-id': 'x' }), 400, /^Last-Event-ID/],
  ];
  for (const [name, request, status, line] of refusedCases) {
    const answer = await request;
    t.match({ status: answer.status, title: answer.json?.title }, { status, title: line }, name);
  }
  t.same(calls, [], 'no handler was called');
  t.equal((await get('/api/incidents')).status, 200);
  t.match(calls[0]?.call, { query: { limit: 100 } }, 'a missing field has its default');
  const csv = await get('/api/audit.csv');
  t.match(csv, { text: 'no\r\n1\r\n', headers: { 'content-disposition': /vigie-audit\.csv/ } });
});

t.test('foreign origins and host names are refused, and answers are safe for a browser', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const { handlers } = recordingHandlers();
  const { url } = await startConsole(t, db, { handlers });
  const cookie = await enter(url, 'operator');
  const claim = (headers: Record<string, string>) =>
    ask(`${url}/api/incidents/1/claim`, { method: 'POST', headers: { cookie, ...headers }, body: {} });
  t.equal((await claim(from(url))).status, 200);
  t.equal((await claim({})).status, 403, 'a form without a session');
  t.equal((await claim({ ...from(url), origin: 'https://evil.example' })).status, 403);
  t.equal((await claim({ ...from(url), 'sec-fetch-site': 'same-site' })).status, 403);
  t.equal((await claim({ ...from(url), origin: 'null' })).status, 403);
  t.equal((await claim({ ...from(url), host: 'evil.example' })).status, 421, 'DNS rebinding');
  const headers = { cookie, 'sec-fetch-site': 'same-site' };
  const { port } = new URL(url);
  const paths = [
    '/api/queue',
    '/%61pi/queue',
    '/api/%71ueue',
    '/%61pi/incidents/1/stills/snapshot',
    `${url}/api/queue`,
  ];
  for (const path of paths) {
    const request = http.request({ host: '127.0.0.1', port, path, headers, agent: false }).end();
    const [{ statusCode }] = (await once(request, 'response')) as [http.IncomingMessage];
    t.equal(statusCode, 403, `${path} elsewhere, as an image`);
  }
  t.equal((await ask(`${url}/api/queue`, { headers: { cookie, host: `localhost:${port}` } })).status, 200);

  const answer = await ask(`${url}/api/queue`, { headers: { cookie } });
  t.match(answer.headers, {
    'content-security-policy':
      /^default-src 'none'; script-src 'self';.*frame-ancestors 'none'; base-uri 'none'/,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-store',
  });
  t.equal((await ask(`${url}/healthz`, { headers: { host: '10.0.0.7' } })).text, 'well\n');

  for (const path of ['/', '/cameras', '/incidents/17', '/hand-over']) {
    t.match(
      await ask(`${url}${path}`),
      { status: 200, text: /<title>Vigie/, headers: { 'cache-control': 'no-cache' } },
      path,
    );
  }
  const absent = ['/..%2fmain.js', '/app.js.map', '/api', '/auth/x', '/a/b/c', '/chunks/secret.txt'];
  for (const path of absent) t.equal((await ask(`${url}${path}`)).status, 404, path);
  const script = await ask(`${url}/app.js`);
  t.match(script.headers, { 'content-type': /^text\/javascript/, 'x-content-type-options': 'nosniff' });
  const etag = String(script.headers.etag);
  t.match(await ask(`${url}/app.js`, { headers: { 'if-none-match': etag } }), { status: 304, text: '' });
  t.match(await ask(`${url}/chunks/audit-ABCD2345.js`), {
    status: 200,
    text: '// one screen',
    headers: { 'content-type': /^text\/javascript/, 'cache-control': 'max-age=31536000, immutable' },
  });
  const response = await fetch(`${url}/app.js`);
  t.equal(response.headers.get('content-encoding'), 'gzip');
  t.equal(await response.text(), script.text);
});

t.test('behind a TLS proxy only the configured name and host-bound cookies are accepted', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const { url, server } = await startConsole(t, db, { settings: { origin: 'https://console.example' } });
  const headers = {
    host: 'console.example',
    origin: 'https://console.example',
    'x-forwarded-for': '192.0.2.7',
  };
  const logIn = (more: Record<string, string>, name: string) =>
    ask(`${url}/api/login`, { method: 'POST', headers: { ...headers, ...more }, body: { name } });
  const answer = await logIn({}, 'operator');
  t.match(answer.headers['set-cookie'], [
    /^__Host-vigie=[\w-]{43}; Max-Age=43200; Path=\/; HttpOnly; Secure; SameSite=Strict$/,
  ]);
  t.match(answer.headers['strict-transport-security'], /^max-age=/);
  const cookie = cookieOf(answer, '__Host-vigie');
  const session = (sentCookie: string) =>
    ask(`${url}/api/session`, { headers: { ...headers, cookie: sentCookie } });
  t.equal((await session(cookie)).status, 200);
  t.equal((await session(cookie.replace('__Host-', ''))).status, 401, 'under a name that others could set');
  t.equal((await ask(`${url}/api/login`)).status, 421, 'by its address');
  for (let at = 0; at < 40; at += 1) await logIn({}, 'x');
  t.equal((await logIn({}, 'operator')).status, 429, 'too many attempts must wait');
  t.equal((await logIn({ 'x-forwarded-for': '192.0.2.8' }, 'operator')).status, 200, 'and no other address');
  const refusedLogins = (await auditOf(db)).filter(({ act }) => act === 'login-refused');
  t.ok(refusedLogins.length <= 31, 'a stranger does not fill the record');
  for (const name of ['y', 'z']) await logIn({ 'x-forwarded-for': '192.0.2.9' }, name);
  t.match(
    (await auditOf(db))
      .filter(({ act }) => act === 'login-refused')
      .slice(-2)
      .map(({ more }) => more['name']),
    ['y', 'z'],
    'nor hides those of others',
  );
  t.match(server.summary(), /logins refused/);
});

onEachDatabase('a session ends by its limits, and is audited', async (t, database) => {
  const db = await database.prepared();
  const { url, clock, server } = await startConsole(t, db);
  const status = async (cookie: string) => (await ask(`${url}/api/session`, { headers: { cookie } })).status;
  const minutes = (count: number): void => {
    clock.aheadMs += count * 60_000;
  };
  const first = await ask(`${url}/api/login`, {
    method: 'POST',
    headers: from(url),
    body: { name: 'supervisor' },
  });
  t.match(
    String(first.headers['set-cookie']),
    /^vigie=[\w-]{43}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/,
  );
  t.match(first.json, { user: 'supervisor', role: 'supervisor', demo: true, timeZone: 'Europe/Paris' });
  t.same(first.json.people, ['operator', 'operator-2', 'supervisor']);
  const cookie = cookieOf(first);
  const rows = await db.all<{ id: string }>('SELECT id FROM session');
  t.equal(rows[0]?.id, createHash('sha256').update(cookie.slice('vigie='.length)).digest('hex'));

  const idle = await enter(url, 'operator');
  for (let at = 0; at < 2; at += 1) {
    minutes(29);
    t.equal(await status(cookie), 200, 'a session in use stays');
  }
  t.equal(await status(idle), 401, 'it expires after 30 minutes without use');
  for (let at = 0; at < 22; at += 1) {
    minutes(29);
    await status(cookie);
  }
  minutes(20);
  t.equal(await status(cookie), 200, `${clock.aheadMs / 3_600_000} h`);
  minutes(10);
  t.equal(await status(cookie), 401, 'twelve hours are the most');

  const auditorCookie = await enter(url, 'auditor');
  const stream = readStream(t, url, auditorCookie);
  await waitUntil(t, 'the stream answers', () => stream.status === 200);
  const out = await ask(`${url}/api/logout`, {
    method: 'POST',
    headers: { cookie: auditorCookie, ...from(url) },
    body: {},
  });
  t.match(out.headers['set-cookie'], [/^vigie=; Max-Age=0/]);
  t.equal(await status(auditorCookie), 401);
  await waitUntil(t, 'the stream ends', () => stream.isOver);
  t.equal(stream.names().at(-1), 'session');

  const names = ['nobody\u001b[31m', 'x'.repeat(64)];
  for (const name of names) {
    const answer = await ask(`${url}/api/login`, { method: 'POST', headers: from(url), body: { name } });
    t.equal(answer.status, 403);
  }
  const auditEntries = (await auditOf(db)).map(({ account, act, more }) => ({ account, act, more }));
  t.match(auditEntries.slice(-4), [
    { account: 'auditor', act: 'login', more: { method: 'local' } },
    { account: 'auditor', act: 'logout' },
    { account: 'room', act: 'login-refused', more: { name: 'nobody\\x1b[31m', reason: 'no such account' } },
    { account: 'room', act: 'login-refused' },
  ]);
  t.match(await verifyChain(db), { problem: null }, 'the audit log is intact');

  const cookies: string[] = [];
  for (let at = 0; at < 17; at += 1) {
    clock.aheadMs += 1000;
    cookies.push(await enter(url, 'operator').catch(() => ''));
  }
  t.equal(await status(cookies[0] ?? ''), 401, 'the oldest of seventeen has ended');
  t.equal(await status(cookies[16] ?? ''), 200);
  let tries = 0;
  for (; tries < 40; tries += 1) {
    const call = { method: 'POST', headers: from(url), body: { name: 'x' } };
    const answer = await ask(`${url}/api/login`, call);
    if (answer.status !== 429) continue;
    t.ok(Number(answer.headers['retry-after']) >= 1, 'it says when to retry');
    break;
  }
  t.ok(tries < 40, 'too many attempts must wait');
  t.match(server.summary(), /logins refused.*tries too often/);
});

t.test('a wrong setting is reported with its place and fix, without any secret', (t) => {
  const dir = scratch(t);
  const secret = join(dir, 'secret');
  writeFileSync(secret, 's3cret\n', { mode: 0o600 });
  const open = join(dir, 'open');
  writeFileSync(open, 's3cret\n', { mode: 0o644 });
  const empty = join(dir, 'empty');
  writeFileSync(empty, '\n', { mode: 0o600 });
  const read = (text: string) => {
    writeFileSync(join(dir, 'console.yaml'), text);
    return readSettings(join(dir, 'console.yaml'));
  };
  const oidc = (more = '') =>
    `database: postgres://room@db/room\norigin: https://console.example\nlisten: 0.0.0.0:9480\noidc:\n  issuer: https://id.example\n  clientId: vigie\n  clientSecretFile: ${secret}\n  roleClaim: groups\n  roles: {vigie-op: operator, vigie-sup: supervisor}\n${more}`;
  const settings = read(
    oidc(
      `tokens: [{name: exporter, sha256: ${'a'.repeat(64)}, role: auditor}]\nplan: city.geojson\nsigner: signer.sock\nwebhooks: [{name: desk, url: "https://desk.example/in", secretFile: ${secret}, types: [incident.received]}]\n`,
    ),
  );
  t.match(settings, {
    listen: { host: '0.0.0.0', port: 9480 },
    origin: 'https://console.example',
    oidc: { clientSecret: 's3cret', nameClaim: 'preferred_username', scope: 'openid profile' },
    plan: join(dir, 'city.geojson'),
    signer: join(dir, 'signer.sock'),
    webhooks: [{ secret: 's3cret', types: ['incident.received'] }],
    accounts: undefined,
  });
  const demo = 'demo: {accounts: [{name: a, role: operator}]}\n';
  t.match(read(`database: room.db\n${demo}`), { database: join(dir, 'room.db'), listen: { port: 9480 } });
  t.match(demoSettings('room.db', '[::1]:0'), { listen: { host: '::1', port: 0 } });
  const wrong: [string, RegExp][] = [
    ['database: [', /not readable as YAML: .*line 1/],
    [oidc('colour: red\n'), /colour is not known here; known: listen, origin, database, oidc, tokens/],
    [
      oidc(`tokens: [${`{name: x, sha256: ${'a'.repeat(64)}, role: auditor},`.repeat(2)}]`),
      /tokens\.1\.name: two tokens/,
    ],
    [oidc().replace(secret, open), /oidc\.clientSecretFile: .*open to others .* chmod 0640/],
    [oidc().replace(secret, empty), /oidc\.clientSecretFile: .* is empty/],
    [oidc().replace('https://id.example', 'http://id.example'), /oidc\.issuer: must be https/],
    [
      oidc().replace('https://console.example', 'http://console.example'),
      /origin: must be .* https:\/\/console\.example/,
    ],
    [
      oidc().replace('https://console.example', 'https://console.example/x'),
      /origin: must be what a browser has/,
    ],
    [oidc().replace('origin: https://console.example\n', ''), /origin is missing: the public URL/],
    [oidc().replace('room@db', 'room:s3cret@db'), /database: holds a password; it belongs in .*PGPASSFILE/],
    [oidc().replace('postgres:', 'mysql:'), /database: must be a file or postgres/],
    [oidc().replace('0.0.0.0:9480', '9480'), /listen:? must be address:port/],
    [oidc(demo), /oidc and demo: one way in/],
    ['database: room.db', /oidc is missing; without it login is impossible/],
    [
      `database: room.db\nlisten: 0.0.0.0:1\n${demo}`,
      /demo: accounts without a password are for this machine only/,
    ],
    [`database: room.db\norigin: https://console.example\n${demo}`, /demo: accounts without a password/],
    [
      oidc(`webhooks: [{name: x, url: "http://desk.example", secretFile: ${secret}}]`),
      /webhooks\.0\.url: must be https/,
    ],
  ];
  for (const [text, line] of wrong) {
    try {
      read(text);
      t.fail(`taken: ${text}`);
    } catch (error) {
      const { message } = error as Error;
      t.match(message, line);
      t.notMatch(message, /s3cret|\n/);
    }
  }
  t.end();
});
