/** One request of a box to a TLS server that answers without end, or too slowly: it ends, and says why. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import t, { type Test } from 'tap';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { download, TargetMismatch } from '../../scripts/programs/root/download.ts';
import type { PatienceLimits } from '../../scripts/programs/root/server-patience.ts';
import { scratch } from '../lib/paths.ts';

const CONTENT = Buffer.from(Array.from({ length: 40_000 }, (_, i) => (i * 7919) % 251));
const REF = {
  path: 'a.zst',
  length: CONTENT.length,
  sha256: createHash('sha256').update(CONTENT).digest('hex'),
};
const HEAD = `HTTP/1.1 200 OK\r\ncontent-length: ${CONTENT.length}\r\n\r\n`;
/** Far above what any case takes on a slow machine. */
const WITHIN_MS = 40_000;

interface Box {
  /** Fetches the file from a server that answers each connection so. */
  fetch(answer: (socket: Socket) => void, patience?: Partial<PatienceLimits>): Promise<void>;
  /** Bytes that are kept for the next try. */
  kept(): number | undefined;
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
    kept: () => statSync(`${file}.${REF.sha256.slice(0, 16)}.part`, { throwIfNoEntry: false })?.size,
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

/** Writes again and again until the other side has gone. */
function again(socket: Socket, everyMs: number, text: () => string | Buffer): void {
  const timer = setInterval(() => socket.write(text()), everyMs);
  socket.on('close', () => clearInterval(timer));
}

const interim = (status: string): string => `HTTP/1.1 ${status}\r\n\r\n`;
const SHORT = { graceMs: 1500 };

interface Case {
  readonly name: string;
  readonly answer: (socket: Socket) => void;
  readonly why: RegExp;
  readonly patience?: Partial<PatienceLimits>;
  /** Bytes of the body that came, at least. */
  readonly kept?: number;
}

const CASES: readonly Case[] = [
  ...['100 Continue', '102 Processing', '103 Early Hints'].map((status) => ({
    name: `${status} without end`,
    answer: (socket: Socket) => again(socket, 1, () => interim(status)),
    why: /a\.zst: the server has sent 9 informational answers, and no other/,
  })),
  {
    name: 'many 100 Continue at once',
    answer: (socket) => void socket.write(interim('100 Continue').repeat(10_000)),
    why: /has sent 9 informational answers/,
  },
  {
    name: '100 Continue, slowly and without end',
    answer: (socket) => again(socket, 600, () => interim('100 Continue')),
    why: /has not answered within 1\.5 s/,
    patience: SHORT,
  },
  {
    name: '101 Switching Protocols',
    answer: (socket) =>
      void socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    why: /the server wants to speak another protocol/,
  },
  { name: 'no answer', answer: () => undefined, why: /has not answered within 1\.5 s/, patience: SHORT },
  {
    name: 'a head that trickles',
    answer: (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nx: ');
      again(socket, 20, () => 'y');
    },
    why: /has not answered within 1\.5 s/,
    patience: SHORT,
  },
  {
    name: 'a head without end',
    answer: (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      again(socket, 1, () => `x: ${'y'.repeat(1000)}\r\n`);
    },
    why: /a\.zst: Parse Error: Header overflow/,
  },
  {
    name: 'a body that trickles',
    answer: (socket) => {
      socket.write(HEAD);
      again(socket, 20, () => CONTENT.subarray(0, 1));
    },
    why: /the server sends slower than 10000 bytes a second/,
    patience: { bytesPerS: 10_000, creditMaxMs: 1000 },
    kept: 1,
  },
  {
    name: 'a body that begins fast and trickles then',
    answer: (socket) => {
      socket.write(HEAD);
      socket.write(CONTENT.subarray(0, 20_000));
      let at = 20_000;
      again(socket, 20, () => CONTENT.subarray(at, ++at));
    },
    why: /the server sends slower than 1000 bytes a second/,
    patience: { bytesPerS: 1000, creditMaxMs: 1000 },
    kept: 20_000,
  },
  {
    name: 'a body that stops',
    answer: (socket) => void socket.write(HEAD + CONTENT.toString('latin1', 0, 1000), 'latin1'),
    why: /has sent nothing for 0\.5 s/,
    patience: { silenceMs: 500 },
    kept: 1000,
  },
  {
    name: 'a body of extensions of a chunk',
    answer: (socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;x=');
      again(socket, 20, () => 'y');
    },
    why: /has sent nothing for 0\.5 s/,
    patience: { silenceMs: 500 },
  },
  {
    name: 'a connection that is cut',
    answer: (socket) => {
      socket.write(HEAD);
      socket.write(CONTENT.subarray(0, 1000), () => setTimeout(() => socket.destroy(), 100));
    },
    why: /a\.zst: aborted/,
    kept: 1000,
  },
];

void t.test('what cannot be had now', async (t) => {
  for (const { name, answer, why, patience, kept } of CASES) {
    const one = await box(t);
    await t.rejects(one.fetch(answer, patience), { kind: 'unavailable', message: why }, name);
    t.ok((one.kept() ?? 0) >= (kept ?? 0), `${name}: what came is kept`);
    t.notOk(existsSync(one.file));
    await t.resolves(
      one.fetch((socket) => {
        const from = one.kept() ?? 0;
        const range = `content-range: bytes ${from}-${CONTENT.length - 1}/${CONTENT.length}`;
        const head = `HTTP/1.1 206 Partial Content\r\n${range}\r\ncontent-length: ${CONTENT.length - from}\r\n\r\n`;
        socket.write(from === 0 ? HEAD : head);
        socket.write(CONTENT.subarray(from));
      }),
      `${name}: the next try goes on`,
    );
  }
});

void t.test('a server that is slow, and fast enough', async (t) => {
  const one = await box(t);
  let at = 0;
  const answer = (socket: Socket): void => {
    socket.write(interim('103 Early Hints').repeat(8) + HEAD);
    again(socket, 25, () => {
      at += 500;
      return CONTENT.subarray(at - 500, at);
    });
  };
  await t.resolves(one.fetch(answer, { bytesPerS: 500, creditMaxMs: 20_000, silenceMs: 20_000 }));
  t.ok(readFileSync(one.file).equals(CONTENT));
});

void t.test('a server that never speaks TLS', async (t) => {
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

void t.test('what is not what was signed', async (t) => {
  const rotten = Buffer.from(CONTENT).fill(0, 1000, 1001);
  const answers: readonly (readonly [string, (socket: Socket) => void, RegExp])[] = [
    [
      'another byte',
      (socket) => void socket.write(Buffer.concat([Buffer.from(HEAD), rotten])),
      /hash mismatch with the signed metadata/,
    ],
    [
      'a byte less',
      (socket) => void socket.write(HEAD.replace('40000', '39999')),
      /has 39999 bytes, 40000 were signed/,
    ],
    [
      'bytes without end',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        again(socket, 1, () => Buffer.alloc(10_000));
      },
      /sends more than the 40000 bytes signed/,
    ],
  ];
  for (const [name, answer, why] of answers) {
    const one = await box(t);
    const error: unknown = await one.fetch(answer).catch((thrown: unknown) => thrown);
    t.ok(error instanceof TargetMismatch, name);
    t.match(
      error,
      { kind: 'corrupt', target: 'a.zst', message: why },
      `${name}: is told apart from what may come later`,
    );
    t.equal(one.kept(), undefined, `${name}: nothing of it is kept`);
  }
});
