/**
 * Tests that a client which holds all connections of a server keeps no one else out. Tests also that a deadline aborts its
 * operation, whatever the garbage collector removes in the meantime.
 */
import { EventEmitter } from 'node:events';
import type { Server } from 'node:http';
import { request } from 'node:https';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t, { type Test } from 'tap';
import { addressKey } from '../../agent/base/address-key.ts';
import { ConnectionGuard } from '../../agent/base/connection-guard.ts';
import { withDeadline } from '../../agent/base/deadline.ts';
import { TestRoom } from '../lib/enrolment.ts';
import { openPage } from '../lib/page.ts';
import { waitUntil } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';

/** A loopback address for each of many attackers. */
const from = (index: number): string => `127.0.${1 + Math.floor(index / 250)}.${1 + (index % 250)}`;

interface Attack {
  readonly port: number;
  readonly connections: number;
  readonly addresses: number;
  /** Connects again as soon as the server closes the connection. */
  readonly isStubborn?: boolean;
  /** Text sent over TLS; without it the attacker opens a TCP connection and sends nothing. */
  readonly says?: string;
}

/** Opens the attacker's connections; resolves when all are open. The attack ends with the test. */
async function attack(t: Test, { port, connections, addresses, isStubborn = false, says }: Attack) {
  const open = new Set<Socket>();
  /** Connections that were opened, or cut before. */
  const attempts = new Set<Socket>();
  let isOver = false;
  const come = (index: number): void => {
    if (isOver) return;
    const at = { host: '127.0.0.1', port, localAddress: from(index % addresses) };
    const isOpen = (): void => {
      attempts.add(socket);
      if (says !== undefined) socket.write(says);
    };
    const socket: Socket =
      says === undefined ? connect(at, isOpen) : connectTls({ ...at, rejectUnauthorized: false }, isOpen);
    open.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      attempts.add(socket);
      open.delete(socket);
      if (isStubborn) setTimeout(come, 5, index);
    });
  };
  for (let index = 0; index < connections; index += 1) come(index);
  t.teardown(() => {
    isOver = true;
    for (const socket of open) socket.destroy();
  });
  await waitUntil(t, 'the attackers are connected', () => attempts.size >= connections);
  return open;
}

/** Number of answered requests of honest clients at one address, `atOnce` at a time. */
async function countAnswered(port: number, path: string, count: number, atOnce: number): Promise<number> {
  let well = 0;
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const headers = { Host: `localhost:${port}`, 'Sec-Fetch-Site': 'same-origin' };
      const at = { host: '127.0.0.1', port, path, agent: false, rejectUnauthorized: false, headers } as const;
      const attempt = request(at, (response) => {
        response.resume();
        response.on('end', () => {
          if (response.statusCode === 200) well += 1;
          resolve();
        });
        response.on('error', () => resolve());
      });
      attempt.on('error', () => resolve());
      attempt.end();
    });
  for (let startedCount = 0; startedCount < count; startedCount += atOnce) {
    await Promise.all(Array.from({ length: Math.min(atOnce, count - startedCount) }, one));
  }
  return well;
}

