/**
 * Tests a flood from a client that may write to the box’s topics: the box stays responsive and still receives other
 * messages.
 */
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { topicsOf } from '../../agent/contract/topics.ts';
import { PROGRAM_RULES } from '../../scripts/lib/broker-acl.ts';
import { eventItem } from '../lib/events.ts';
import { keptLog, openedOutbox as opened, rowsOf } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { start } from '../lib/program.ts';
import { BOX, clientOf, deliver, makeRoom, pairOf, type Room, SITE, waitUntil } from '../lib/room.ts';
import { FULL, unlessAll } from '../lib/run.ts';

const TOPICS = topicsOf(SITE, BOX);
const FLOOD = fileURLToPath(new URL('../lib/flood-writer.js', import.meta.url));
const PER_S = 10_000;
const LASTS_MS = FULL ? 60_000 : 3000;
/** Rights of an archive that may write to the boxes' own topics. */
const RULES = PROGRAM_RULES.replace('user archive\n', 'user archive\ntopic readwrite vigie/#\n');

/** Starts a flood; returns a function that ends it and resolves with the number of sent messages. */
async function startFlood(
  t: Test,
  room: Room,
  topic: string,
  payload: string,
  qos: 0 | 1,
): Promise<() => number> {
  const { url, cert, key } = await pairOf(room, 'archive.flood');
  const args = [FLOOD, url, room.authority.ca, cert, key, topic, payload, String(qos), String(PER_S)];
  const program = start(t, process.execPath, args);
  await waitUntil(t, 'the flood has begun', () => program.out !== '', 30_000);
  return () => {
    program.child.kill('SIGKILL');
    return Number(program.out.trim().split('\n').at(-1));
  };
}

/** An archive that subscribes to events only, so that the flood costs this process as much as it costs the box. */
async function startArchive(t: Test, room: Room): Promise<void> {
  const client = await clientOf(t, room, 'archive.room', { reconnectPeriod: 0 });
  client.on('message', (_topic, _payload, { properties }) => {
    const alert = Number(properties?.userProperties?.['seq']);
    client.publish(TOPICS.ack, JSON.stringify({ alert }), { qos: 1 });
  });
  await client.subscribeAsync(`${TOPICS.root}/evt/#`, { qos: 1 });
}

const TOPIC = TOPICS.verdict;
void t.test(`the box withstands ${PER_S} messages a second on a topic of others`, async (t) => {
  const room = await makeRoom(t, { rules: RULES });
  await startArchive(t, room);
  const outbox = opened(t, join(scratch(t), 'outbox.db'));
  const { log, lines } = keptLog();
  let heardCount = 0;
  const inbox = new Map([
    [
      TOPIC,
      (): void => {
        heardCount += 1;
        // Time that checking an invalid signature takes on a small board.
        const untilMs = performance.now() + 1;
        while (performance.now() < untilMs);
      },
    ],
  ]);
  const { delivery } = deliver(t, room.config, outbox, { log }, inbox);
  await waitUntil(t, 'online', () => delivery.state.phase === 'online');
  const endFlood = await startFlood(t, room, TOPIC, '{"verdict":"confirmed","alert":"none"}', 1);
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const beganMs = performance.now();
  let slowestMs = 0;
  let rows = 0;
  while (performance.now() - beganMs < LASTS_MS) {
    outbox.append([eventItem('alert', 'loitering')]);
    rows += 1;
    delivery.wake();
    slowestMs = Math.max(slowestMs, await waitUntil(t, 'acknowledged', () => rowsOf(outbox) === 0, 20_000));
    await sleep(100);
  }
  delay.disable();
  const flooded = endFlood();
  const [worstMs, p99Ms] = [delay.max / 1e6, delay.percentile(99) / 1e6].map(Math.round);
  t.comment(`${flooded} sent, ${heardCount} heard; loop late by ${p99Ms} ms (99 %), ${worstMs} ms at most`);
  t.comment(`${rows} rows, acknowledged within ${slowestMs} ms`);
  t.ok(flooded > 2 * PER_S, 'it was a flood');
  t.ok((worstMs ?? 0) < 1000, 'the loop does not stall');
  t.ok(heardCount < 300, `${heardCount} were processed`);
  t.ok(lines.length < 10, `${lines.length} lines in the log`);
  t.equal(delivery.state.phase, 'online');
  t.equal(delivery.state.reconnects, 0);
});

void t.test(
  'a topic that was unsubscribed is heard again when the flood is over',
  { skip: unlessAll },
  async (t) => {
    const room = await makeRoom(t, { rules: RULES });
    const outbox = opened(t, join(scratch(t), 'outbox.db'));
    const payloads: string[] = [];
    const inbox = new Map([[TOPICS.verdict, (payload: Buffer) => void payloads.push(payload.toString())]]);
    const { log, lines } = keptLog();
    const { delivery } = deliver(t, room.config, outbox, { log, timing: { deafMs: 3000 } }, inbox);
    await waitUntil(t, 'online', () => delivery.state.phase === 'online');
    const endFlood = await startFlood(t, room, TOPICS.verdict, 'flood', 1);
    await waitUntil(t, 'left', () => lines.some((line) => line.includes('not heard')), 30_000);
    endFlood();
    const operator = await clientOf(t, room, 'archive.operator');
    const asking = setInterval(() => operator.publish(TOPICS.verdict, 'after', { qos: 1 }), 200);
    t.teardown(() => clearInterval(asking));
    await waitUntil(t, 'heard again', () => payloads.includes('after'), 30_000);
    clearInterval(asking);
    t.ok(lines.length < 10, `${lines.length} lines`);
  },
);
