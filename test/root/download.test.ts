/** Tests how a box fetches a signed file over TLS: from slow, endless and lying servers, in parts, and limited. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import t, { type Test } from 'tap';
import type { ErrorKind } from '../../agent/base/errors.ts';
import { sha256Of } from '../../agent/base/sha256.ts';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { download, TargetMismatch } from '../../scripts/products/root/download.ts';
import type { PatienceLimits } from '../../scripts/products/root/server-patience.ts';
import type { TargetRef } from '../../scripts/products/root/trust.ts';
import { scratch } from '../lib/paths.ts';
import { type Fault, ReleaseRepository, TestReleaseServer } from '../lib/release-server.ts';

const CONTENT = Buffer.from(Array.from({ length: 40_000 }, (_, i) => (i * 7919) % 251));
const REF: TargetRef = { path: 'a.zst', length: CONTENT.length, sha256: sha256Of(CONTENT) };
const partOf = (file: string, { sha256 }: TargetRef): string => `${file}.${sha256.slice(0, 16)}.part`;
const HEAD = `HTTP/1.1 200 OK\r\ncontent-length: ${CONTENT.length}\r\n\r\n`;
/** Far above the time of any case on a slow machine. */
const WITHIN_MS = 40_000;

interface Box {
  /** Fetches the file from a server that answers each connection with `answer`. */
  fetch(answer: (socket: Socket) => void, patience?: Partial<PatienceLimits>): Promise<void>;
  /** Number of bytes stored for the next try. */
  storedBytes(): number | undefined;
  readonly file: string;
}

async function box(t: Test): Promise<Box> {
  const dir = scratch(t);
  const authority = new CertificateAuthority(join(dir, 'pki'));
  await authority.start();
  const [own, client] = [await authority.broker(), await authority.client('box-1')];
  const pem = { cert: readFileSync(own.cert), key: readFileSync(own.key), ca: readFileSync(authority.ca) };
  const file = join(dir, 'downloads/a.zst');
  return {
    file,
    fetch: async (answer, patience = {}) => {
      const sockets = new Set<Socket>();
      const server = createTlsServer({ ...pem, requestCert: true, rejectUnauthorized: true }, (socket) => {
        sockets.add(socket);
        socket.on('error', () => socket.destroy());
        socket.once('data', () => answer(socket));
      });
      try {
        await fetchFrom(server, file, { ...client, ca: authority.ca }, patience);
      } finally {
        for (const socket of sockets) socket.destroy();
        server.close();
      }
    },
    storedBytes: () => statSync(partOf(file, REF), { throwIfNoEntry: false })?.size,
  };
}

async function fetchFrom(
  server: Server,
  file: string,
  tls: { ca: string; cert: string; key: string },
  patience: Partial<PatienceLimits>,
): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `https://localhost:${(server.address() as AddressInfo).port}/`;
  const signal = AbortSignal.timeout(WITHIN_MS);
  await download(REF, file, { url, tls, patience, rateKiBps: 0, signal });
}

/** Writes repeatedly until the other side has disconnected. */
function writeRepeatedly(socket: Socket, everyMs: number, text: () => string | Buffer): void {
  const timer = setInterval(() => socket.write(text()), everyMs);
  socket.on('close', () => clearInterval(timer));
}

const interim = (status: string): string => `HTTP/1.1 ${status}\r\n\r\n`;
const SHORT = { graceMs: 1500 };

interface Case {
  readonly name: string;
  readonly answer: (socket: Socket) => void;
  readonly reason: RegExp;
  readonly patience?: Partial<PatienceLimits>;
  /** Minimum number of received bytes of the body. */
  readonly keptBytes?: number;
}

