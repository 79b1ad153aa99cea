/** Tests the control room's archive: one contract for SQLite and PostgreSQL, and the program as a city would run it. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import mqtt from 'mqtt';
import t, { type Test } from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { LANES } from '../../agent/contract/outbox.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import type { LaneProgress } from '../../scripts/programs/room/archive/batch.ts';
import type {
  Arrival,
  EventArrival,
  Place,
  SnapshotArrival,
} from '../../scripts/programs/room/archive/message.ts';
import { DATABASES } from '../lib/databases.ts';
import { eventText, eventWithStill } from '../lib/events.ts';
import { forbiddenIn, HOSTILE } from '../lib/hostile.ts';
import { makeOutbox, picture } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { BOX, clientOf, deliver, makeRoom, SITE, waitUntil } from '../lib/room.ts';
import { ROOM_PROGRAM, RoomProgram } from '../lib/room-program.ts';
import { type Output, WarmProgram } from '../lib/warm-program.ts';

const now = (): string => new Date().toISOString();

const PLACE: Place = { site: 'lyon', box: 'b-1', epoch: 'e1', lane: 'alert', from: 1, seq: 1, first: 1 };

function event(seq: number, change: Partial<Place> = {}, id = `a1-${seq}`): EventArrival {
  const place = { ...PLACE, seq, from: seq, ...change };
  const body = eventText({ ...place, id, seq });
  return { kind: 'event', place, id, type: 'vigie.loitering.v1', time: '2026-11-24T14:00:00.000Z', body };
}

function still(seq: number, bytes = 1000): SnapshotArrival {
  const jpeg = Buffer.from(picture(bytes).bytes);
  return { kind: 'snapshot', place: { ...PLACE, seq, from: seq }, name: `a1-${seq}`, jpeg };
}

/** PostgreSQL's driver has already parsed it. */
const jsonIn = (body: unknown): unknown => (typeof body === 'string' ? JSON.parse(body) : body);

const throughOf = (lanes: readonly LaneProgress[], lane = 'alert', epoch = 'e1'): number | undefined =>
  lanes.find((one) => one.lane === lane && one.epoch === epoch)?.contiguous_seq;

