/**
 * Tests the guide's example archives in Python and Node with a box's outbox and a broker.
 *
 * Every message is stored, acknowledged and removed from the box. Duplicates are dropped, and a kill loses nothing.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { PROGRAM_RULES } from '../../scripts/lib/broker-acl.ts';
import { ARCHIVE } from '../../scripts/products/room/contract/terms.ts';
import { eventWithStill, namedEvent } from '../lib/events.ts';
import { openedOutbox, rowsOf } from '../lib/outbox.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { type Program, start } from '../lib/program.ts';
import { deliver, makeRoom, type Room, waitUntil } from '../lib/room.ts';

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

async function startExample(t: Test, room: Room, { command }: Example, file: string): Promise<Program> {
  const { cert, key } = await room.programs.client(ARCHIVE);
  const [program, ...args] = command(Number(new URL(room.broker.archiveUrl).port));
  return start(t, program, [...args, room.authority.ca, cert, key, file]);
}

async function killExample(t: Test, { child, code, err, exit }: Program): Promise<void> {
  t.equal(code, undefined, `it has not ended early: ${err}`);
  child.kill('SIGKILL');
  await exit;
}

/** The shipped rules without the one that lets the room acknowledge. */
const DEAF = PROGRAM_RULES.replace('topic write vigie/+/+/ack\n', '');

for (const [name, example] of Object.entries(EXAMPLES)) {
  void t.test(`${name} stores, acknowledges, and loses nothing by a kill`, async (t) => {
    t.not(DEAF, PROGRAM_RULES);
    const room = await makeRoom(t, { rules: DEAF });
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
    await waitUntil(t, 'it reports that it may not acknowledge', () => /[Nn]ot authorized/.test(first.err));
    const before = stored();
    t.strictSame([...new Set(before)], before, 'each is stored once');
    t.equal(rowsOf(outbox), expected.length, 'and still on the box');
    await killExample(t, first);

    await room.broker.allow(PROGRAM_RULES);
    for (let i = 0; i < 40; i += 1) add(`b-${i}`);
    outbox.append([namedEvent('bulk', 'too-large')]);
    t.ok(outbox.dropTooLarge('bulk', outbox.range('bulk').last), 'a number that will not come');
    expected.push(`evt gap-${outbox.epoch}-bulk-${outbox.range('bulk').last}-${outbox.range('bulk').last}`);
    add('c-0');
    const second = await startExample(t, room, example, file);
    await waitUntil(t, 'some is stored', () => stored().length > 40, 30_000);
    await killExample(t, second);

    for (let i = 0; i < 10; i += 1) add(`d-${i}`);
    const third = await startExample(t, room, example, file);
    await waitUntil(t, 'the box is rid of all', () => rowsOf(outbox) === 0, 60_000);
    t.strictSame(stored().sort(), [...expected].sort(), 'each is stored once, and none is lost');
    t.equal(third.code, undefined, 'and it goes on');
  });
}
