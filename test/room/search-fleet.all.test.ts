/** Tests one search of a whole site over a real Mosquitto with mTLS: every box answers from an archive of 30 days. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { EventArchive } from '../../agent/archive/archive.ts';
import { systemClock } from '../../agent/base/clock.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { makeSigner } from '../lib/commands.ts';
import { entry, history } from '../lib/history.ts';
import { SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { roomProgram } from '../lib/program.ts';
import { clientOf, makeRoom, pairOf, type Room, SITE, waitUntil } from '../lib/room.ts';
import { FULL } from '../lib/run.ts';
import type { SearchableBoxOptions } from '../lib/searchable-box.ts';

const BOXES = FULL ? 1500 : 100;
/** Events per box and day; 11 GB of archives with 1,500 boxes. */
const PER_DAY = FULL ? 200 : 20;
const DAYS = 30;
const PROCESSES = 3;
const HOUR_MS = 3_600_000;
/** Span of the narrow query, long enough to match events. */
const SPAN_HOURS = FULL ? 1 : 24;
if (FULL) t.setTimeout(3_600_000);

const FLEET = fileURLToPath(new URL('../lib/fleet-boxes.js', import.meta.url));

/** Names of equal length, so that replacing bytes turns one archive into another's. */
const nameOf = (index: number): string => `fleet-${String(index).padStart(5, '0')}`;

async function template(file: string, nowMs: number): Promise<VigieEvent[]> {
  const name = nameOf(0);
  const archive = new EventArchive({
    file,
    limitMiB: 64,
    boot: 'boot-1',
    clock: systemClock,
    log: SILENT,
    eventsDays: () => DAYS,
    steady: { trusted: () => true },
  });
  archive.start();
  // Slightly shorter than the retention, or the oldest would expire during the test.
  const events = history(nowMs, DAYS, PER_DAY, name).map((event) => ({
    ...event,
    id: `${name}-${event.id}`,
  }));
  archive.add(events.map((event, i) => entry(i + 1, event)));
  await archive.stop();
  return events;
}

function copyAs(from: Buffer, name: string, file: string): void {
  const bytes = Buffer.from(from);
  const old = Buffer.from(nameOf(0));
  for (let at = bytes.indexOf(old); at >= 0; at = bytes.indexOf(old, at + old.length)) bytes.write(name, at);
  writeFileSync(file, bytes);
}

/** Runs `act` for each index, with limited concurrency. */
async function forEachIndex(count: number, action: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await action(next - 1);
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
}

async function startFleet(
  t: Test,
  room: Room,
  dir: string,
  archive: Buffer,
  publicKey: SearchableBoxOptions['keys'],
) {
  const boxes: Omit<SearchableBoxOptions, 'outbox'>[] = [];
  await forEachIndex(BOXES, async (index) => {
    const box = nameOf(index + 1);
    const { cert, key } = await pairOf(room, box);
    const stateDir = join(dir, box);
    mkdirSync(stateDir);
    copyAs(archive, box, join(stateDir, 'archive.db'));
    boxes.push({ site: SITE, box, stateDir, mqtt: { ...room.config, cert, key }, keys: publicKey });
  });
  const children: ChildProcess[] = [];
  t.teardown(async () => {
    for (const child of children) {
      const exited = once(child, 'exit');
      if (child.exitCode === null && child.kill('SIGTERM')) await exited;
    }
  });
  let online = 0;
  for (let i = 0; i < PROCESSES; i += 1) {
    const file = join(dir, `boxes-${i}.json`);
    writeFileSync(file, JSON.stringify(boxes.filter((_, index) => index % PROCESSES === i)));
    const child = spawn(process.execPath, ['--max-old-space-size=2048', FLEET, file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child.stdout.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes('online')) online += 1;
    });
    children.push(child);
  }
  await waitUntil(t, `${BOXES} boxes online`, () => online === PROCESSES, FULL ? 900_000 : 120_000);
}

/** Reads the broker's counters of received and sent MQTT bytes, before TLS. */
async function trafficMeter(
  t: Test,
  room: Room,
): Promise<() => Promise<{ received: number; sentBytes: number }>> {
  const client = await clientOf(t, room, 'room');
  const counters = { received: 0, sentBytes: 0 };
  let rounds = 0;
  client.on('message', (topic, payload) => {
    if (topic.endsWith('received')) counters.received = Number(payload.toString());
    else counters.sentBytes = Number(payload.toString());
    rounds += 1;
  });
  await client.subscribeAsync(['$SYS/broker/bytes/received', '$SYS/broker/bytes/sent'], { qos: 1 });
  return async () => {
    // Waits for two complete rounds, since one may be in flight.
    const from = rounds;
    await waitUntil(t, 'the broker’s figures', () => rounds >= from + 4, 30_000);
    return { ...counters };
  };
}

