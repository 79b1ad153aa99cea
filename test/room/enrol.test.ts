/**
 * Tests the control room's enrolment: tokens, the list, renewal, revocation at a real broker, and malformed or slow
 * clients.
 */
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import Database from 'better-sqlite3';
import mqtt from 'mqtt';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { listLines } from '../../scripts/products/room/enrol/list.ts';
import { EnrolFiles } from '../../scripts/products/root/enrolment/enrol-files.ts';
import { renewBox } from '../../scripts/products/root/enrolment/renew.ts';
import { bundled } from '../lib/bundled.ts';
import { ask, BOX, csrOf, NewBox, newKey, SITE, TestRoom } from '../lib/enrolment.ts';
import { namedEvent } from '../lib/events.ts';
import { openedOutbox, rowsOf } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { type Program, start } from '../lib/program.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { deliver, waitUntil } from '../lib/room.ts';
import { ALL, unlessAll } from '../lib/run.ts';
import { WarmProgram } from '../lib/warm-program.ts';

const PROGRAM = bundled('scripts/products/room/enrol');
const ENROL = '/.well-known/est/simpleenroll';
const RENEW = '/.well-known/est/simplereenroll';
const base64 = (der: Buffer): string => der.toString('base64');

async function startedRoom(t: Test, limits?: ConstructorParameters<typeof TestRoom>[1]): Promise<TestRoom> {
  const room = new TestRoom(t, limits);
  await room.start();
  return room;
}

