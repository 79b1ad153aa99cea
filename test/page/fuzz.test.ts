/**
 * Tests that no request makes the page throw, hang, answer 500 or reveal a secret, and that it still answers
 * afterwards.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { closed, openPaired, type Page, REPLY } from '../lib/page.ts';
import { ROOT } from '../lib/paths.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { ALL, FULL } from '../lib/run.ts';

const REQUESTS = FULL ? 200_000 : ALL ? 2000 : 100;
/** Parallel connections: fewer than the page accepts, so that it closes none for that reason. */
const AT_ONCE = 24;
if (FULL) t.setTimeout(3_600_000);

type Random = () => number;

/** Every route of the page, and its files. */
const ROUTES = readFileSync(join(ROOT, 'agent/page/server/routes.ts'), 'utf8');
const PATHS = [
  ...new Set([...ROUTES.matchAll(/'(?:GET|POST) (\/api\/[^']+)'/g)].map(([, path]) => String(path))),
  '/',
  '/app.js',
  '/style.css',
];
const { zones, lines, masks, rules } = REPLY.installed ?? {};
const BODIES: readonly unknown[] = [
  { code: 'ABCD-EFGH-JKMN-PQRS' },
  { zones, lines, masks, rules },
  { trial: '0123456789abcdef' },
  { rule: 'long-stay', passes: 3 },
  { answer: 'go' },
  { address: '127.0.0.1:1', user: 'a', password: 'hunter2' },
  {},
];
const ODD = [...'\0\r\n\t \u00e9"\'<{[:', '\u{1f600}', '\r\n\r\n', '%00', '../', '..%2f'];
const HEADERS = [
  'Content-Length: 5',
  'Content-Length: -1',
  'Content-Length: 99999999999999999999',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, identity',
  'Host: evil.example',
  'Connection: Upgrade\r\nUpgrade: websocket',
  'Connection: keep-alive, Content-Length',
  'Expect: 100-continue',
  'Expect: nothing',
  'Range: bytes=0-',
  'Accept-Encoding: gzip;q=0, *',
  'Cookie: __Host-vigie=; __Host-vigie=x',
  'Origin: null',
  'Sec-Fetch-Site: cross-site',
  'Content-Type: text/plain',
  'X-Forwarded-Host: evil.example',
  'X-HTTP-Method-Override: PUT',
  ' folded: 1',
  'no colon',
];

const pick = <T>(random: Random, choices: readonly T[]): T =>
  choices[Math.floor(random() * choices.length)] as T;

/** Cuts, doublings and insertions in the text. */
function damagedText(random: Random, text: string): string {
  let result = text;
  for (let count = Math.floor(random() * 4); count >= 0; count -= 1) {
    const at = Math.floor(random() * result.length);
    const to = at + Math.floor(random() * 12);
    const insert = random() < 0.5 ? pick(random, ODD) : result.slice(at, to).repeat(Math.floor(random() * 3));
    result = result.slice(0, at) + insert + result.slice(to);
  }
  return result;
}

function bodyOf(random: Random): string {
  const text = JSON.stringify(pick(random, BODIES));
  if (random() < 0.3) return text;
  if (random() < 0.1) return pick(random, ['[', '{"a":', '"', '1']).repeat(Math.floor(random() * 50_000));
  if (random() < 0.1) return `{"__proto__":${text},"constructor":${text}}`;
  return damagedText(random, text);
}

function requestOf(random: Random, page: Page, cookie: string): Buffer {
  const method =
    random() < 0.85
      ? pick(random, ['GET', 'POST', 'POST', 'HEAD'])
      : pick(random, ['PUT', 'get', '', 'X'.repeat(200)]);
  const path = random() < 0.7 ? pick(random, PATHS) : damagedText(random, pick(random, PATHS));
  const body = method === 'POST' || random() < 0.1 ? bodyOf(random) : '';
  const host = random() < 0.9 ? `localhost:${page.port}` : damagedText(random, `localhost:${page.port}`);
  const head = [
    `${method} ${path} HTTP/1.1`,
    `Host: ${host}`,
    ...(random() < 0.9 ? [`Origin: https://${host}`] : []),
    ...(random() < 0.9 ? ['Content-Type: application/json'] : []),
    ...(body !== '' ? [`Content-Length: ${Buffer.byteLength(body)}`] : []),
    ...(random() < 0.6 ? [`Cookie: ${random() < 0.9 ? cookie : damagedText(random, cookie)}`] : []),
    ...(random() < 0.4 ? [pick(random, HEADERS)] : []),
  ].join('\r\n');
  const text = `${head}\r\n\r\n${body}`;
  return Buffer.from(random() < 0.15 ? damagedText(random, text) : text, random() < 0.9 ? 'utf8' : 'latin1');
}

void t.test('the page answers fuzzed requests and still works', async (t) => {
  const { page, phone } = await openPaired(t, { headersMs: 3000, requestMs: 4000, silenceMs: 5000 });
  // The requests may unpair the phone whose cookie they have.
  const other = page.phone();
  await other.pair((await phone.post('/api/code')).json.code);
  const statuses = new Map<string, number>();
  const problems: string[] = [];
  /** Sends a request and waits for the first answer or the end of the connection, because a preview never ends. */
  const send = async (bytes: Buffer): Promise<void> => {
    const socket = await page.raw();
    let received = '';
    socket.on('data', (chunk) => {
      received += String(chunk);
      if (/\r\n\r\n/.test(received)) socket.destroy();
    });
    socket.write(bytes);
    await closed(socket);
    const status = /^HTTP\/1\.1 (\d{3}) /.exec(received)?.[1] ?? (received === '' ? 'closed' : 'no HTTP');
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    if (status === '500' || status === 'no HTTP')
      problems.push(`${status}: ${JSON.stringify(String(bytes).slice(0, 2000))}`);
  };
  const lane = async (number: number): Promise<void> => {
    for (let at = number; at < REQUESTS; at += AT_ONCE) {
      const random = randomOf(SEED + at);
      await send(requestOf(random, page, phone.cookie ?? ''));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, (_, number) => lane(number)));
  t.strictSame(problems.slice(0, 3), [], `seed ${SEED}`);
  t.comment(`seed ${SEED}: ${JSON.stringify(Object.fromEntries(statuses))}`);
  for (const status of ALL ? [200, 400, 401, 403, 404, 405, 415, 421] : [200, 400])
    t.ok((statuses.get(String(status)) ?? 0) > 0, `${status} was tried`);
  t.match(await other.get('/api/state'), { status: 200 }, 'it still answers, and to a phone that was paired');
  await page.stop();
  const lines = page.lines.join('\n');
  t.notMatch(lines, /bug in the program/);
  for (const secret of [
    page.code,
    phone.cookie?.split('=')[1] ?? '?',
    other.cookie?.split('=')[1] ?? '?',
    'hunter2',
  ])
    t.notOk(lines.includes(secret));
});