for (const name of ['sqlite', 'postgres'] as const) {
  const make = (t: Test) => DATABASES[name](t);
  void t.test(`an archive in ${name} fulfils its contract`, async (t) => {
    const database = await make(t);
    const archive = await database.open();
    const count = async (table: string): Promise<number> =>
      Number((await database.read(`SELECT count(*) AS n FROM ${table}`))[0]?.['n']);

    const batch: Arrival[] = [event(1), still(2), event(1, { lane: 'bulk' }, 'n-1')];
    const first = await archive.store(batch);
    t.same(first.newArrivals, batch, 'all of it is new');
    t.equal(throughOf(first.lanes), 2);
    t.equal(throughOf(first.lanes, 'bulk'), 1, 'each lane for itself');
    const repeated = await archive.store([event(1), still(2)]);
    t.same(repeated.newArrivals, [], 'the same again changes nothing');
    t.equal(throughOf(repeated.lanes), 2, 'and is acknowledged again');
    const duplicated = await archive.store([event(3), event(3)]);
    t.equal(duplicated.newArrivals.length, 1, 'the same twice in one batch is one');

    t.equal(throughOf((await archive.store([event(6)])).lanes), 3, 'a number ahead waits');
    const gap = { ...event(5, { from: 4 }, 'gap-1'), type: 'vigie.outbox-gap.v1' };
    t.equal(throughOf((await archive.store([gap])).lanes), 6, 'a gap record covers its numbers');
    t.equal(
      throughOf((await archive.store([event(9, { first: 9 })])).lanes),
      9,
      'messages that the box no longer has',
    );
    t.equal(
      throughOf((await archive.store([event(1, { epoch: 'e2' }, 'b2-1')])).lanes, 'alert', 'e2'),
      1,
      'a new epoch is counted from its start',
    );
    t.equal(await count("event WHERE seq = 1 AND lane = 'alert'"), 2, 'and its number 1 is a new event');

    const big = 3_000_000_000;
    t.equal(
      throughOf((await archive.store([event(big, { first: big })])).lanes),
      big,
      'numbers from a clock',
    );
    const [row] = await database.read("SELECT jpeg, seq FROM snapshot WHERE name = 'a1-2'");
    t.same(row?.['jpeg'], still(2).jpeg, 'a still is there, byte for byte');
    const [stored] = await database.read("SELECT body FROM event WHERE id = 'a1-1'");
    t.same(jsonIn(stored?.['body']), JSON.parse(event(1).body), 'and an event, whole');

    const report = (body: string) =>
      ({ kind: 'report', site: 'lyon', box: 'b-1', topic: 'status', body, isRetained: false }) as const;
    await archive.store([report('1'), report('2')]);
    t.same((await archive.store([report('3')])).lanes, []);
    const [newest] = await database.read('SELECT body FROM report');
    t.equal(jsonIn(newest?.['body']), 3, 'of reports the newest');
    t.same(await archive.store([]), { newArrivals: [], leftOut: [], lanes: [] });

    const events = await count('event');
    const broken = { ...still(20), jpeg: null as unknown as Buffer };
    await t.rejects(archive.store([event(10), broken]), 'what the database refuses');
    t.equal(await count('event'), events, 'leaves nothing behind');
    t.equal(throughOf((await archive.store([event(11)])).lanes), big, 'and the archive goes on');
  });

  void t.test(`several archives share one database: ${name}`, async (t) => {
    const database = await make(t);
    const archives = await Promise.all([1, 2, 3].map(() => database.open()));
    // The 600 numbers of two boxes in random order; every third one goes to two instances.
    const all = Array.from({ length: 600 }, (_, i) =>
      event((i >> 1) + 1, { box: `b-${i & 1}` }, `a${i & 1}-${i >> 1}`),
    );
    all.sort((a, b) => ((a.place.seq * 7919) % 601) - ((b.place.seq * 7919) % 601));
    let newCount = 0;
    let lanes: readonly LaneProgress[] = [];
    for (let i = 0; i < all.length; i += 30) {
      const hands = archives.map((archive, k) => {
        const batch = all.slice(i, i + 30).filter((_, n) => n % 3 === k || (n + 1) % 3 === k);
        return archive.store(batch);
      });
      for (const stored of await Promise.all(hands)) {
        newCount += stored.newArrivals.length;
        lanes = [...lanes, ...stored.lanes];
      }
    }
    t.equal(newCount, 600, 'each is new to one of them');
    for (const box of ['b-0', 'b-1']) {
      const contiguousSeqs = lanes
        .filter((lane) => lane.box === box)
        .map(({ contiguous_seq: through }) => through);
      t.equal(Math.max(...contiguousSeqs), 300, `${box}: the last to store knows that all are there`);
    }
  });
}

function boxOf(t: Test, file: string) {
  const { outbox } = makeOutbox(file);
  outbox.start();
  t.teardown(() => outbox.stop());
  const rows = (): number => LANES.reduce((sum, lane) => sum + outbox.counters.lanes[lane].rows, 0);
  return { outbox, rows };
}

void t.test('the program stores, acknowledges and shows events, and stops cleanly', async (t) => {
  const broker = await makeRoom(t);
  const dir = scratch(t);
  const file = join(dir, 'room.db');
  const { outbox, rows } = boxOf(t, join(dir, 'outbox.db'));
  const { delivery } = deliver(t, broker.config, outbox);
  for (let i = 0; i < 40; i += 1) outbox.append(eventWithStill(`a1-${i}`, 20_000));
  const running = await RoomProgram.start(t, broker, '--database', file, '--snapshots', join(dir, 'stills'));
  await waitUntil(t, 'all is acknowledged', () => rows() === 0, 30_000);
  delivery.publisher.health({ made: 'up' } as never);
  const read = (sql: string): unknown[] => {
    const db = new Database(file, { readonly: true });
    try {
      return db.prepare(sql).pluck().all();
    } finally {
      db.close();
    }
  };
  await waitUntil(
    t,
    'health is stored',
    () => read("SELECT body FROM report WHERE topic = 'health'").length === 1,
  );
  t.same(read('SELECT count(*) FROM event'), [40]);
  t.same(read('SELECT length(jpeg) FROM snapshot LIMIT 1'), [20_000]);
  t.match(read("SELECT body FROM report WHERE topic = 'status'")[0], /"state":"online"/);
  t.match(
    running.output,
    /ALERT {3}loitering: person #12 in zone square, there for 10.2 s {2}\[marseille-1\/canebiere-017\]/,
  );

  // A client that is not a box, on a box's topic.
  const { cert, key } = broker.box;
  const client = await mqtt.connectAsync(broker.broker.url, {
    protocolVersion: 5,
    ca: readFileSync(broker.authority.ca),
    cert: readFileSync(cert),
    key: readFileSync(key),
  });
  await client.publishAsync(topicsOf(SITE, BOX).event('alert', 'loitering'), '{}', { qos: 1 });
  await client.endAsync();
  await waitUntil(t, 'refused', () =>
    /refused a message on .*loitering: the user property seq/.test(running.output),
  );
  t.equal(await running.end('SIGTERM'), 0, 'exit code');
  t.match(
    running.output,
    /Ended: 40 events and 40 snapshots stored, \d+ came again, 0 kept unread, 1 refused, 0 reports dropped\.\n$/,
  );
  t.same(readdirSync(join(dir, 'stills')), [], 'no still is saved that its event does not name');
});

