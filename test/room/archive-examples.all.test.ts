/**
 * Tests the guide's example archives in Python and Node with a box's outbox and a broker.
 *
 * Every message is stored, acknowledged and removed from the box. Duplicates are dropped, and a kill loses nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { EVENT_CONTENT_TYPE } from '../../agent/contract/event.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { PROGRAM_RULES } from '../../scripts/lib/broker-acl.ts';
import { eventWithStill, namedEvent } from '../lib/events.ts';
import { openedOutbox, rowsOf } from '../lib/outbox.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { clientOf, deliver, makeRoom, type Room, SITE, waitUntil } from '../lib/room.ts';

interface Example {
  /** Program and arguments; the certificates' arguments follow. */
  command(port: number): [string, ...string[]];
  /** Topic branch and id of each stored message, once per stored copy. */
  stored(file: string): string[];
}

const EXAMPLES: Readonly<Record<string, Example>> = {
  'archive.py': {
    // Debian's own Python, since it has python3-paho-mqtt.
    command: (port) => ['/usr/bin/python3', join(ROOT, 'docs/examples/archive.py'), 'localhost', `${port}`],
    stored: (file) => {
      if (!existsSync(file)) return [];
      // Not read-only: a process killed in a transaction has left a journal to roll back.
      const db = new Database(file);
      try {
        if (db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'message'").get() === undefined) return [];
        const rows = db.prepare('SELECT branch, id FROM message').all() as { branch: string; id: string }[];
        return rows.map(({ branch, id }) => `${branch} ${id}`);
      } finally {
        db.close();
      }
    },
  },
  'archive.mjs': {
    command: (port) => [
      process.execPath,
      join(ROOT, 'docs/examples/archive.mjs'),
      `mqtts://localhost:${port}`,
    ],
    stored: (file) => {
      const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
      return lines
        .filter((line) => line.endsWith('}'))
        .map((line) => JSON.parse(line) as { topic: string; body: string })
        .map(({ topic, body }) => {
          const [, , , branch = '', name = ''] = topic.split('/');
          return `${branch} ${branch === 'evt' ? idIn(Buffer.from(body, 'base64').toString()) : name}`;
        });
    },
  },
};

function idIn(text: string): string {
  try {
    return (JSON.parse(text) as { id: string }).id;
  } catch {
    return 'unread';
  }
}

interface Running {
  readonly child: ChildProcess;
  output(): string;
}

async function startExample(t: Test, room: Room, { command }: Example, file: string): Promise<Running> {
  const { cert, key } = await room.programs.client('room');
  const [program, ...args] = command(room.broker.programsPort);
  const child = spawn(program, [...args, room.authority.ca, cert, key, file], {
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  let text = '';
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  t.teardown(() => child.kill('SIGKILL'));
  return { child, output: () => text };
}

async function killExample({ child, output }: Running): Promise<void> {
  if (child.exitCode !== null) throw new Error(`it has ended early: ${output()}`);
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** The shipped rules without the one that lets the room acknowledge. */
const DEAF = PROGRAM_RULES.replace('topic write vigie/+/+/ack\n', '');

for (const [name, example] of Object.entries(EXAMPLES)) {
  void t.test(`${name} stores, acknowledges, and loses nothing by a kill`, async (t) => {
    t.not(DEAF, PROGRAM_RULES);
    const room = await makeRoom(t, { programs: () => DEAF });
    const dir = scratch(t);
    const outbox = openedOutbox(t, join(dir, 'outbox.db'));
    const { delivery } = deliver(t, room.config, outbox, { timing: { stallMs: 500 } });
    const file = join(dir, 'stored');
    const stored = (): string[] => example.stored(file);
    const expected: string[] = [];
    const add = (id: string): void => {
      outbox.append([...eventWithStill(id, 3000), namedEvent('bulk', `${id}-notice`)]);
      expected.push(`evt ${id}`, `snap ${id}`, `evt ${id}-notice`);
      delivery.wake();
    };

    const first = await startExample(t, room, example, file);
    for (let i = 0; i < 10; i += 1) add(`a-${i}`);
    await waitUntil(t, 'some is stored', () => stored().length > 1, 30_000);
    // Without an acknowledgement a box repeats its oldest messages, and does not send all.
    const { published } = delivery.state;
    await waitUntil(t, 'it came again', () => delivery.state.published > published + 5, 30_000);
    await waitUntil(t, 'it reports that it may not acknowledge', () =>
      /[Nn]ot authorized/.test(first.output()),
    );
    const before = stored();
    t.strictSame([...new Set(before)], before, 'each is stored once');
    t.equal(rowsOf(outbox), expected.length, 'and still on the box');
    await killExample(first);

    await room.broker.allow(PROGRAM_RULES);
    for (let i = 0; i < 40; i += 1) add(`b-${i}`);
    outbox.append([namedEvent('bulk', 'too-large')]);
    t.ok(outbox.dropTooLarge('bulk', outbox.range('bulk').last), 'a number that will not come');
    expected.push(`evt gap-${outbox.epoch}-bulk-${outbox.range('bulk').last}-${outbox.range('bulk').last}`);
    add('c-0');
    const second = await startExample(t, room, example, file);
    await waitUntil(t, 'some is stored', () => stored().length > 40, 30_000);
    await killExample(second);

    for (let i = 0; i < 10; i += 1) add(`d-${i}`);
    const third = await startExample(t, room, example, file);
    await waitUntil(t, 'the box is rid of all', () => rowsOf(outbox) === 0, 60_000);
    t.strictSame(stored().sort(), [...expected].sort(), 'each is stored once, and none is lost');
    t.equal(third.child.exitCode, null, 'and it goes on');
  });

  void t.test(`${name} survives foreign messages, and keeps what it cannot parse`, async (t) => {
    const room = await makeRoom(t);
    const dir = scratch(t);
    const file = join(dir, 'stored');
    const example_ = await startExample(t, room, example, file);
    const box = await clientOf(t, room, 'odd');
    const acks: string[] = [];
    box.on('message', (_, payload) => acks.push(payload.toString()));
    await box.subscribeAsync(`vigie/${SITE}/odd/ack`, { qos: 1 });
    const topics = topicsOf(SITE, 'odd');
    const userProperties = (seq: string, first = '1') => ({
      lane: 'bulk',
      seq,
      first,
      epoch: 'e',
      boot: 'b',
    });
    const gap = { id: 'gap', type: 'vigie.outbox-gap.v1' };
    const send = (body: string, seq: string, topic = topics.event('notice', 'loitering'), first = '1') =>
      box.publishAsync(topic, body, {
        qos: 1,
        properties: { contentType: EVENT_CONTENT_TYPE, userProperties: userProperties(seq, first) },
      });
    await waitUntil(t, 'it has subscribed', () => room.broker.pid !== undefined && existsSync(file), 20_000);
    const bodies = [
      ...['no JSON', '', '[]', 'null', '7', '{"id":7}', '{"id":"\\ud800"}', '['.repeat(100_000)],
      JSON.stringify({ ...gap, data: { from: 9e99 } }),
      JSON.stringify({ ...gap, data: { from: 'x' } }),
      JSON.stringify({ ...gap, data: null }),
      `{"id":"i","type":"vigie.outbox-gap.v1","data":{"from":Infinity}}`,
    ];
    // Publishes repeatedly until the archive has subscribed, since these messages have no outbox that sends them again.
    const all = async (): Promise<void> => {
      await box.publishAsync(topics.event('notice', 'x'), '{}', { qos: 1 });
      for (const seq of ['x', '', '-1', '9'.repeat(40), '١']) await send('{}', seq);
      await send('{}', '1', `${topics.root}/snap`);
      for (const [i, body] of bodies.entries()) await send(body, `${i + 2}`);
    };
    const last = `{"bulk":${bodies.length + 1},"epoch":"e"}`;
    const sending = setInterval(() => void all(), 1000);
    t.teardown(() => clearInterval(sending));
    await waitUntil(
      t,
      'all that has a number is acknowledged',
      () => acks.some((ack) => ack.replaceAll(' ', '') === last),
      30_000,
    );
    clearInterval(sending);
    t.equal(example_.child.exitCode, null, 'it goes on');
    t.ok(example.stored(file).length >= bodies.length, 'an unreadable message is stored');
    t.notMatch(acks.join('\n'), /\d{5}/, 'no number that was never sent');
  });
}

void t.test('the guide shows the tested example in Python', async (t) => {
  const guide = readFileSync(join(ROOT, 'docs/guide/archive.md'), 'utf8');
  const [, exampleText = ''] = /```python\n([\s\S]*?)```/.exec(guide) ?? [];
  t.equal(exampleText, readFileSync(join(ROOT, 'docs/examples/archive.py'), 'utf8'));
  t.match(guide, '(../examples/archive.mjs)');
});