const SLOW_BODY = (port: number, path: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: localhost:${port}\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\nx`;

/** Attacks on a server with this number of places for one address and in all. */
function attacks(ofOne: number, inAll: number, says: string): [name: string, Omit<Attack, 'port'>][] {
  return [
    ['by one address that is silent', { connections: inAll + 50, addresses: 1 }],
    [
      'by some that send a body slowly',
      { connections: inAll + 20, addresses: 2 * Math.ceil(inAll / ofOne), says },
    ],
    ['by many addresses', { connections: inAll * 2, addresses: inAll }],
    ['by one that comes again and again', { connections: inAll, addresses: 1, isStubborn: true }],
  ];
}

interface Attacked {
  readonly port: number;
  readonly honest: readonly [path: string, count: number, atOnce: number];
  readonly attacks: ReturnType<typeof attacks>;
}

/** Tests that honest clients are answered during each attack. The default run has the cheapest. */
async function withstands(t: Test, { port, honest, attacks }: Attacked): Promise<void> {
  for (const [index, [name, options]] of attacks.entries())
    await t.test(name, { skip: index > 0 && unlessAll }, async (t) => {
      await attack(t, { port, ...options });
      t.equal(await countAnswered(port, ...honest), honest[1]);
    });
}

void t.test('enrolment serves boxes while an attacker holds all its places', async (t) => {
  const room = new TestRoom(t);
  await room.start();
  await withstands(t, {
    port: room.port,
    honest: ['/.well-known/est/cacerts', 50, 25],
    attacks: attacks(16, 512, SLOW_BODY(room.port, '/.well-known/est/simpleenroll')),
  });
  await room.stop();
  t.match(
    room.log.at(-1),
    /connections cut since the start: \d+ for newcomers, [1-9]\d* too many of one address/,
  );
});

void t.test('the page serves phones while an attacker holds all its places', async (t) => {
  const page = await openPage(t, { connectionsOfOneMax: 16, headersMs: 60_000, requestMs: 60_000 });
  await withstands(t, {
    port: page.port,
    honest: ['/api/hello', 35, 5],
    attacks: attacks(16, 32, SLOW_BODY(page.port, '/api/pair')),
  });
});

void t.test('a silent client is cut soon, in TLS or before it', async (t) => {
  const page = await openPage(t, { headersMs: 1000 });
  const silent = await attack(t, { port: page.port, connections: 3, addresses: 1 });
  const afterTls = await attack(t, { port: page.port, connections: 3, addresses: 1, says: 'G' });
  await waitUntil(t, 'they are cut', () => silent.size + afterTls.size === 0);
  await page.stop();
  t.match(page.lines.at(-1), /"silent":[3-6]/);
});

/** A connection as a server's listener receives it. */
class FakeSocket extends EventEmitter {
  destroyed = false;
  readonly remotePort: number;
  readonly remoteAddress: string;
  readonly localAddress = '::1';
  static #ports = 0;

  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
    FakeSocket.#ports += 1;
    this.remotePort = FakeSocket.#ports;
  }

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

void t.test('a newcomer replaces the oldest idle connection of the client with the most', async (t) => {
  const server = new EventEmitter();
  const limits = { max: 6, ofOneMax: 4, freeOfOne: 1, askWithinMs: 60_000 };
  const guard = new ConnectionGuard(server as Server, limits);
  const come = (address: string): FakeSocket => {
    const socket = new FakeSocket(address);
    server.emit('connection', socket);
    return socket;
  };
  const ask = (socket: FakeSocket, headers = {}): EventEmitter => {
    const [fakeRequest, response] = [new EventEmitter(), new EventEmitter()];
    server.emit('request', Object.assign(fakeRequest, { socket, headers }), response);
    return response;
  };
  const honest = come('192.0.2.1');
  const own = [1, 2, 3, 4].map((part) => come(`2001:db8::${part}`));
  t.equal(guard.countOf('2001:db8:0:0:9::'), 4, 'a network of 64 bits is one address');
  own.push(come('2001:db8::5'));
  t.same(
    [...own, honest].map(({ destroyed }) => destroyed),
    [true, false, false, false, false, false],
  );
  t.match(guard.counters, { ofOne: 1, crowded: 0 });
  come('192.0.2.2');
  come('192.0.2.3');
  t.ok(own[1]?.destroyed, 'the oldest of the address with the most');
  const response = ask(own[2] as FakeSocket);
  come('192.0.2.4');
  t.same([own[2]?.destroyed, own[3]?.destroyed], [false, true], 'not one that is being answered');
  for (let part = 5; part < 9; part += 1) come(`192.0.2.${part}`);
  t.notOk(own[2]?.destroyed, 'while any other is there');
  t.ok(honest.destroyed, 'with one connection each the oldest is closed');
  response.emit('close');
  t.equal(guard.size, 6);
  for (let part = 10; part < 16; part += 1) come(`192.0.2.${part}`);
  t.ok(own[2]?.destroyed, 'once it was answered it is as any other');
  guard.cutAll();
  t.equal(guard.size, 0);
});

void t.test('a client is counted by its IPv4 address, or by its IPv6 network of 64 bits', async (t) => {
  for (const [address, key] of [
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['fe80::1%eth0', 'fe80::1%eth0'],
    ['::1', '0:0:0:0'],
  ] as const)
    t.equal(addressKey(address), key);
});

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

async function reasonsOf(signals: readonly AbortSignal[], ms: number): Promise<string[]> {
  const reasons: string[] = signals.map(() => 'none');
  for (const [i, signal] of signals.entries()) {
    signal.addEventListener('abort', () => {
      reasons[i] = (signal.reason as Error).name;
    });
  }
  // A weak reference is cleared only after the task that has made it.
  gc();
  await sleep(10);
  gc();
  await sleep(ms);
  return reasons;
}

void t.test('a deadline aborts after its time, also after a garbage collection', async (t) => {
  const stop = new AbortController();
  t.same(await reasonsOf([withDeadline(100, stop.signal), withDeadline(100)], 300), [
    'TimeoutError',
    'TimeoutError',
  ]);
});

void t.test('a deadline aborts with the given signal, and by its reason', async (t) => {
  const stop = new AbortController();
  const signal = withDeadline(60_000, stop.signal);
  stop.abort(new DOMException('stopped', 'AbortError'));
  t.equal((signal.reason as Error).name, 'AbortError');
  t.same(await reasonsOf([withDeadline(60_000)], 20), ['none'], 'not before its time');
});
