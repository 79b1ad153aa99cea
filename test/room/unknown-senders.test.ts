/** Tests how the archive treats boxes that are not enrolled: a real broker, real outboxes, the archive as a process. */
import { spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DATABASES, type Row } from '../lib/databases.ts';
import { enrolled, revoked, writeBoxes } from '../lib/enrolled-boxes.ts';
import { scratch } from '../lib/paths.ts';
import { clientOf, makeRoom, SITE, waitUntil } from '../lib/room.ts';
import { ROOM_PROGRAM, RoomProgram } from '../lib/room-program.ts';
import { StreetBox } from '../lib/street-boxes.ts';

void t.test('a box is stored once it is enrolled, and no longer when it is revoked', async (t) => {
  const broker = await makeRoom(t);
  const database = await DATABASES.sqlite(t);
  const file = join(scratch(t), 'boxes.json');
  writeBoxes(file, [enrolled(SITE, 'b-1')]);
  const archive = await RoomProgram.start(t, broker, '--database', database.address, '--boxes', file);
  await waitUntil(t, 'it listens', () => archive.output.includes('Room on'));
  const [enrolledBox, late] = await Promise.all(
    ['b-1', 'b-2'].map((name) => StreetBox.start(t, broker, name)),
  );
  if (enrolledBox === undefined || late === undefined) throw new Error('two boxes');
  const rows = { now: [] as Row[] };
  const untilRows = async (sql: string, fits: (rows: Row[]) => boolean): Promise<void> => {
    for (let isReading = false, isDone = false; !isDone; ) {
      await waitUntil(t, sql, () => {
        if (!isReading) {
          isReading = true;
          void database.read(sql).then((result) => {
            rows.now = result;
            isReading = false;
          });
        }
        isDone = fits(rows.now);
        return isDone;
      });
    }
  };
  enrolledBox.tell({ id: 'k-1' });
  late.tell({ id: 'l-1' });
  await untilRows('SELECT box FROM incident', (matches) => matches.length === 1);
  await untilRows('SELECT * FROM stranger', (matches) => Number(matches[0]?.['messages']) > 0);
  t.match(rows.now, [{ site: SITE, box: 'b-2' }]);
  t.match(archive.output, /left out a message of marseille-1\/b-2: the box is not enrolled there/);
  t.same(await database.read('SELECT box FROM incident'), [{ box: 'b-1' }]);
  t.same(
    (await database.read('SELECT box FROM camera')).map(({ box }) => box),
    ['b-1'],
  );
  t.same(await database.read("SELECT 1 FROM lane WHERE box = 'b-2'"), [], 'it gets no acknowledgement');
  // The state of a broker whose rules are not the enrolment's.
  appendFileSync(broker.broker.aclFile, '\nuser b-1\ntopic write vigie/elsewhere/#\n');
  await broker.broker.reload();
  const thief = await clientOf(t, broker, 'b-1');
  await thief.publishAsync('vigie/elsewhere/b-1/status', '{"state":"online"}', { qos: 1 });
  await untilRows("SELECT * FROM stranger WHERE site = 'elsewhere'", (matches) => matches.length === 1);
  writeBoxes(file, [enrolled(SITE, 'b-1'), enrolled(SITE, 'b-2')]);
  await untilRows("SELECT box FROM incident WHERE box = 'b-2'", (matches) => matches.length === 1);
  t.pass('what it kept has come');
  writeBoxes(file, [revoked(SITE, 'b-1'), enrolled(SITE, 'b-2')]);
  await untilRows(
    "SELECT state FROM incident WHERE box = 'b-1'",
    (matches) => matches[0]?.['state'] === 'closed',
  );
  enrolledBox.tell({ id: 'k-2' });
  await untilRows(
    `SELECT * FROM stranger WHERE site = '${SITE}' AND box = 'b-1'`,
    (matches) => matches.length === 1,
  );
  t.same(await database.read("SELECT 1 FROM incident WHERE box = 'b-1' AND state <> 'closed'"), []);
  t.equal(await archive.end('SIGINT'), 0);
  t.match(archive.output, /Ended: .* [1-9]\d* left out of boxes that are not enrolled\./);
});

void t.test('an unreadable list of boxes is a usage error', async (t) => {
  const args = ['--broker', 'mqtt://127.0.0.1:1', '--database', join(scratch(t), 'room.db')];
  const { status, stderr } = spawnSync(
    process.execPath,
    [ROOM_PROGRAM, ...args, '--boxes', '/nowhere/boxes.json'],
    { encoding: 'utf8' },
  );
  t.match(stderr, /^room: --boxes: \/nowhere\/boxes.json: cannot be read \(.*\); name .*\n$/);
  t.equal(status, 2);
});

void t.test('at most 1,000 unknown senders are counted by name', async (t) => {
  const database = await DATABASES.sqlite(t);
  const archive = await database.open();
  for (const round of ['a', 'b']) {
    const unknownSenders = archive.unknownSenders();
    for (let n = 0; n < 800; n += 1) unknownSenders.note(`${round}-${n}`, 'thief', 10);
    unknownSenders.note('a-1', 'thief', 10);
    await unknownSenders.stop();
  }
  const [sum] = await database.read(
    'SELECT count(*) AS n, sum(messages) AS messages, sum(bytes) AS bytes FROM stranger',
  );
  t.match(sum, { n: 1001, messages: 1602, bytes: 16_020 }, 'the rest is one row');
  const [rest] = await database.read("SELECT messages FROM stranger WHERE box = ''");
  t.match(rest, { messages: 600 });
});