const CASES: readonly Case[] = [
  ...['100 Continue', '103 Early Hints'].map((status) => ({
    name: `${status} without end`,
    answer: (socket: Socket) => writeRepeatedly(socket, 1, () => interim(status)),
    reason: /a\.zst: the server has sent 9 informational answers, and no other/,
  })),
  {
    name: 'many 100 Continue at once',
    answer: (socket) => void socket.write(interim('100 Continue').repeat(10_000)),
    reason: /has sent 9 informational answers/,
  },
  {
    name: '100 Continue, slowly and without end',
    answer: (socket) => writeRepeatedly(socket, 600, () => interim('100 Continue')),
    reason: /has not answered within 1\.5 s/,
    patience: SHORT,
  },
  {
    name: '101 Switching Protocols',
    answer: (socket) =>
      void socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    reason: /the server wants to speak another protocol/,
  },
  { name: 'no answer', answer: () => undefined, reason: /has not answered within 1\.5 s/, patience: SHORT },
  {
    name: 'a head that trickles',
    answer: (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nx: ');
      writeRepeatedly(socket, 20, () => 'y');
    },
    reason: /has not answered within 1\.5 s/,
    patience: SHORT,
  },
  {
    name: 'a head without end',
    answer: (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      writeRepeatedly(socket, 1, () => `x: ${'y'.repeat(1000)}\r\n`);
    },
    reason: /a\.zst: Parse Error: Header overflow/,
  },
  {
    name: 'a body that trickles',
    answer: (socket) => {
      socket.write(HEAD);
      writeRepeatedly(socket, 20, () => CONTENT.subarray(0, 1));
    },
    reason: /the server sends slower than 10000 bytes a second/,
    patience: { bytesPerS: 10_000, creditMaxMs: 1000 },
    keptBytes: 1,
  },
  {
    name: 'a body that begins fast and trickles then',
    answer: (socket) => {
      socket.write(HEAD);
      socket.write(CONTENT.subarray(0, 20_000));
      let at = 20_000;
      writeRepeatedly(socket, 20, () => CONTENT.subarray(at, ++at));
    },
    reason: /the server sends slower than 1000 bytes a second/,
    patience: { bytesPerS: 1000, creditMaxMs: 1000 },
    keptBytes: 20_000,
  },
  {
    name: 'a body of extensions of a chunk',
    answer: (socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;x=');
      writeRepeatedly(socket, 20, () => 'y');
    },
    reason: /has sent nothing for 0\.5 s/,
    patience: { silenceMs: 500 },
  },
];

void t.test('an interrupted download is stored in part and resumed', async (t) => {
  const one = await box(t);
  for (const { name, answer, reason, patience, keptBytes } of CASES) {
    await t.rejects(one.fetch(answer, patience), { kind: 'unavailable', message: reason }, name);
    t.ok((one.storedBytes() ?? 0) >= (keptBytes ?? 0), `${name}: received bytes are stored`);
    t.notOk(existsSync(one.file));
    await t.resolves(
      one.fetch((socket) => {
        const from = one.storedBytes() ?? 0;
        const range = `content-range: bytes ${from}-${CONTENT.length - 1}/${CONTENT.length}`;
        const head = `HTTP/1.1 206 Partial Content\r\n${range}\r\ncontent-length: ${CONTENT.length - from}\r\n\r\n`;
        socket.write(from === 0 ? HEAD : head);
        socket.write(CONTENT.subarray(from));
      }),
      `${name}: the next try goes on`,
    );
    rmSync(one.file);
  }
});

void t.test('a server that is slow but fast enough is waited for', async (t) => {
  const one = await box(t);
  let at = 0;
  const answer = (socket: Socket): void => {
    socket.write(interim('103 Early Hints').repeat(8) + HEAD);
    writeRepeatedly(socket, 25, () => {
      at += 500;
      return CONTENT.subarray(at - 500, at);
    });
  };
  await t.resolves(one.fetch(answer, { bytesPerS: 500, creditMaxMs: 20_000, silenceMs: 20_000 }));
  t.ok(readFileSync(one.file).equals(CONTENT));
});

void t.test('a server that never speaks TLS is given up after a timeout', async (t) => {
  const dir = scratch(t);
  const authority = new CertificateAuthority(join(dir, 'pki'));
  await authority.start();
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
  });
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const tls = { ...(await authority.client('box-1')), ca: authority.ca };
  const fetched = fetchFrom(server, join(dir, 'a.zst'), tls, SHORT);
  await t.rejects(fetched, { kind: 'unavailable', message: /has not answered within 1\.5 s/ });
});

/** Needs encoding in an address. */
const NAME = 'b ü?#%2F.zst';

