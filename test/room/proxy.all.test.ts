/** Attacks the console through nginx with the shipped site: what one address sends delays no other, and forges nothing. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import type http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { freePort } from '../../scripts/lib/mosquitto.ts';
import { fullConsole } from '../lib/console.ts';
import { addManyIncidents } from '../lib/console-rows.ts';
import { DATABASES } from '../lib/databases.ts';
import { Nginx } from '../lib/nginx.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';

const SITE = join(ROOT, 'scripts/products/room/examples/nginx.conf');
const skip = existsSync('/usr/sbin/nginx') ? false : 'no nginx (scripts/setup)';
const STRANGER = '127.0.0.2';

/** Headers of the console's own page with a JSON body. */
const JSON_HEADERS = {
  host: 'localhost',
  origin: 'https://localhost',
  'sec-fetch-site': 'same-origin',
  'content-type': 'application/json',
};

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly cookie: string;
}

async function behindNginx(t: Test) {
  const db = await (await DATABASES.sqlite(t)).prepared();
  await addManyIncidents(db, 5, { nowMs: Date.now(), stepS: 1 });
  const [plainPort, upstream] = [await freePort(), await freePort()];
  const accounts = [{ name: 'operator', role: 'operator' }] as const;
  const origin = 'https://localhost';
  const { url } = await fullConsole(t, db, {
    accounts,
    origin,
    listen: { host: '127.0.0.1', port: upstream },
  });
  const dir = scratch(t);
  const files = ['-keyout', join(dir, 'console.key'), '-out', join(dir, 'console.crt')];
  const subject = ['-days', '2', '-subj', '/CN=localhost'];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ed25519', '-nodes', ...subject, ...files], {
    stdio: 'pipe',
  });
  const nginx = await Nginx.start(t, dir, readFileSync(SITE, 'utf8'), {
    '/etc/nginx/vigie': dir,
    'console.example': 'localhost',
    'listen 80;': `listen 127.0.0.1:${plainPort};`,
    '127.0.0.1:9480': new URL(url).host,
    'server_tokens off;': `server_tokens off; access_log ${dir}/access.log;`,
  });
  const raw = (from = '127.0.0.1'): TLSSocket => {
    const socket = connect({
      port: nginx.port,
      host: '127.0.0.1',
      localAddress: from,
      rejectUnauthorized: false,
    } as never);
    socket.on('error', () => undefined);
    t.teardown(() => socket.destroy());
    return socket;
  };
  const ask = (
    path: string,
    headers: http.OutgoingHttpHeaders = {},
    method = 'GET',
    body = '',
  ): Promise<Reply> =>
    new Promise((resolve) => {
      const options = { port: nginx.port, path, method, headers, rejectUnauthorized: false, agent: false };
      const request = https.request({ host: '127.0.0.1', ...options });
      request.on('error', () => resolve({ status: 0, text: '', cookie: '' }));
      request.on('response', (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on('end', () => {
          const cookie = (response.headers['set-cookie'] ?? []).map((line) => line.split(';')[0]).join('; ');
          resolve({ status: response.statusCode ?? 0, text, cookie });
        });
      });
      request.end(body);
    });
  return { db, raw, ask, access: () => readFileSync(join(dir, 'access.log'), 'utf8') };
}

/** Sends text as it is, and returns the answers of the connection. */
async function answersTo(socket: TLSSocket, text: string): Promise<string> {
  let answers = '';
  socket.on('data', (chunk: Buffer) => {
    answers += chunk.toString();
  });
  socket.write(text);
  await sleep(700);
  return answers;
}

void t.test(
  'behind nginx no client forges an address, hides a request or holds others up',
  { skip, timeout: 120_000 },
  async (t) => {
    const { db, raw, ask, access } = await behindNginx(t);

    await t.test('a refused login is recorded by the address that nginx sees', async (t) => {
      const headers = { 'x-forwarded-for': '203.0.113.9, 198.51.100.1', 'content-type': 'application/json' };
      const same = { origin: 'https://localhost', host: 'localhost', 'sec-fetch-site': 'same-origin' };
      const { status } = await ask('/api/login', { ...headers, ...same }, 'POST', '{"name":"nobody-here"}');
      t.ok([401, 403].includes(status), String(status));
      const records = JSON.stringify(await db.all('SELECT * FROM audit'));
      t.notMatch(records, /203\.0\.113\.9|198\.51\.100\.1/);
    });

    await t.test('no form of the address of a still is in the log of the proxy', async (t) => {
      const login = await ask('/api/login', JSON_HEADERS, 'POST', '{"name":"operator"}');
      t.equal(login.status, 200);
      const { cookie } = login;
      for (const path of [
        '/api/incidents/1/stills/deposit',
        '/api/incidents/1/./stills/deposit',
        '/api//incidents/1/stills/deposit',
        '/api/incidents/1/%73tills/deposit',
        '/api/incidents/1%2Fstills/deposit',
        '/api/incidents/%31/stills/deposit',
        '/api/x/../incidents/1/stills/deposit',
      ]) {
        const { status } = await ask(path, { cookie, host: 'localhost' });
        t.ok(status >= 200, `${path}: ${status}`);
        if (status === 200) t.fail('there is no still, so no answer is one');
      }
      t.equal((await ask('/api/queue', { cookie, host: 'localhost' })).status, 200);
      await waitUntil(t, 'the log has the queue', () => access().includes('/api/queue'));
      t.notMatch(access(), /tills/, 'no viewer of a still is in it');
    });

    await t.test('a request with two lengths is refused, and no second one is smuggled', async (t) => {
      const head = 'POST /api/login HTTP/1.1\r\nHost: localhost\r\n';
      const smuggled = 'GET /api/queue HTTP/1.1\r\nHost: localhost\r\n\r\n';
      for (const lengths of [
        'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n',
        'Content-Length: 4\r\nContent-Length: 80\r\n',
        'Transfer-Encoding: chunked, identity\r\n',
        'Transfer-Encoding : chunked\r\n',
      ]) {
        const answers = await answersTo(raw(), `${head}${lengths}\r\n0\r\n\r\n${smuggled}`);
        t.ok((answers.match(/^HTTP\/1\.1/gm) ?? []).length <= 2, lengths);
        t.notMatch(answers, /^HTTP\/1\.1 200/m, lengths);
      }
      t.equal((await ask('/api/login', { host: 'localhost' }, 'POST', 'x'.repeat(600_000))).status, 413);
    });

    await t.test('an address that holds connections and sends slowly keeps no other out', async (t) => {
      const slow = Array.from({ length: 220 }, () => raw(STRANGER));
      for (const socket of slow)
        socket.on('secureConnect', () => socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: '));
      await sleep(1500);
      const beganMs = performance.now();
      const { status } = await ask('/healthz', { host: 'localhost' });
      t.equal(status, 200);
      t.ok(performance.now() - beganMs < 2000);
      const closed = (): number => slow.filter((socket) => socket.destroyed || socket.readableEnded).length;
      await waitUntil(t, 'slow requests are cut', () => closed() === slow.length, 20_000);
    });
  },
);