interface Answer {
  readonly tookMs: number;
  readonly boxes: { state: string; matches: number }[];
  readonly events: VigieEvent[];
}

async function ask(
  dir: string,
  args: string[],
): Promise<{ code: number | null; answer: Answer; totalMs: number }> {
  const beganMs = performance.now();
  const common = [
    '--room',
    join(dir, 'room.yaml'),
    '--sign',
    join(dir, 'desk.pem'),
    '--case',
    'm-1',
    '--reason',
    'm',
  ];
  const child = spawn(
    process.execPath,
    [roomProgram('search'), ...common, ...args, '--json', '--timeout', '120'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  const answer = JSON.parse(Buffer.concat(chunks).toString()) as Answer;
  return { code, answer, totalMs: performance.now() - beganMs };
}

void t.test(`a search reaches ${BOXES} boxes with ${DAYS} days of ${PER_DAY} events each`, async (t) => {
  const room = await makeRoom(t, {
    programs: (shipped) => shipped.replace('user room\n', 'user room\ntopic read $SYS/#\n'),
    extra: ['sys_interval 1'],
  });
  const dir = scratch(t);
  const signer = makeSigner();
  writeFileSync(join(dir, 'desk.pem'), signer.privateKey.export({ type: 'pkcs8', format: 'pem' }), {
    mode: 0o600,
  });
  const pair = await pairOf(room, 'room');
  const tls = { ca: room.authority.ca, cert: pair.cert, key: pair.key };
  writeFileSync(join(dir, 'room.yaml'), JSON.stringify({ site: SITE, mqtt: { url: pair.url, ...tls } }));
  const nowMs = Date.now();
  const file = join(dir, 'template.db');
  const events = await template(file, nowMs);
  t.comment(`an archive of ${events.length} events: ${(statSync(file).size / 1e6).toFixed(1)} MB`);
  await startFleet(t, room, dir, readFileSync(file), [signer.config]);
  const read = await trafficMeter(t, room);

  const iso = (ms: number): string => new Date(ms).toISOString();
  const hours = (from: number, to: number): string[] => [
    ...['--from', iso(nowMs - from * HOUR_MS), '--to', iso(nowMs - to * HOUR_MS)],
  ];
  const expected = (from: number, to: number, kind?: string): number =>
    events.filter(
      ({ time, data }) =>
        time >= iso(nowMs - from * HOUR_MS) &&
        time < iso(nowMs - to * HOUR_MS) &&
        (kind === undefined || data.rule.kind === kind),
    ).length;
  const questions: [string, string[], number][] = [
    [
      `${SPAN_HOURS} h ten days ago, one kind`,
      [...hours(240 + SPAN_HOURS, 240), '--kind', 'loitering'],
      expected(240 + SPAN_HOURS, 240, 'loitering'),
    ],
    ['a day, one kind without events', [...hours(48, 24), '--kind', 'graffiti'], 0],
    ['two hours, everything', [...hours(74, 72), '--max', '1000000'], expected(74, 72)],
  ];
  for (const [name, args, each] of questions) {
    const before = await read();
    const { code, answer, totalMs } = await ask(dir, args);
    const after = await read();
    const doneCount = answer.boxes.filter(
      ({ state, matches }) => state === 'done' && matches === each,
    ).length;
    const toRoomMB = ((after.sentBytes - before.sentBytes) / 1e6).toFixed(2);
    const fromBoxesMB = ((after.received - before.received) / 1e6).toFixed(2);
    t.equal(code, 0, `${name}: all have answered`);
    t.equal(doneCount, BOXES, `${name}: ${each} events from each of ${doneCount} boxes`);
    t.equal(new Set(answer.events.map(({ id }) => id)).size, each * BOXES, 'each event once');
    t.ok(
      answer.events.every(({ time }, i, all) => i === 0 || (all[i - 1]?.time ?? '') <= time),
      'in the order of time',
    );
    t.comment(
      `${name}: ${each * BOXES} events; all answered ${(answer.tookMs / 1000).toFixed(1)} s after the question ` +
        `(${(totalMs / 1000).toFixed(1)} s with start and list of boxes); ` +
        `broker received ${fromBoxesMB} MB, sent ${toRoomMB} MB`,
    );
  }
});