/** Certificate and key of an enrolled box as text. */
function pemOf(room: TestRoom, box: string): { cert: string; key: string } {
  const { cert, key } = room.enrol(box);
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

void t.test('concurrent requests with one token give one certificate, also repeated', async (t) => {
  const room = await startedRoom(t);
  const login = `${BOX}:${room.token()}`;
  const requests = [1, 2, 3, 4].map((i) => base64(csrOf(newKey(join(room.dir, `k${i}.key`)), BOX)));
  const answers = await Promise.all(
    [...requests, ...requests].map((body) => ask(room, ENROL, { body, login })),
  );
  const statuses = answers.map(({ status }) => status);
  t.equal(statuses.filter((status) => status === 200).length, 2, 'one key, which asked twice');
  t.equal(statuses.filter((status) => status === 401).length, 6);
  t.equal(new Set(answers.filter(({ status }) => status === 200).map(({ text }) => text)).size, 1);
  t.equal(room.store.certificates().length, 1);
  t.match(answers.find(({ status }) => status === 401)?.text, 'the token has been used');
  const caCerts = await ask(room, '/.well-known/est/cacerts', { method: 'GET' });
  t.match(caCerts, { status: 200, headers: { 'content-type': /pkcs7-mime/ } });
});

void t.test('the list is limited, and requests without a token have a limit of their own', async (t) => {
  const room = await startedRoom(t, { perAddress: { burst: 3, perS: 0.1 } });
  const body = base64(csrOf(newKey(join(room.dir, 'a.key')), BOX));
  const polled = [];
  for (let i = 0; i < 4; i += 1) polled.push(await ask(room, ENROL, { body }));
  t.strictSame(
    polled.map(({ status }) => status),
    [202, 202, 202, 429],
  );
  t.match(polled[0]?.headers['retry-after'], /^3\d$/);
  t.match(polled[3]?.headers['retry-after'], /^\d+$/);
  const asking = { nowMs: Date.now(), issue: () => t.fail('nothing is issued') as never };
  const state = (i: number) =>
    room.store.byHand('192.0.2.1', { ...asking, box: `b-${i}`, key: 'a'.repeat(64) }).state;
  const db = new Database(join(room.dir, 'enrolment.db'));
  const fill = db.prepare("INSERT INTO pending VALUES (?, ?, '192.0.2.1', @now, @now, NULL, NULL)");
  db.transaction(() => {
    for (let i = 0; i < 999; i += 1) fill.run(`b-${i}`, 'a'.repeat(64), { now: Date.now() });
  })();
  db.close();
  t.equal(state(999), 'full');
  t.equal(state(0), 'pending', 'existing entries stay on the list');
  const from = (address: string, box: string) =>
    room.store.byHand(address, { ...asking, box, key: 'c'.repeat(64) }).state;
  t.equal(from('198.51.100.7', 'newcomer'), 'pending', 'an address with few names takes a place');
  t.equal(room.store.waiting.count, 1000);
  t.equal(
    room.store.waiting.rows().filter(({ box }) => box === 'b-998').length,
    0,
    'the newest of the one with the most',
  );
  t.equal(from('198.51.100.7', 'another'), 'pending');
  room.store.refuse('b-1');
  t.equal(state(999), 'pending', 'a refusal frees its place');
  t.equal(state(1), 'refused', 'and is remembered');
  t.equal(room.store.refuseFrom('192.0.2.1'), 997);
  t.equal(room.store.waiting.count, 3, 'the others stay');
  asking.nowMs += 15 * 86_400_000;
  t.equal(state(2000), 'pending', 'forgotten after two weeks without a decision');
  t.throws(() => room.store.accept(SITE, 'b-7'), { kind: 'config', message: /does not ask/ });
  room.store.byHand('192.0.2.2', { ...asking, box: 'b-2000', key: 'b'.repeat(64) });
  t.throws(() => room.store.accept(SITE, 'b-2000'), {
    message: /asks with several keys \(a{16}, b{16}\)/,
  });
  t.match(room.store.refuse('b-2000', 'bbb'), { address: '192.0.2.2' });
});

void t.test('a network that fills the list gives way, also by many addresses', async (t) => {
  const room = await startedRoom(t);
  const asking = {
    nowMs: Date.now(),
    key: 'a'.repeat(64),
    issue: () => t.fail('issued') as never,
  };
  const from = (address: string, box: string) => room.store.byHand(address, { ...asking, box }).state;
  for (let i = 0; i < 1000; i += 1) {
    const address = i < 800 ? `2001:db8:7:${i.toString(16)}` : `192.0.2.${i % 200}`;
    if (from(address, `b-${i}`) !== 'pending') t.fail(`b-${i}: is not on the list`);
  }
  for (let i = 0; i < 300; i += 1) {
    if (from('203.0.113.9', `city-${i}`) !== 'pending') t.fail(`city-${i}: behind one carrier’s address`);
  }
  t.equal(from('2001:db8:8:1', 'b-2000'), 'pending', 'another network');
  t.equal(from('2001:db8:7:ffff', 'b-3000'), 'full', 'no further address of that one');
  const names = room.store.waiting.rows().map(({ box }) => box);
  t.same([names.length, names.filter((name) => name.startsWith('city')).length], [1000, 300]);
  room.store.accept(SITE, 'city-299');
});

void t.test('serial, allowance and rate of a renewal are compared before its request is read', async (t) => {
  const room = await startedRoom(t, { perBox: { burst: 20, perS: 0.001 } });
  const own = pemOf(room, BOX);
  const body = (name = BOX): string => base64(csrOf(newKey(join(room.dir, 'next.key')), name));
  for (let i = 0; i < 9; i += 1) await ask(room, RENEW, { body: body(), pair: own });
  t.match(await ask(room, RENEW, { body: 'no request', pair: own }), {
    status: 429,
    text: /too often today/,
  });
  room.enrolment.revoke(BOX, Date.now());
  for (let i = 0; i < 10; i += 1) {
    const answer = await ask(room, RENEW, { body: 'no request', pair: own });
    t.match(answer, { status: 403, text: /the certificate is revoked/ });
  }
  const refusal = await ask(room, RENEW, { body: 'no request', pair: own });
  t.match(refusal, {
    status: 429,
    text: 'too many requests of this box',
    headers: { 'retry-after': /^\d+$/ },
  });
  const token = `box-8:${room.token('box-8')}`;
  t.match(await ask(room, ENROL, { body: body('box-8'), login: token }), { status: 200 }, 'others go on');
});

void t.test('a box renews its certificate with its valid one', async (t) => {
  const room = await startedRoom(t);
  const own = pemOf(room, BOX);
  const body = (name = BOX): string => base64(csrOf(newKey(join(room.dir, 'next.key')), name));
  t.match(await ask(room, RENEW, { body: body() }), {
    status: 403,
    text: /must come with the box’s certificate/,
  });
  t.match(await ask(room, RENEW, { body: body('other-1'), pair: own }), {
    status: 403,
    text: /the same box/,
  });
  t.match(await ask(room, '/.well-known/est/page/simpleenroll', { body: body(), pair: own }), {
    status: 403,
  });
  t.match(await ask(room, RENEW, { body: body(), pair: own }), { status: 200 });
  const page = `${BOX}.local`;
  t.match(await ask(room, '/.well-known/est/page/simpleenroll', { body: body(page), pair: own }), {
    status: 200,
  });
  for (let i = 0; i < 7; i += 1) await ask(room, RENEW, { body: body(), pair: own });
  t.match(await ask(room, RENEW, { body: body(), pair: own }), { status: 429, text: /too often today/ });
  const profile = { use: 'client', commonName: BOX, days: -0.5 } as const;
  const expired = room.authority.issue(csrOf(join(room.dir, `${BOX}.key`), BOX), profile, Date.now());
  const late = { body: body(), pair: { ...own, cert: expired.pem } };
  t.match(await ask(room, RENEW, late), { status: 403, text: /not ended/ });
  room.aheadMs = 360 * 86_400_000;
  const lines = (): string => listLines(room.store, Date.now() + room.aheadMs).join('\n');
  t.match(lines(), /certificate\s+marseille-1\/canebiere-017 .* WARNING: ends soon and is not renewed/);
  t.match(lines(), / {2}renewed$/m);
  room.aheadMs = 370 * 86_400_000;
  t.match(lines(), /WARNING: has ended/);
  room.aheadMs = 0;
  t.equal(room.store.revoke(BOX, Date.now()), 10);
  t.match(await ask(room, RENEW, { body: body(), pair: own }), { status: 403, text: /is revoked/ });
  t.match(lines(), /revoked \d{4}/);
});

void t.test(
  'renewal interrupts no event, and the broker cuts off a revoked box',
  { skip: unlessAll },
  async (t) => {
    const room = await startedRoom(t);
    const box = new NewBox(t, room, room.token());
    await box.enrol();
    const operator = room.program('archive.inbox');
    const broker = await room.broker(t);
    const client = await mqtt.connectAsync(broker.programsUrl, {
      protocolVersion: 5,
      ca: room.ca,
      cert: readFileSync(operator.cert),
      key: readFileSync(operator.key),
    });
    t.teardown(() => client.endAsync(true));
    const heardIds = new Set<string>();
    const states: string[] = [];
    client.on('message', (topic, payload) => {
      const { id, state } = JSON.parse(payload.toString()) as { id?: string; state?: string };
      if (topic.includes('/evt/') && id !== undefined) heardIds.add(id);
      if (topic.endsWith('/status') && state !== undefined) states.push(state);
    });
    await client.subscribeAsync('vigie/#', { qos: 1 });

    const [cert, key, ca] = [box.file('box.crt'), box.file('box.key'), join(room.dir, 'ca.crt')];
    const outbox = openedOutbox(t, join(scratch(t), 'outbox.db'));
    const { delivery } = deliver(t, { url: broker.url, ca, cert, key, ack: 'broker' }, outbox);
    await waitUntil(t, 'online', () => delivery.state.phase === 'online');
    let madeCount = 0;
    const street = setInterval(() => {
      madeCount += 1;
      outbox.append([namedEvent('alert', `e-${madeCount}`)]);
      delivery.wake();
    }, 3);
    t.teardown(() => clearInterval(street));
    await waitUntil(t, 'events flow', () => heardIds.size > 20);
    delivery.reload();
    await systemClock.sleep(600);
    t.equal(delivery.state.reconnects, 0, 'the same certificate: the connection stays');
    const files = new EnrolFiles(box.etc);
    const { signal } = new AbortController();
    const renewal = await renewBox({ files, boxClock: { say: () => undefined }, force: true, signal });
    const before = room.store.certificates().find(({ box: name }) => name === BOX)?.pem ?? '';
    const next = readFileSync(cert);
    t.match(renewal, { state: 'renewed' });
    t.notOk(next.equals(Buffer.from(before)));
    // The state that a reload finds between the two renames, shorter than the wait before the pair is read again.
    writeFileSync(cert, before);
    delivery.reload();
    await systemClock.sleep(150);
    writeFileSync(cert, next);
    const isBack = (): boolean => delivery.state.reconnects === 1 && delivery.state.phase === 'online';
    await waitUntil(t, 'connected with it', isBack);
    const [then, madeBefore] = [heardIds.size, madeCount];
    await waitUntil(t, 'and events go on', () => heardIds.size > then + 20 && madeCount > madeBefore + 20);
    clearInterval(street);
    await waitUntil(t, 'all are delivered', () => rowsOf(outbox) === 0);
    t.equal(heardIds.size, madeCount, `${madeCount} events, none lost`);
    t.notOk(
      states.includes('stopped') || states.includes('offline'),
      `no offline state was published: ${states}`,
    );

    room.enrolment.revoke(BOX, Date.now());
    await broker.reload();
    outbox.append([namedEvent('alert', 'after')]);
    delivery.wake();
    await waitUntil(t, 'denied', () => delivery.state.fault?.code === 'denied');
    t.notOk(heardIds.has('after'), 'an open connection can no longer publish');
    const revoked = { cert: readFileSync(cert), key: readFileSync(key), ca: room.ca };
    const options = { protocolVersion: 5, reconnectPeriod: 0, ...revoked } as const;
    const isAccepted = (): Promise<boolean> =>
      mqtt.connectAsync(broker.url, options, false).then(
        (client) => client.endAsync(true).then(() => true),
        () => false,
      );
    // The broker reads its files again at a time of its own.
    while (await isAccepted()) await systemClock.sleep(100);
    t.equal(delivery.state.reconnects, 1, 'a reload affects new connections, and ends no open one');
    await broker.stop();
    await broker.start();
    await waitUntil(t, 'shut out', () => delivery.state.fault?.code === 'certificate', 20_000);
    t.match(readFileSync(broker.logFile, 'utf8'), /certificate verify failed/, 'as the broker’s log says');
  },
);

void t.test(
  'malformed, flooding and slow clients are cut off, and the server goes on',
  { skip: unlessAll },
  async (t) => {
    const room = await startedRoom(t, {
      perAddress: { burst: 1e6, perS: 1e6 },
      headersMs: 2000,
      requestMs: 3000,
    });
    t.match(await ask(room, ENROL, { body: 'A'.repeat(20_000) }), { status: 413 });
    const chunked = { body: 'A'.repeat(200_000), headers: { 'transfer-encoding': 'chunked' } };
    t.ok(
      [0, 413].includes((await ask(room, ENROL, chunked)).status),
      'a client that only sends is answered or cut off',
    );
    t.match(await ask(room, '/', { method: 'GET' }), { status: 404 });
    t.match(await ask(room, ENROL, { method: 'GET' }), { status: 405 });
    t.match(await ask(room, ENROL, { body: base64(csrOf(newKey(join(room.dir, 'r.key')), 'all')) }), {
      status: 400,
    });
    for (const opening of [
      '',
      'POST /.well-known/est/simpleenroll HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\nAAAA',
    ]) {
      const socket = connect({ port: room.port, ca: room.ca, servername: 'localhost' });
      socket.on('error', () => undefined);
      await once(socket, 'secureConnect');
      const beganMs = performance.now();
      socket.resume().write(opening);
      await once(socket, 'close');
      t.ok(performance.now() - beganMs < 7500, 'a slow client is cut');
    }
    await fuzz(t, room);
    const body = base64(csrOf(newKey(join(room.dir, 'ok.key')), BOX));
    t.match(
      await ask(room, ENROL, { body, login: `${BOX}:${room.token()}` }),
      { status: 200 },
      'and it still serves',
    );
    t.equal(room.store.certificates().length, 1);
    const odd = room.log.filter(
      (line) => !/^\S+Z \S+ (?:[a-z/]+) \d{3} [a-z0-9-]+ [\p{L}\p{N} ’.,:;()#<>=*-]+$/u.test(line),
    );
    t.strictSame(odd.slice(0, 3), [], 'the log has words of ours only');
  },
);

/** Sends random bodies, headers and paths, some of them nearly right. */
async function fuzz(t: Test, room: TestRoom): Promise<void> {
  t.comment(`seed ${SEED}`);
  const ratio = randomOf(SEED);
  const integerBelow = (n: number): number => Math.floor(ratio() * n);
  const bytes = (n: number): Buffer => Buffer.from(Array.from({ length: n }, () => integerBelow(256)));
  const good = csrOf(newKey(join(room.dir, 'f.key')), BOX);
  const statuses = new Set<number>();
  const one = async (i: number): Promise<void> => {
    const flipped = Buffer.from(good);
    flipped[integerBelow(flipped.length)] = integerBelow(256);
    const noise = [bytes(integerBelow(3000)), base64(bytes(integerBelow(2000)))];
    const bodies = [...noise, base64(flipped), base64(good).slice(0, integerBelow(250))];
    const page = '/.well-known/est/page/simpleenroll';
    const paths = [ENROL, RENEW, page, `/${base64(bytes(9))}`, `${ENROL}?${i}`];
    const authorization = `Basic ${base64(bytes(integerBelow(60)))}`;
    const headers =
      integerBelow(2) === 0 ? {} : { authorization, [`x-${i}`]: 'y'.repeat(integerBelow(9000)) };
    const method = ['POST', 'POST', 'POST', 'PUT', 'DELETE', 'GET'][integerBelow(6)] ?? 'POST';
    const request = { method, headers, body: bodies[integerBelow(bodies.length)] ?? '' };
    statuses.add((await ask(room, paths[integerBelow(paths.length)] ?? ENROL, request)).status);
  };
  for (let i = 0; i < (ALL ? 500 : 50); i += 10)
    await Promise.all(Array.from({ length: 10 }, (_, k) => one(i + k)));
  t.notOk(statuses.has(500), `no failure of the room: ${[...statuses]}`);
  t.notOk(statuses.has(200), 'and no certificate');
}

/** The program in a thread; its server is a process. */
const warm = new WarmProgram('scripts/products/room/enrol');
const enrolProgram = (dir: string, name: string, ...args: string[]) =>
  warm.runSync([name, '--dir', dir, ...args]);

void t.test('the program enrols, lists and ends cleanly, and stores no token', async (t) => {
  const dir = join(scratch(t), 'enrolment');
  t.match(enrolProgram(dir, 'list'), { code: 2, err: /ca\.key: is missing; make it with `init/ });
  t.match(enrolProgram(dir, 'init', '--name', 'my town'), { code: 0, out: /a new authority/ });
  t.equal(statSync(join(dir, 'ca.key')).mode & 0o777, 0o600);
  const key = readFileSync(join(dir, 'ca.key'), 'utf8');
  t.match(enrolProgram(dir, 'init'), { code: 0, out: /is kept/ });
  t.equal(readFileSync(join(dir, 'ca.key'), 'utf8'), key);
  const program = enrolProgram(dir, 'token', SITE, BOX);
  t.match(program, { code: 0, out: /^[A-Za-z0-9_-]{32}\n$/, err: /is not shown again/ });
  const token = program.out.trim();
  for (const name of ['all', 'archive.room', 'Box_1'])
    t.match(enrolProgram(dir, 'token', SITE, name), { code: 2 }, name);
  const server: Program = start(t, process.execPath, [PROGRAM, 'serve', '--dir', dir, '--port', '0']);
  await waitUntil(t, 'it serves', () => server.out.includes('Enrolment on https://localhost:'));
  const room = {
    url: /https:\/\/localhost:\d+/.exec(server.out)?.[0],
    ca: readFileSync(join(dir, 'ca.crt')),
  } as unknown as TestRoom;
  const box = new NewBox(t, room, token);
  t.equal(await box.enrol(), 'enrolled');
  const waiting = new NewBox(t, room);
  t.equal(
    await waiting.enrol(() => {
      t.match(
        enrolProgram(dir, 'list').out,
        /waits .*canebiere-017 .*WARNING: a box of this name has a cert/,
      );
      t.match(enrolProgram(dir, 'accept', SITE, BOX), {
        code: 0,
        out: /accepted at marseille-1, key [0-9a-f]{16}/,
      });
      return undefined;
    }),
    'enrolled',
  );
  t.match(enrolProgram(dir, 'revoke', BOX), { code: 0, out: /2 certificates revoked/ });
  server.child.kill('SIGTERM');
  t.equal(await server.exit, 0, 'ends cleanly');
  t.notMatch(server.out + server.err, token);
  const stored = readFileSync(join(dir, 'enrolment.db'), 'latin1');
  t.notOk(stored.includes(token), 'the token itself is stored nowhere');
  t.match(enrolProgram(dir, 'serve', '--host', '203.0.113.9'), {
    code: 2,
    err: /cannot be listened on/,
  });
});

void t.test('broker and archive can read the lists under any umask', (t) => {
  // The package's unit sets UMask=0077.
  const before = process.umask(0o077);
  t.teardown(() => process.umask(before));
  const room = new TestRoom(t);
  room.enrol('b-1');
  room.enrolment.writeLists(Date.now());
  room.enrolment.writePrograms(Date.now());
  for (const name of ['boxes.json', 'broker.acl', 'revoked.pem', 'programs-revoked.pem'])
    t.equal(statSync(room.list(name)).mode & 0o777, 0o644, name);
  t.end();
});

void t.test('the newer of two concurrent writers of the lists wins', { skip: unlessAll }, async (t) => {
  const room = new TestRoom(t);
  const boxes = Array.from({ length: ALL ? 20 : 5 }, (_, i) => `b-${i}`);
  for (const box of boxes) room.enrol(box);
  // A server that enrols writes as fast as it can while another program revokes.
  const writer = `
    const { Enrolment } = await import(${JSON.stringify(new URL('../../scripts/products/room/enrol/enrolment.js', import.meta.url).href)});
    const { appendFileSync } = await import('node:fs');
    const enrolment = new Enrolment(${JSON.stringify(room.dir)});
    process.stdout.write('writes');
    for (;;) {
      // So that each is a writing, whatever has changed.
      appendFileSync(${JSON.stringify(room.list('broker.acl'))}, '#');
      enrolment.writeBoxes();
      await new Promise((resolve) => setTimeout(resolve, 3));
    }`;
  const child: Program = start(t, process.execPath, ['--input-type=module', '-e', writer]);
  await waitUntil(t, 'it writes', () => child.out !== '' || child.code !== undefined);
  for (const box of boxes) {
    room.enrolment.revoke(box, Date.now());
    await systemClock.sleep(50);
    t.notMatch(readFileSync(room.list('broker.acl'), 'utf8'), `readwrite vigie/${SITE}/${box}/`, box);
    t.match(
      readFileSync(room.list('boxes.json'), 'utf8'),
      new RegExp(`"${box}",\\s+"state": "revoked"`),
      box,
    );
  }
  child.child.kill('SIGKILL');
  t.equal(child.err, '');
});