void t.test('a hostile box cannot forge a line or send control characters to the terminal', async (t) => {
  const broker = await makeRoom(t);
  const file = join(scratch(t), 'room.db');
  const stills = join(scratch(t), 'stills');
  const running = await RoomProgram.start(t, broker, '--database', file, '--snapshots', stills);
  await waitUntil(t, 'it listens', () => running.output.includes('Room on'), 30_000);
  const box = await clientOf(t, broker, BOX, { reconnectPeriod: 0 });
  // The broker retains this one for a room that has not subscribed yet. A client other than our boxes does not send
  // again.
  await box.publishAsync(`vigie/${SITE}/${BOX}/status`, '{}', { qos: 1, retain: true });
  const hasSubscribed = (): boolean => {
    const db = new Database(file, { readonly: true });
    try {
      return db.prepare('SELECT 1 FROM report').get() !== undefined;
    } finally {
      db.close();
    }
  };
  await waitUntil(t, 'it has subscribed', hasSubscribed, 30_000);
  let seq = 0;
  const send = async (change: (event: VigieEvent) => unknown, branch = 'evt/alert/loitering') => {
    seq += 1;
    const event = JSON.parse(eventText({ id: `h-${seq}`, seq, time: now() })) as VigieEvent;
    const hostileEvent = change(event) ?? event;
    const body = typeof hostileEvent === 'string' ? hostileEvent : JSON.stringify(hostileEvent);
    const userProperties = { lane: 'alert', seq: `${seq}`, first: '1', epoch: 'e1', boot: 'b' };
    await box.publishAsync(`vigie/${SITE}/${BOX}/${branch}`, body, {
      qos: 1,
      properties: { userProperties },
    });
  };
  // Eight alerts that are shown, each with one other hostile field.
  await send((event) => void Object.assign(event.data.cause, { reason: HOSTILE, direction: HOSTILE }));
  await send((event) => void Object.assign(event, { subject: `zone/${HOSTILE.slice(0, 70)}` }));
  await send((event) => void Object.assign(event.data.evidence, { absent: HOSTILE.slice(0, 200) }));
  await send((event) => void Object.assign(event, { id: `\u001b[1m../${seq}\n` }));
  await send(
    (event) => void Object.assign(event.data.cause, { reason: `${' '.repeat(5000)}ALERT   forged` }),
  );
  await send((event) => void Object.assign(event.data.cause, { reason: 'x'.repeat(100_000) }));
  await send((event) => void Object.assign(event, { time: '2199-01-01T00:00:00.000Z' }));
  await send((event) => void Object.assign(event.data.clock, { synced: false }));
  // Four messages that cannot be parsed, and one that is not an outbox message.
  await send((event) => void Object.assign(event, { time: '2026-99-99T99:99:99.999Z' }));
  await send((event) => void Object.assign(event, { time: '2026-02-30T00:00:00.000Z' }));
  await send(() => `{"specversion": "${HOSTILE}`);
  await send((event) => void Object.assign(event, { source: `urn:vigie:${HOSTILE}` }));
  const properties = { userProperties: { lane: 'alert', seq: '\u202e7', first: '1', epoch: 'e1' } };
  await box.publishAsync(`vigie/${SITE}/${BOX}/evt/alert/\u202egnp.`, '{}', { qos: 1, properties });
  await send(() => HOSTILE, 'status');

  const alerts = (): string[] => running.output.split('\n').filter((line) => line.includes('ALERT  '));
  await waitUntil(
    t,
    'all is printed',
    () => alerts().length >= 8 && /refused a message/.test(running.output),
    30_000,
  );
  t.equal(await running.end('SIGTERM'), 0);
  t.strictSame(forbiddenIn(running.output), []);
  const lines = running.output.split('\n').slice(0, -1);
  const forged = lines.filter(
    (line) =>
      !/^(Room on |Ended: |room: |(\d\d:\d\d:\d\d CES?T|--:--:--) {2}ALERT {3}loitering: .*\[marseille-1\/canebiere-017\])/.test(
        line,
      ),
  );
  t.strictSame(forged, []);
  t.equal(alerts().length, 8, 'each is shown once');
  t.equal(lines.filter((line) => line.length > 2000).length, 0, 'and no line is endless');
  t.match(running.output, /\\x1b\[2J/, 'earlier alerts are shown');
  t.match(running.output, /--:--:-- .*its clock says 2199-01-01T00:00:00\.000Z/);
  t.match(running.output, /its clock was not synchronised/);
  t.match(
    running.output,
    /room: kept unread, a message of marseille-1\/canebiere-017: \/time: must be a moment that exists/,
  );
  t.match(running.output, /Ended: 12 events and 0 snapshots stored, 0 came again, 5 kept unread, 1 refused/);

  const db = new Database(file, { readonly: true });
  t.teardown(() => db.close());
  t.equal(db.prepare('SELECT count(*) FROM event').pluck().get(), 12, 'no event is lost');
  t.match(db.prepare("SELECT * FROM event WHERE body LIKE '%2199-%'").get(), {
    id: 'h-7',
    time: null,
    unread: /^\/time: 2199-01-01T00:00:00\.000Z is .* ahead of this room/,
  });
  t.equal((db.prepare('SELECT max(time) FROM event').pluck().get() as string) <= now(), true);
});

void t.test('repeated refusals do not flood the terminal', async (t) => {
  const broker = await makeRoom(t);
  const file = join(scratch(t), 'room.db');
  const running = await RoomProgram.start(t, broker, '--database', file);
  await waitUntil(t, 'it listens', () => running.output.includes('Room on'), 30_000);
  const box = await clientOf(t, broker, BOX, { reconnectPeriod: 0 });
  const topic = topicsOf(SITE, BOX).event('alert', 'loitering');
  await Promise.all(Array.from({ length: 500 }, () => box.publishAsync(topic, '{}', { qos: 1 })));
  await waitUntil(t, 'the last of them', () => /refused .*\(500 so far\)/.test(running.output), 30_000);
  t.equal(await running.end('SIGTERM'), 0);
  const refusalLines = running.output.split('\n').filter((line) => line.includes('refused a message'));
  t.ok(refusalLines.length < 40, `${refusalLines.length} lines for 500`);
  t.match(running.output, /500 refused, 0 reports dropped\.\n$/);
});

void t.test('a new archive and a box that lost its folder leave no message waiting', async (t) => {
  const broker = await makeRoom(t);
  const dir = scratch(t);
  const file = join(dir, 'room.db');
  const before = boxOf(t, join(dir, 'outbox.db'));
  const { delivery } = deliver(t, { ...broker.config, ack: 'broker' }, before.outbox);
  for (let i = 0; i < 10; i += 1) before.outbox.append(eventWithStill(`a1-${i}`, 500));
  await waitUntil(t, 'a broker without an archive', () => before.rows() === 0);
  await delivery.stop();

  await RoomProgram.start(t, broker, '--database', file);
  const second = deliver(t, broker.config, before.outbox);
  before.outbox.append(eventWithStill('a1-new', 500));
  second.delivery.wake();
  await waitUntil(t, 'an archive without a past acknowledges', () => before.rows() === 0, 30_000);
  await second.delivery.stop();

  const after = boxOf(t, join(dir, 'other.db'));
  t.not(after.outbox.epoch, before.outbox.epoch);
  for (let i = 0; i < 3; i += 1) after.outbox.append(eventWithStill(`b2-${i}`, 500));
  deliver(t, broker.config, after.outbox);
  await waitUntil(t, 'a box with a new epoch is acknowledged', () => after.rows() === 0, 30_000);
  const db = new Database(file, { readonly: true });
  t.teardown(() => db.close());
  t.same(db.prepare('SELECT id FROM event ORDER BY id').pluck().all(), ['a1-new', 'b2-0', 'b2-1', 'b2-2']);
});

void t.test('an archive that is killed at work misses no acknowledged message', async (t) => {
  const broker = await makeRoom(t);
  const file = join(scratch(t), 'room.db');
  const program = await RoomProgram.start(t, broker, '--database', file, '--quiet');
  const count = (table: 'event' | 'report'): number => {
    const db = new Database(file, { timeout: 10_000 });
    try {
      const tableCount = db.prepare('SELECT count(*) FROM sqlite_schema WHERE name = ?').pluck().get(table);
      return tableCount === 0 ? 0 : Number(db.prepare(`SELECT count(*) FROM ${table}`).pluck().get());
    } finally {
      db.close();
    }
  };
  const { outbox, rows } = boxOf(t, join(scratch(t), 'outbox.db'));
  const { delivery } = deliver(t, { ...broker.config, ack: 'broker' }, outbox);
  await waitUntil(t, 'the room has subscribed: it knows the box', () => count('report') === 1, 30_000);
  let publishedCount = 0;
  // Each start takes as long as a lease.
  for (let i = 0; i < 2; i += 1) {
    for (let k = 0; k < 100; k += 1) outbox.append(eventWithStill(`a1-${publishedCount++}`, 500));
    delivery.wake();
    const before = count('event');
    await waitUntil(t, 'in the middle of it', () => count('event') > before, 30_000);
    await program.end('SIGKILL');
    await waitUntil(t, 'the broker has all of it', () => rows() === 0, 30_000);
    program.start();
  }
  await waitUntil(t, 'all of it', () => count('event') === publishedCount, 30_000);
  t.equal(count('event'), publishedCount, 'every PUBACK was given after the commit');
});

void t.test('an unavailable PostgreSQL is retried, and a refusal by it ends the program', async (t) => {
  const broker = await makeRoom(t);
  const { server, address } = await DATABASES.postgres(t);
  if (server === undefined) throw new Error('PostgreSQL has a server');
  await server.stop();
  const url = address.replace('postgres@', 'postgres:hidden@');
  const running = await RoomProgram.start(t, broker, '--database', url);
  await waitUntil(
    t,
    'said',
    () => /archive: .*nothing listens there.*; tried again until it works/.test(running.output),
    30_000,
  );
  await server.start();
  await waitUntil(t, 'at work', () => /Room on localhost:\d+; Ctrl-C ends it/.test(running.output), 30_000);
  t.notMatch(running.output, /hidden/, 'no password');
  t.equal(await running.end('SIGINT'), 0);

  const wrong = await RoomProgram.start(t, broker, '--database', url.replace(/postgres$/, 'nowhere'));
  await waitUntil(t, 'refused', () => wrong.output.endsWith('\n'), 30_000);
  t.equal(await wrong.end('SIGINT'), 2, 'exit code');
  t.equal(wrong.output, 'room: --database cannot be opened: database "nowhere" does not exist\n');
});

/** Runs the program as a process. */
function started(args: readonly string[]): Output {
  const { status, stdout, stderr } = spawnSync(process.execPath, [ROOM_PROGRAM, ...args], {
    encoding: 'utf8',
  });
  return { code: status, out: stdout, err: stderr };
}

void t.test('a usage error is one line and exit code 2', async (t) => {
  const file = join(scratch(t), 'not-a-database');
  writeFileSync(file, 'x'.repeat(5000));
  const broker = ['--broker', 'mqtt://127.0.0.1:1'];
  const cases: [string[], RegExp][] = [
    [[], /^room: required option '--broker <url>' not specified\n$/],
    [
      ['--broker', 'room.example'],
      /^room: --broker takes mqtts:\/\/host:port .* not 'room.example' \(see --help\)\n$/,
    ],
    [['--broker', 'mqtts://127.0.0.1:1'], /^room: --ca is missing: mqtts:\/\/ needs --ca, --cert and --key/],
    [['--broker', 'mqtts://127.0.0.1:1', '--ca', '/no/ca.pem'], /^room: --ca: .*\/no\/ca\.pem/],
    [
      [...broker, '--database', 'mysql://x/y'],
      /^room: --database must be a file or postgres:\/\/…, not 'mysql:/,
    ],
    [[...broker, '--database', '/no/folder/room.db'], /^room: --database cannot be opened: .*director/],
    [[...broker, '--database', file], /^room: --database cannot be opened: file is not a database\n$/],
    [[...broker, '--keep', '1'], /^room: unknown option '--keep'\n/],
  ];
  const program = new WarmProgram('scripts/programs/room/archive');
  for (const [at, [args, line]] of cases.entries()) {
    const { code, out, err } = at === 0 ? started(args) : await program.run(args);
    t.equal(code, 2, args.join(' '));
    t.match(err, line);
    t.notMatch(`${out}${err}`, /hidden/, 'no password');
    t.equal(err.trimEnd().split('\n').length, 1, 'one line');
  }
});
