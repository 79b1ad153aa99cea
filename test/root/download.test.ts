/** Tests one request of a box to a TLS server that answers too slowly or endlessly: it ends with a reason. */
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
    storedBytes: () => statSync(`${file}.${REF.sha256.slice(0, 16)}.part`, { throwIfNoEntry: false })?.size,
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
  ...['100 Continue', '102 Processing', '103 Early Hints'].map((status) => ({
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
    name: 'a body that stops',
    answer: (socket) => void socket.write(HEAD + CONTENT.toString('latin1', 0, 1000), 'latin1'),
    reason: /has sent nothing for 0\.5 s/,
    patience: { silenceMs: 500 },
    keptBytes: 1000,
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
  {
    name: 'a connection that is cut',
    answer: (socket) => {
      socket.write(HEAD);
      socket.write(CONTENT.subarray(0, 1000), () => setTimeout(() => socket.destroy(), 100));
    },
    reason: /a\.zst: aborted/,
    keptBytes: 1000,
  },
];

void t.test('an interrupted download is stored in part and resumed', async (t) => {
  for (const { name, answer, reason, patience, keptBytes } of CASES) {
    const one = await box(t);
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

void t.test('content that differs from what was signed is discarded', async (t) => {
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
        writeRepeatedly(socket, 1, () => Buffer.alloc(10_000));
      },
      /sends more than the 40000 bytes signed/,
    ],
  ];
  for (const [name, answer, reason] of answers) {
    const one = await box(t);
    const error: unknown = await one.fetch(answer).catch((thrown: unknown) => thrown);
    t.ok(error instanceof TargetMismatch, name);
    t.match(
      error,
      { kind: 'corrupt', target: 'a.zst', message: reason },
      `${name}: differs from a temporary error`,
    );
    t.equal(one.storedBytes(), undefined, `${name}: no part is stored`);
  }
});
