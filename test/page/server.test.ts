/** Tests the page's server: pairing, refused requests, and limits. */
import { once } from 'node:events';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { gunzipSync } from 'node:zlib';
import t from 'tap';
import { makeSetupCode } from '../../agent/contract/setup-code.ts';
import { PairingLocks, TRIES } from '../../agent/page/server/pairing-locks.ts';
import { HandClock } from '../lib/outbox.ts';
import { closed, openPage, openPaired, type Page } from '../lib/page.ts';
import { waitUntil } from '../lib/room.ts';

const HOUR_MS = 3_600_000;
const WRONG = '0000-0000-0000-0000';

void t.test('only the right code pairs a phone, and only once', async (t) => {
  const page = await openPage(t);
  const phone = page.phone();
  t.match(await phone.get('/api/hello'), { status: 200, json: { box: 'canebiere-017', paired: false } });
  t.match(await phone.get('/api/state'), { status: 401, json: { error: 'not-paired' } });
  t.match(await phone.pair(WRONG), { status: 401, json: { error: 'wrong', left: 4 } });
  // As a person types it.
  const paired = await phone.pair(page.code.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o'));
  t.equal(paired.status, 200);
  const cookie = paired.headers['set-cookie']?.[0] ?? '';
  t.match(cookie, /^__Host-vigie=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=259200$/);
  t.match(await phone.get('/api/hello'), { json: { paired: true, site: 'marseille-1' } });
  t.match(await phone.get('/api/state?language=fr'), { status: 200, json: { sessionLeftS: 8 * 3600 } });
  t.match(page.agent.requests.at(-1), {
    session: /^(?!0{16})[0-9a-f]{16}$/,
    ask: { op: 'state', language: 'fr' },
  });

  t.match(await page.phone().pair(), { status: 401, json: { error: 'used' } });
  await page.restart();
  t.match(await page.phone().pair(), { status: 401, json: { error: 'used' } }, 'after a restart too');
  t.notMatch(readFileSync(page.usedCodesFile, 'utf8'), page.code, 'no code on disk');
  t.equal(statSync(page.usedCodesFile).mode & 0o777, 0o600);

  page.offer('ABCD-EFGH-JKMN-PQRS');
  t.match(await phone.pair('abcdefghjkmnpqrs'), { status: 200 }, 'a new code in the old one’s place');
});

void t.test('a paired phone stays paired over restarts, for eight hours in all', async (t) => {
  const page = await openPage(t);
  const file = join(page.dir, 'state', 'sessions.json');
  const [first, second] = [page.phone(), page.phone()];
  await first.pair();
  await first.get('/api/state');
  const session = page.agent.requests.at(-1)?.session;
  /** Boots the box: its monotonic clock restarts, and its wall clock may have any value. */
  const boot = async (wallMs: number, damagedText?: string): Promise<void> => {
    await page.stop();
    if (damagedText !== undefined) writeFileSync(file, damagedText);
    page.clock.monoMs = 5000;
    page.clock.epochMs = wallMs;
    await page.start();
  };
  const leftS = async (phone = first): Promise<unknown> => (await phone.get('/api/state')).json.sessionLeftS;
  page.clock.advance(HOUR_MS);
  await boot(0);
  t.equal(await leftS(), 7 * 3600, 'the clock of an image does not lengthen it');
  t.equal(page.agent.requests.at(-1)?.session, session, 'the journal’s name of it is the same');
  await boot(Date.UTC(2040, 1, 1));
  t.equal(await leftS(), 7 * 3600, 'a clock that is years ahead does not end it');
  const token = first.cookie?.split('=')[1] ?? '?';
  const storedText = readFileSync(file, 'utf8');
  t.notMatch(storedText, token, 'no token on disk');
  t.equal(statSync(file).mode & 0o777, 0o600);
  page.clock.advance(59_000);
  await leftS();
  t.equal(readFileSync(file, 'utf8'), storedText, 'not written more than once a minute');
  await boot(0, storedText);
  t.equal(await leftS(), 7 * 3600 - 60, 'power that was cut costs a minute, and adds none');

  await second.pair((await first.post('/api/code')).json.code);
  const { cookie } = first;
  await first.post('/api/unpair');
  first.cookie = cookie;
  await page.restart();
  t.match(await first.get('/api/state'), { status: 401 }, 'unpaired is unpaired');
  for (let hours = 0; hours < 8; hours += 1) {
    t.equal(await leftS(second), (8 - hours) * 3600);
    page.clock.advance(HOUR_MS);
    if (hours < 7) await boot(hours);
  }
  await boot(0);
  t.match(await second.get('/api/state'), { status: 401 }, 'eight hours of running, in sum');

  page.offer('ABCD-EFGH-JKMN-PQRS');
  await first.pair('ABCDEFGHJKMNPQRS');
  for (const damaged of [
    '',
    '{"version":1,"sessions":[',
    storedText.replace(/"leftS":[\d.]+/, '"leftS":1e9'),
  ]) {
    const from = page.lines.length;
    await boot(0, damaged);
    t.match(await first.get('/api/state'), { status: 401 }, 'no phone is let in by a damaged file');
    await page.restart();
    const damageLines = page.lines.slice(from).filter((line) => /sessions\.json is damaged/.test(line));
    t.equal(damageLines.length, 1, 'said once');
  }
});

void t.test(
  'a paired phone issues a code for a second one, and the oldest of three is unpaired',
  async (t) => {
    const { page, phone: first } = await openPaired(t);
    const [second, third, late] = [page.phone(), page.phone(), page.phone()];
    t.match(await late.post('/api/code'), { status: 401 }, 'not from a phone that is not paired');
    const { json } = await first.post('/api/code');
    t.match(json, { code: /^([0-9A-Z]{4}-){3}[0-9A-Z]{4}$/, minutes: 10 });
    t.match(await second.pair(json.code), { status: 200 });
    t.match(await late.pair(json.code), { status: 401, json: { error: 'no-code' } }, 'once');
    t.match(await first.get('/api/state'), { status: 200 });
    const old = (await second.post('/api/code')).json.code;
    page.clock.advance(10 * 60_000);
    t.match(await third.pair(old), { status: 401, json: { error: 'expired' } });
    await third.pair((await second.post('/api/code')).json.code);
    t.match(await third.get('/api/state'), { status: 200 });
    t.match(await first.get('/api/state'), { status: 401 }, 'two at most: the oldest has gone');

    const oldCookie = second.cookie;
    t.match(await second.post('/api/unpair'), { status: 200, headers: { 'set-cookie': [/Max-Age=0/] } });
    second.cookie = oldCookie;
    t.match(await second.get('/api/state'), { status: 401 }, 'unpaired, whatever cookie the phone has');
    page.clock.advance(8 * HOUR_MS);
    t.match(await third.get('/api/state'), { status: 401 }, 'a session of yesterday');
  },
);

void t.test('wrong codes lock the phone that types them for a growing time, and no other', async (t) => {
  const page = await openPage(t);
  const guessing = (code = WRONG) => page.phone('127.0.0.9').pair(code);
  for (const left of [4, 3, 2, 1]) t.match(await guessing(), { json: { error: 'wrong', left } });
  t.match(await guessing(), { status: 401, json: { error: 'wrong', left: 0, retryInS: 60 } });
  page.clock.advance(20_000);
  const locked = { status: 429, json: { error: 'locked', retryInS: 40 }, headers: { 'retry-after': '40' } };
  t.match(await guessing(page.code), locked, 'the right one too');
  for (const retryInS of [120, 240, 480, 960, 1920, 3600, 3600]) {
    page.clock.advance(HOUR_MS);
    t.match(await guessing(), { json: { error: 'wrong', retryInS } });
    t.match(await guessing(), { json: { error: 'locked', retryInS } });
  }
  t.match(await page.phone().pair(), { status: 200 }, 'the technician is paired meanwhile');
});

void t.test('a new label clears the lock, and so does the room by a signed command', async (t) => {
  const page = await openPage(t);
  await waitUntil(t, 'the agent is there', () => page.agent.connected);
  const lock = async (): Promise<void> => {
    for (let tries = 0; tries < 5; tries += 1) await page.phone().pair(WRONG);
    t.match(await page.phone().pair(), { json: { error: 'locked' } });
  };
  await lock();
  page.agent.say({ kind: 'unlock-pairing' });
  await waitUntil(t, 'the page has heard it', () =>
    page.lines.some((line) => /let phones try again.*"phones":1/.test(line)),
  );
  t.match(await page.phone().pair(WRONG), { json: { error: 'wrong', left: 4 } });
  const other = makeSetupCode();
  for (let tries = 0; tries < 4; tries += 1) await page.phone().pair(WRONG);
  t.match(await page.phone().pair(other), { json: { error: 'locked' } });
  page.offer(other);
  t.match(
    await page.phone().pair(page.code),
    { json: { error: 'wrong', left: 4 } },
    'the label before is none',
  );
  t.match(await page.phone().pair(other), { status: 200 });
});

void t.test('guessing for a year has a negligible chance', (t) => {
  const clock = new HandClock();
  const locks = new PairingLocks(clock);
  const label = 'a'.repeat(64);
  let [compared, honest] = [0, 0];
  // Ten minutes of 400 tries a second, each from an address not seen for a long time; the technician tries once a minute.
  const S = 600;
  for (let turn = 0; turn < 400 * S; turn += 1) {
    clock.advance(2.5);
    const address = `fe80::${(turn % 60_000).toString(16)}`;
    if (locks.waitS(address, label) === 0) {
      compared += 1;
      locks.wrong(address);
    }
    if (turn % 24_000 === 0 && locks.waitS('192.0.2.1', label) <= 1) honest += 1;
  }
  t.ok(compared > 0 && compared <= TRIES.burst + TRIES.perS * S, `${compared} codes were compared`);
  const inAYear = compared * 6 * 24 * 366;
  t.ok(inAYear / 2 ** 80 < 3e-15, `a chance of ${inAYear / 2 ** 80}`);
  t.equal(honest, 10, 'an honest technician waits for a second at most');
  // One address for a year: five tries, and then one an hour.
  let tries = 0;
  for (let hour = 0; hour < 366 * 24; hour += 1) {
    clock.advance(HOUR_MS);
    while (locks.waitS('192.0.2.2', label) === 0) {
      tries += 1;
      locks.wrong('192.0.2.2');
    }
  }
  t.ok(tries < 366 * 24 + 12, `${tries} of one address`);
  t.end();
});

void t.test('no phone is paired where the state is unreadable or unwritable', async (t) => {
  const page = await openPage(t);
  const [usedCodes, fingerprint] = [page.usedCodesFile, join(page.dir, 'state', 'fingerprint.txt')];
  const label = join(page.dir, 'room', 'setup-code.json');
  const damages: [() => void, RegExp][] = [
    [() => writeFileSync(usedCodes, '{"version":1,"used":['), /is damaged/],
    [() => rmSync(usedCodes), /missing although the page has run before/],
    [() => [fingerprint, label].map((file) => rmSync(file)), /holds no code/],
    [() => writeFileSync(label, '{}'), /holds no code/],
  ];
  for (const [damage, reason] of damages) {
    await page.stop();
    damage();
    await page.start();
    t.match(await page.phone().pair(), { status: 401, json: { error: 'no-code', reason } });
  }
  page.offer(page.code);
  t.match(await page.phone().pair(WRONG), { json: { error: 'wrong' } });
  page.clock.advance(31 * 24 * HOUR_MS);
  t.match(await page.phone().pair(), { json: { error: 'expired' } }, 'the box has run with it for a month');
});

void t.test('a request under another name, from another page or in another form is refused', async (t) => {
  const page = await openPage(t);
  const phone = page.phone();
  const { port } = page;
  const hello = (Host: string): Promise<number> =>
    phone.get('/api/hello', { headers: { Host } }).then(({ status }) => status);
  for (const host of ['localhost', '127.0.0.1', '[::1]', '[0:0::1]', '10.42.0.1', 'canebiere-017.local'])
    t.equal(await hello(`${host}:${port}`), 200, host);
  for (const host of ['evil.example', 'localhost.evil.example', '[::2]', '8.8.8.8', 'localhost@evil', '[::1'])
    t.equal(await hello(`${host}:${port}`), 421, host);
  t.equal(await hello('localhost'), 421, 'another port');

  await phone.pair();
  const origin = (Origin: string | undefined, site?: string): Promise<number> =>
    phone.post('/api/code', {}, { Origin, 'Sec-Fetch-Site': site }).then(({ status }) => status);
  t.equal(await origin(`https://localhost:${port}`), 200, 'an old browser says no more than its origin');
  const foreigners = ['null', 'https://evil.example', `http://localhost:${port}`, 'https://localhost'];
  for (const foreign of [undefined, ...foreigners])
    t.equal(await origin(foreign, 'same-origin'), 403, `origin ${foreign}`);
  for (const site of ['cross-site', 'same-site', 'none'])
    t.equal(await origin(`https://localhost:${port}`, site), 403);
  const cross = { headers: { 'Sec-Fetch-Site': 'cross-site' } };
  for (const path of ['/api/state', '/api/preview', '/api/receipt.pdf', '/api/hello'])
    t.match(await phone.get(path, cross), { status: 403 }, path);
  t.match(await phone.get('/', cross), { status: 200 }, 'a link leads to the page');

  for (const type of [undefined, 'text/plain', 'application/json; charset=latin1', 'multipart/form-data'])
    t.match(await phone.post('/api/code', '{}', { 'Content-Type': type }), { status: 415 }, String(type));
  for (const body of ['', '{', '[]', 'null', '{"more":1}', '{"__proto__":{}}'])
    t.match(await phone.post('/api/code', body), { status: 400, json: { error: 'malformed' } }, body);
  for (const method of ['PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH'])
    t.match(await phone.ask(method, '/api/state', {}), { status: 405 }, method);
  t.match(await phone.get('/api/code'), { status: 405 });
  t.match(await phone.get('/api/state', { body: '{}' }), { status: 400 }, 'a GET with a body');
  t.match(await phone.ask('HEAD', '/', {}), { status: 200, body: Buffer.alloc(0) });
});

void t.test('the server serves the app and no other file', async (t) => {
  const page = await openPage(t);
  const phone = page.phone();
  const packed = await phone.get('/', { headers: { 'Accept-Encoding': 'gzip, br' } });
  t.match(gunzipSync(packed.body).toString(), /<title>Vigie/);
  const plain = await phone.get('/');
  t.match(plain.body.toString(), /<title>Vigie/, 'for what unpacks nothing');
  const etag = String(packed.headers.etag);
  t.match(await phone.get('/', { headers: { 'If-None-Match': etag } }), {
    status: 304,
    body: Buffer.alloc(0),
  });
  for (const path of ['/app.js', '/style.css', '/?x=1'])
    t.match(await phone.get(path), { status: 200 }, path);
  const up = ['/..', '/../../etc/passwd', '/%2e%2e/state/page.key', '/..%2fstate/page.key'];
  for (const path of [
    ...up,
    '/app.js/../../state',
    '//etc/passwd',
    '/index.html',
    '/app.js%00.css',
    '/.',
    '/app.js/',
    '/APP.JS',
  ])
    t.match(await phone.get(path), { status: 404, json: { error: 'no-such-page' } }, path);
  for (const answer of [packed, await phone.get('/api/hello'), await phone.get('/nothing')]) {
    t.match(answer.headers, {
      'content-security-policy':
        /^default-src 'none'; script-src 'self'; .*frame-ancestors 'none'; require-trusted/,
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'permissions-policy': /camera=\(\)/,
      'cache-control': /^no-(store|cache)$/,
    });
  }
});

const HEAD = (page: Page): string => `Host: localhost:${page.port}\r\nOrigin: https://localhost:${page.port}`;

void t.test('an ambiguous request is not read', async (t) => {
  const page = await openPage(t, { headersMs: 2000, requestMs: 3000 });
  const json = 'Content-Type: application/json';
  const cases: Record<string, string> = {
    'two lengths': `POST /api/pair HTTP/1.1\r\n${HEAD(page)}\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}`,
    'length and chunks': `POST /api/pair HTTP/1.1\r\n${HEAD(page)}\r\n${json}\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n`,
    'two hosts': `GET / HTTP/1.1\r\n${HEAD(page)}\r\nHost: evil.example\r\n\r\n`,
    'a whole URL': `GET https://evil.example/ HTTP/1.1\r\n${HEAD(page)}\r\n\r\n`,
    'a proxy': `CONNECT 10.0.0.2:554 HTTP/1.1\r\n${HEAD(page)}\r\n\r\n`,
    'a long head': `GET / HTTP/1.1\r\n${HEAD(page)}\r\nX: ${'x'.repeat(9000)}\r\n\r\n`,
    'a long path': `GET /${'a'.repeat(2000)} HTTP/1.1\r\n${HEAD(page)}\r\n\r\n`,
  };
  for (const [caseName, text] of Object.entries(cases)) {
    const answer = await page.send(text);
    t.match(answer, /^$|^HTTP\/1\.1 4\d\d /, caseName);
    t.equal(answer.split('HTTP/1.1 ').length <= 2, true, `${caseName}: one answer at most`);
  }
  t.match(await page.phone().get('/api/hello'), { status: 200 });
  for (const options of [{ maxVersion: 'TLSv1.2' as const }, { ALPNProtocols: ['h2'] }]) {
    const socket = connect({ host: '127.0.0.1', port: page.port, rejectUnauthorized: false, ...options });
    const [error] = (await once(socket, 'error')) as [Error];
    t.match(error.message, /protocol|alert/i, `refused: ${JSON.stringify(options)}`);
  }
});

void t.test('too large, too slow and too many requests are cut', async (t) => {
  const page = await openPage(t, { headersMs: 1000, requestMs: 1500, silenceMs: 2000 });
  const { port } = page;
  const post = `POST /api/pair HTTP/1.1\r\n${HEAD(page)}\r\nContent-Type: application/json\r\n`;
  const announced = await page.send(`${post}Content-Length: 2000000\r\n\r\n{`);
  t.match(announced, /^HTTP\/1\.1 413 .*too-long/s, '2 MB are refused before they come');
  const chunk = `${(65_536).toString(16)}\r\n${'x'.repeat(65_536)}\r\n`;
  const socket = await page.raw();
  socket.write(`${post}Transfer-Encoding: chunked\r\n\r\n`);
  for (let sentMiB = 0; sentMiB < 32 && !socket.destroyed; sentMiB += 1) {
    socket.write(chunk);
    await sleep(2);
  }
  await closed(socket);
  t.ok(socket.bytesWritten < 2_200_000, 'and read no further than their limit');

  const timed = async (text: string): Promise<{ answer: string; ms: number }> => {
    const from = performance.now();
    return { answer: await page.send(text), ms: performance.now() - from };
  };
  const [head, body, nothing] = await Promise.all([
    timed(`GET / HTTP/1.1\r\nHost: localhost:${port}\r\n`),
    timed(`${post}Content-Length: 40\r\n\r\n{"code":`),
    timed(''),
  ]);
  for (const { answer, ms } of [head, body, nothing]) {
    t.match(answer, /^$|^HTTP\/1\.1 4/);
    t.ok(ms < 4800, `cut after ${Math.round(ms)} ms`);
  }

  const all = await Promise.all(Array.from({ length: 40 }, () => page.raw()));
  await waitUntil(t, 'those beyond are closed', () => all.filter(({ destroyed }) => !destroyed).length <= 32);
  for (const each of all) each.destroy();
  await sleep(200);
  t.match(await page.phone().get('/api/hello'), { status: 200 }, 'and there is room again');
  const pipelined = await page.send(`GET /api/hello HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`.repeat(500));
  t.ok(pipelined.split('HTTP/1.1 200').length <= 202, 'no more than some requests on one connection');
  await page.stop();
  t.match(page.lines.at(-1), /closed or left out.*"crowded":[1-9]/, 'and the log has counted them');
});

void t.test('one address cannot use all requests and connections', async (t) => {
  const connections = { burst: 30, perS: 1 };
  const page = await openPage(t, { connections, connectionsOfOneMax: 5, requests: { burst: 10, perS: 1 } });
  const statuses: number[] = [];
  for (let count = 0; count < 12; count += 1) statuses.push((await page.phone().get('/api/hello')).status);
  t.strictSame(statuses, [...Array<number>(10).fill(200), 429, 429]);
  page.clock.advance(1000);
  t.match(await page.phone().get('/api/hello'), { status: 200 }, 'a second later one more');
  const sockets = await Promise.all(Array.from({ length: 12 }, () => page.raw()));
  await waitUntil(t, 'cut', () => sockets.filter(({ destroyed }) => !destroyed).length <= 5);
  for (const socket of sockets) socket.destroy();
  await Promise.all(Array.from({ length: 30 }, () => page.raw()));
  t.equal((await page.raw()).destroyed, true, 'nor come again and again');
});

void t.test('a phone that lost the answer to its pairing repeats it, and no other phone can', async (t) => {
  const page = await openPage(t);
  const attempt = '0123456789abcdef'.repeat(2);
  const body = { code: page.code, attempt };
  const [first, repeated, stranger] = [page.phone(), page.phone(), page.phone()];
  t.match(await first.post('/api/pair', body), { status: 200 });
  t.match(await stranger.pair(), { status: 401, json: { error: 'used' } }, 'a code works once');
  const otherAttempt = { ...body, attempt: 'f'.repeat(32) };
  t.match(await stranger.post('/api/pair', otherAttempt), { status: 401, json: { error: 'used' } });
  t.match(await stranger.post('/api/pair', { ...body, code: WRONG }), { status: 401 });
  t.match(await repeated.post('/api/pair', body), { status: 200 });
  t.match(await repeated.get('/api/state'), { status: 200 });
  t.match(await first.get('/api/state'), { status: 401 }, 'one code gives one session');
  page.clock.advance(5 * 60_000);
  t.match(await page.phone().post('/api/pair', body), { status: 401, json: { error: 'used' } }, 'too late');
  t.notMatch(page.lines.join(), attempt, 'not in the log');
});

void t.test('no secret is in any line of the log', async (t) => {
  const { page, phone } = await openPaired(t);
  await page.phone().pair(WRONG);
  const newCode = (await phone.post('/api/code')).json.code;
  const camera = { address: '127.0.0.1:9', user: 'admin', password: 'hunter2-hunter2' };
  t.match(await phone.post('/api/cameras/stream', camera), { status: 503 });
  await phone.post('/api/pair', { code: newCode, password: 'hunter2-hunter2' });
  await phone.get(`/api/state?code=${newCode}`);
  await page.stop();
  const lines = page.lines.join('\n');
  t.match(lines, /a phone was paired/);
  for (const secret of [page.code, newCode, WRONG, phone.cookie?.split('=')[1] ?? '?', 'hunter2', 'admin'])
    t.notOk(lines.includes(secret) || lines.includes(secret.replaceAll('-', '')), 'not in the log');
});