void t.test('a download is resumed, verified, limited in rate, and can be cancelled', async (t) => {
  const dir = scratch(t);
  const repository = new ReleaseRepository(join(dir, 'repository'));
  const server = await TestReleaseServer.start(repository.dir, dir);
  t.teardown(() => server.stop());
  const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 251));
  writeFileSync(join(repository.dir, 'targets', NAME), content);
  const ref: TargetRef = { path: NAME, length: content.length, sha256: sha256Of(content) };
  const file = join(dir, 'downloads', NAME);
  const part = partOf(file, ref);
  const { url, tls } = server;
  const fetch = (over: object = {}) =>
    download(ref, file, { url, tls, rateKiBps: 0, signal: new AbortController().signal, ...over });
  const reset = () => rmSync(join(dir, 'downloads'), { recursive: true, force: true });
  const size = () => statSync(part, { throwIfNoEntry: false })?.size;
  const failure = async (
    fault: Fault,
    kind: ErrorKind,
    message: RegExp,
    stored: 'part' | 'same' | 'nothing',
    over = {},
  ) => {
    const before = size() ?? 0;
    server.faults.set(`targets/${NAME}`, fault);
    const error: unknown = await fetch(over).catch((thrown: unknown) => thrown);
    t.match(error, { kind, message }, `${fault.kind}: ${kind}`);
    t.equal(error instanceof TargetMismatch, kind === 'corrupt', 'only wrong content is not fetched again');
    server.faults.clear();
    // Bytes that are not written when the connection ends are received again.
    if (stored === 'part') t.ok((size() ?? 0) > before, `${fault.kind}: received bytes are stored`);
    else t.equal(size(), stored === 'same' ? before : undefined, `${fault.kind}: stored bytes`);
    t.notOk(existsSync(file));
  };
  const checkDownload = async (name: string, ranges: (string | undefined)[]): Promise<void> => {
    server.requests.length = 0;
    await fetch();
    t.ok(readFileSync(file).equals(content), name);
    t.same(
      server.requests.map(({ range }) => range),
      ranges,
      `${name}: requested ranges`,
    );
    t.same(readdirSync(join(dir, 'downloads')), [NAME], `${name}: no part is left`);
  };
  await checkDownload('at once', [undefined]);
  await checkDownload('what is there is not fetched', []);
  writeFileSync(file, 'not it');
  await checkDownload('what is there is not it', [undefined]);

  reset();
  await failure({ kind: 'cut', after: 100_000 }, 'unavailable', /aborted/, 'part');
  await failure({ kind: 'cut', after: 100_000 }, 'unavailable', /aborted/, 'part');
  const silent = { patience: { silenceMs: 1000 } };
  await failure({ kind: 'stall', after: 10 }, 'unavailable', /nothing for 1 s/, 'part', silent);
  await failure({ kind: 'status', status: 503 }, 'unavailable', /answers 503, not 206/, 'same');
  await failure({ kind: 'redirect', to: '/x' }, 'unavailable', /redirect/, 'same');
  const progress: number[] = [];
  const storedBytes = size() ?? 0;
  await t.resolves(fetch({ onProgress: (doneBytes: number) => progress.push(doneBytes) }));
  t.ok((progress[0] ?? 0) > storedBytes && progress.at(-1) === 300_000, 'progress counts stored bytes');

  reset();
  mkdirSync(join(dir, 'downloads'));
  writeFileSync(part, content.subarray(0, 1000));
  const other = /bytes 1000-299999\/300000 were requested, bytes 1001-/;
  await failure({ kind: 'wrong-range' }, 'corrupt', other, 'nothing');
  writeFileSync(part, content.subarray(0, 1000));
  server.faults.set(`targets/${NAME}`, { kind: 'no-range' });
  await checkDownload('a server without ranges', ['bytes=1000-', undefined]);
  server.faults.clear();
  reset();
  for (const [fault, message] of [
    [{ kind: 'short', length: 299_999 }, /has 299999 bytes, 300000 were signed/],
    [{ kind: 'swap', content: Buffer.alloc(300_000) }, /hash mismatch with the signed metadata/],
    [{ kind: 'swap', content: Buffer.alloc(300_001) }, /has 300001 bytes/],
  ] as const)
    await failure(fault, 'corrupt', message, 'nothing');
  server.sentBytes = 0;
  await failure({ kind: 'endless' }, 'corrupt', /more than the 300000 bytes/, 'nothing');
  t.ok(server.sentBytes < 8_000_000, 'an endless one is left');
  await failure({ kind: 'status', status: 404 }, 'unavailable', /the server answers 404/, 'same');
  server.faults.set(`targets/${NAME}`, { kind: 'slow', everyMs: 5 });
  const cancel = new AbortController();
  const onProgress = (doneBytes: number): void => void (doneBytes > 3000 && cancel.abort());
  const cancelled = { kind: 'unavailable', message: /cancelled/ };
  await t.rejects(fetch({ signal: cancel.signal, onProgress }), cancelled, 'cancelled');
  t.ok((size() ?? 0) > 3000, 'received bytes are stored');
  server.faults.clear();

  writeFileSync(part, Buffer.from(content.subarray(0, 1000)).fill(0, 900));
  writeFileSync(`${file}.0123456789abcdef.part`, 'of another content');
  await checkDownload('a part that a power cut has hurt', ['bytes=1000-', undefined]);
  reset();
  mkdirSync(join(dir, 'downloads'));
  writeFileSync(part, content);
  await checkDownload('a complete part', []);
  rmSync(file);
  writeFileSync(part, content);
  truncateSync(part, 300_001);
  await checkDownload('a part that is too long', [undefined]);
  rmSync(file);
  const began = performance.now();
  await fetch({ rateKiBps: 200 });
  const tookS = (performance.now() - began) / 1000;
  t.ok(tookS > 0.4, `293 KiB at 200 KiB/s with 200 at once: ${tookS.toFixed(2)} s`);
});
