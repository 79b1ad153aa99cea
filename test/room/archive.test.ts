/**
 * Tests the control room's archive as a city would run it, with a real broker and real outboxes, and the delivery of verdicts.
 */

import { spawnSync } from 'node:child_process';
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { VerdictDelivery } from '../../scripts/products/room/archive/verdicts.ts';
import { ARCHIVE } from '../../scripts/products/room/contract/terms.ts';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { WatchedLease } from '../../scripts/products/room/database/watched-lease.ts';
import { addIncident, addVerdict, countOf, putCamera, recordsOf } from '../lib/console-rows.ts';
import { DATABASES, onEachDatabase, type Row } from '../lib/databases.ts';
import { enrolled, revoked, writeBoxes } from '../lib/enrolled-boxes.ts';
import { eventText, eventWithStill } from '../lib/events.ts';
import { forbiddenIn, HOSTILE } from '../lib/hostile.ts';
import { openedOutbox, rowsOf } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { BOX, clientOf, deliver, makeRoom, type Room, SITE, waitUntil } from '../lib/room.ts';
import { ROOM_PROGRAM, RoomProgram } from '../lib/room-program.ts';
import { unlessAll } from '../lib/run.ts';
import { StreetBox } from '../lib/street-boxes.ts';
import { type Output, WarmProgram } from '../lib/warm-program.ts';

const now = (): string => new Date().toISOString();

void t.test(
  'an archive that is killed at work loses no acknowledged message and stores none twice',
  async (t) => {
    const room = await makeRoom(t);
    const { address, read, sql } = await DATABASES.sqlite(t);
    const stills = scratch(t);
    const program = await RoomProgram.start(t, room, '--database', address, '--snapshots', stills);
    await waitUntil(t, 'it listens', () => program.output.includes('Room on'));
    const count = async (): Promise<number> =>
      Number((await read('SELECT count(*) AS n FROM event'))[0]?.['n']);
    const outbox = openedOutbox(t, join(scratch(t), 'outbox.db'));
    const { delivery } = deliver(t, room.config, outbox);
    const expected: string[] = [];
    const append = (items: number): void => {
      for (let i = 0; i < items; i += 1) {
        const id = `a1-${1000 + expected.length}`;
        expected.push(id);
        outbox.append(eventWithStill(id, 500));
      }
      delivery.wake();
    };
    append(300);
    while ((await count()) === 0) await sleep(5);
    t.ok(rowsOf(outbox) > 0, 'it is killed in the middle of it');
    await program.end('SIGKILL');
    // Ends the lease of the dead one, as ten seconds would (room/lease).
    await sql().run("DELETE FROM setting WHERE name = 'lease-archive'");
    append(20);
    program.start();
    await waitUntil(t, 'the box has nothing left', () => rowsOf(outbox) === 0);
    const names = async (sql: string): Promise<unknown[]> => (await read(sql)).map(({ name }) => name);
    t.same(await names('SELECT id AS name FROM event ORDER BY id'), expected, 'every event once');
    t.same(await names('SELECT name FROM snapshot ORDER BY name'), expected, 'every still once');
    t.match(await read("SELECT body FROM report WHERE topic = 'status'"), [{ body: /"state":"online"/ }]);
    t.match(
      program.output,
      /ALERT {3}loitering: person #12 in zone square, there for 10.2 s {2}\[marseille-1\/canebiere-017\]/,
    );
    t.equal(await program.end('SIGTERM'), 0, 'exit code');
    t.match(
      program.output,
      /Ended: \d+ events and \d+ snapshots stored, .* 0 kept unread, 0 refused, 0 reports /,
    );
    t.same(readdirSync(stills), [], 'no still is saved that its event does not name');
  },
);

void t.test(
  'a hostile box neither forges a line, nor sends control characters, nor floods the terminal',
  async (t) => {
    const room = await makeRoom(t);
    const { address, read } = await DATABASES.sqlite(t);
    const program = await RoomProgram.start(t, room, '--database', address, '--snapshots', scratch(t));
    await waitUntil(t, 'it listens', () => program.output.includes('Room on'));
    const box = await clientOf(t, room, BOX, { reconnectPeriod: 0 });
    // The broker retains this one for a room that has not subscribed yet; this client does not send again.
    await box.publishAsync(`vigie/${SITE}/${BOX}/status`, '{}', { qos: 1, retain: true });
    while ((await read('SELECT 1 FROM report')).length === 0) await sleep(20);
    let seq = 0;
    const send = async (change: (event: VigieEvent) => unknown, branch = 'evt/alert/loitering') => {
      seq += 1;
      const event = JSON.parse(eventText({ id: `h-${seq}`, seq, time: now() })) as VigieEvent;
      const replacement = change(event);
      const body = typeof replacement === 'string' ? replacement : JSON.stringify(event);
      const userProperties = { lane: 'alert', seq: `${seq}`, first: '1', epoch: 'e1', boot: 'b' };
      await box.publishAsync(`vigie/${SITE}/${BOX}/${branch}`, body, {
        qos: 1,
        properties: { userProperties },
      });
    };
    const { assign } = Object;
    // Eight alerts that are shown, each with one other hostile field.
    await send(({ data }) => assign(data.cause, { reason: HOSTILE, direction: HOSTILE }));
    await send((event) => assign(event, { subject: `zone/${HOSTILE.slice(0, 70)}` }));
    await send(({ data }) => assign(data.evidence, { absent: HOSTILE.slice(0, 200) }));
    await send((event) => assign(event, { id: `\u001b[1m../${seq}\n` }));
    await send(({ data }) => assign(data.cause, { reason: `${' '.repeat(5000)}ALERT   forged` }));
    await send(({ data }) => assign(data.cause, { reason: 'x'.repeat(100_000) }));
    await send((event) => assign(event, { time: '2199-01-01T00:00:00.000Z' }));
    await send(({ data }) => assign(data.clock, { synced: false }));
    // Four messages that cannot be parsed, and 300 that are not outbox messages.
    await send((event) => assign(event, { time: '2026-99-99T99:99:99.999Z' }));
    await send((event) => assign(event, { time: '2026-02-30T00:00:00.000Z' }));
    await send(() => `{"specversion": "${HOSTILE}`);
    await send((event) => assign(event, { source: `urn:vigie:${HOSTILE}` }));
    await send(() => HOSTILE, 'status');
    const properties = { userProperties: { lane: 'alert', seq: '\u202e7', first: '1', epoch: 'e1' } };
    const sendRefused = (): Promise<unknown> =>
      box.publishAsync(`vigie/${SITE}/${BOX}/evt/alert/\u202egnp.`, '{}', { qos: 1, properties });
    await Promise.all(Array.from({ length: 300 }, sendRefused));

    const alerts = (): string[] => program.output.split('\n').filter((line) => line.includes('ALERT  '));
    const hasAll = (): boolean => alerts().length >= 8 && /refused .*\(300 so far\)/.test(program.output);
    await waitUntil(t, 'all is printed', hasAll);
    t.equal(await program.end('SIGTERM'), 0);
    t.strictSame(forbiddenIn(program.output), []);
    const lines = program.output.split('\n').slice(0, -1);
    const ownLine =
      /^(Room on |Ended: |room: |(\d\d:\d\d:\d\d CES?T|--:--:--) {2}ALERT {3}loitering: .*\[marseille-1\/canebiere-017\])/;
    t.strictSame(
      lines.filter((line) => !ownLine.test(line)),
      [],
      'no forged line',
    );
    t.equal(alerts().length, 8, 'each is shown once');
    t.ok(
      lines.filter((line) => line.includes('refused a message')).length < 40,
      'few lines for 300 refusals',
    );
    t.equal(lines.filter((line) => line.length > 2000).length, 0, 'and no line is endless');
    for (const line of [
      /\\x1b\[2J/,
      /--:--:-- .*its clock says 2199-01-01T00:00:00\.000Z/,
      /its clock was not synchronised/,
      /room: kept unread, a message of marseille-1\/canebiere-017: \/time: must be a moment that exists/,
      /Ended: 12 events and 0 snapshots stored, 0 came again, 5 kept unread, 300 refused/,
    ])
      t.match(program.output, line);
    t.equal((await read('SELECT 1 FROM event')).length, 12, 'no event is lost');
    const unread = /^\/time: 2199-01-01T00:00:00\.000Z is .* ahead of this room/;
    t.match(await read("SELECT * FROM event WHERE body LIKE '%2199-%'"), [{ id: 'h-7', time: null, unread }]);
    t.ok(String((await read('SELECT max(time) AS newest FROM event'))[0]?.['newest']) <= now());
  },
);

void t.test(
  'a box is stored once it is enrolled, and no longer when it is revoked',
  { skip: unlessAll },
  async (t) => {
    const room = await makeRoom(t);
    const { address, read } = await DATABASES.sqlite(t);
    const file = join(scratch(t), 'boxes.json');
    writeBoxes(file, [enrolled(SITE, 'b-1')]);
    const archive = await RoomProgram.start(t, room, '--database', address, '--boxes', file);
    await waitUntil(t, 'it listens', () => archive.output.includes('Room on'));
    const [enrolledBox, late] = [
      await StreetBox.start(t, room, 'b-1'),
      await StreetBox.start(t, room, 'b-2'),
    ];
    const untilRows = async (
      sql: string,
      fits = (rows: Row[]): boolean => rows.length === 1,
    ): Promise<Row[]> => {
      for (;;) {
        const rows = await read(sql);
        if (fits(rows)) return rows;
        await sleep(20);
      }
    };
    enrolledBox.tell({ id: 'k-1' });
    late.tell({ id: 'l-1' });
    await untilRows('SELECT box FROM incident');
    const strangers = await untilRows('SELECT * FROM stranger', ([row]) => Number(row?.['messages']) > 0);
    t.match(strangers, [{ site: SITE, box: 'b-2' }]);
    t.match(archive.output, /left out a message of marseille-1\/b-2: the box is not enrolled there/);
    t.same(await read('SELECT box FROM incident'), [{ box: 'b-1' }]);
    t.same(await read('SELECT box FROM camera'), [{ box: 'b-1' }]);
    t.same(await read("SELECT 1 FROM lane WHERE box = 'b-2'"), [], 'it gets no acknowledgement');
    // The state of a broker whose rules are not the enrolment's.
    appendFileSync(room.broker.aclFile, '\nuser b-1\ntopic write vigie/elsewhere/#\n');
    await room.broker.reload();
    const thief = await clientOf(t, room, 'b-1');
    await thief.publishAsync('vigie/elsewhere/b-1/status', '{"state":"online"}', { qos: 1 });
    await untilRows("SELECT * FROM stranger WHERE site = 'elsewhere'");
    writeBoxes(file, [enrolled(SITE, 'b-1'), enrolled(SITE, 'b-2')]);
    await untilRows("SELECT box FROM incident WHERE box = 'b-2'");
    t.pass('what it kept has come');
    writeBoxes(file, [revoked(SITE, 'b-1'), enrolled(SITE, 'b-2')]);
    await untilRows("SELECT 1 FROM incident WHERE box = 'b-1' AND state = 'closed'");
    enrolledBox.tell({ id: 'k-2' });
    await untilRows(`SELECT * FROM stranger WHERE site = '${SITE}' AND box = 'b-1'`);
    t.same(await read("SELECT 1 FROM incident WHERE box = 'b-1' AND state <> 'closed'"), []);
    t.equal(await archive.end('SIGINT'), 0);
    t.match(archive.output, /Ended: .* [1-9]\d* left out of boxes that are not enrolled\./);
  },
);

void t.test('at most 1,000 unknown senders are counted by name', async (t) => {
  const { open, read } = await DATABASES.sqlite(t);
  const archive = await open();
  for (const round of ['a', 'b']) {
    const unknownSenders = archive.unknownSenders();
    for (let n = 0; n < 800; n += 1) unknownSenders.note(`${round}-${n}`, 'thief', 10);
    unknownSenders.note('a-1', 'thief', 10);
    await unknownSenders.stop();
  }
  const [sum] = await read(
    'SELECT count(*) AS n, sum(messages) AS messages, sum(bytes) AS bytes FROM stranger',
  );
  t.match(sum, { n: 1001, messages: 1602, bytes: 16_020 }, 'the rest is one row');
  t.match(await read("SELECT messages FROM stranger WHERE box = ''"), [{ messages: 600 }]);
});

/** Runs the program as a process. */
function started(args: readonly string[]): Output {
  const all = [ROOM_PROGRAM, ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, all, { encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

void t.test('a usage error is one line and exit code 2', { skip: unlessAll }, async (t) => {
  const file = join(scratch(t), 'not-a-database');
  writeFileSync(file, 'x'.repeat(5000));
  const broker = ['--broker', 'mqtt://127.0.0.1:1'];
  const boxes = ['--database', join(scratch(t), 'room.db'), '--boxes', '/nowhere/boxes.json'];
  const cases: [string[], RegExp][] = [
    [[], /^room: required option '--broker <url>' not specified\n$/],
    [
      ['--broker', 'room.example'],
      /^room: --broker takes mqtts:\/\/host:port .* not 'room.example' \(see --help/,
    ],
    [['--broker', 'mqtts://127.0.0.1:1'], /^room: --ca is missing: mqtts:\/\/ needs --ca, --cert and --key/],
    [['--broker', 'mqtts://127.0.0.1:1', '--ca', '/no/ca.pem'], /^room: --ca: .*\/no\/ca\.pem/],
    [
      [...broker, '--database', 'mysql://x/y'],
      /^room: --database must be a file or postgres:\/\/…, not 'mysql:/,
    ],
    [[...broker, '--database', '/no/folder/room.db'], /^room: --database cannot be opened: .*director/],
    [[...broker, '--database', file], /^room: --database cannot be opened: file is not a database\n$/],
    [[...broker, ...boxes], /^room: --boxes: \/nowhere\/boxes.json: cannot be read \(.*\); name .*\n$/],
    [[...broker, '--keep', '1'], /^room: unknown option '--keep'\n/],
  ];
  const program = new WarmProgram('scripts/products/room/archive');
  for (const [at, [args, line]] of cases.entries()) {
    const { code, err } = at === 0 ? started(args) : await program.run(args);
    t.equal(code, 2, args.join(' '));
    t.match(err, line);
    t.equal(err.trimEnd().split('\n').length, 1, 'one line');
  }
});

const NOW = Date.parse('2026-11-27T12:00:00.000Z');
const PLACE = { site: SITE, box: BOX };
const TOPIC = `vigie/${SITE}/${BOX}/verdict`;

/** A stand-in for a box that records the verdicts it receives. */
async function boxOf(
  t: Test,
  room: Room,
): Promise<{ client: MqttClient; verdicts: Record<string, string>[] }> {
  const client = await clientOf(t, room, BOX);
  const verdicts: Record<string, string>[] = [];
  client.on('message', (_, payload) =>
    verdicts.push(JSON.parse(payload.toString()) as Record<string, string>),
  );
  await client.subscribeAsync(TOPIC, { qos: 1 });
  return { client, verdicts };
}

const leaseOf = (db: Sql, instanceId: string): WatchedLease =>
  new WatchedLease(db, 'lease-archive', instanceId);

function delivery(
  t: Test,
  db: Sql,
  client: MqttClient,
  lease: WatchedLease,
): { verdicts: VerdictDelivery; lines: string[] } {
  const lines: string[] = [];
  const verdicts = new VerdictDelivery({ db, client, lease, log: (line) => lines.push(line) });
  t.teardown(() => verdicts.stop());
  verdicts.start();
  return { verdicts, lines };
}

onEachDatabase('verdicts reach the box once', async (t, database) => {
  const db = await database.prepared(NOW);
  const room = await makeRoom(t);
  const archive = await clientOf(t, room, ARCHIVE);
  const incident = await addIncident(db, NOW, { ...PLACE, episode: 'ep-1' });
  await addVerdict(db, PLACE, 'ep-1', 'confirmed', NOW);
  await addVerdict(db, PLACE, 'ep-2', 'unclear', NOW + 1);
  await addVerdict(db, PLACE, 'ep-1', 'false-alarm', NOW + 2);
  await addVerdict(db, { site: SITE, box: 'unknown' }, 'ep-9', 'confirmed', NOW);
  await putCamera(db, BOX, NOW, { site: SITE, state: 'offline' });

  const lease = leaseOf(db, 'one');
  await lease.take(undefined);
  const { verdicts, lines } = delivery(t, db, archive, lease);
  let due = 0;
  const pollTimer = setInterval(() => void countOf(db, 'verdict_due').then((count) => (due = count)), 20);
  t.teardown(() => clearInterval(pollTimer));
  await waitUntil(t, 'looked at', () => due === 4);
  t.equal(verdicts.counters.unheard, 0, 'an offline box is not called');

  await putCamera(db, BOX, NOW, { site: SITE, state: 'online' });
  await waitUntil(t, 'the broker reports no subscriber', () => verdicts.counters.unheard > 0);
  t.equal(await countOf(db, 'verdict_due'), 4, 'it stays due');
  t.same(await recordsOf(db, 'verdict-delivered'), [], 'and is not audited as sent');

  const { verdicts: receivedVerdicts } = await boxOf(t, room);
  await putCamera(db, BOX, NOW, { site: SITE, state: 'online' });
  await waitUntil(t, 'told', () => due === 1);
  // The broker has acknowledged to the archive; it delivers to the box in its own time.
  await waitUntil(t, 'heard', () => receivedVerdicts.length >= 3);
  t.same(
    receivedVerdicts,
    [
      { episode: 'ep-1', verdict: 'confirmed', time: iso(NOW) },
      { episode: 'ep-2', verdict: 'unclear', time: iso(NOW + 1) },
      { episode: 'ep-1', verdict: 'false-alarm', time: iso(NOW + 2) },
    ],
    'each once, in order, without further fields',
  );
  t.match(await recordsOf(db, 'verdict-delivered'), [
    { ...PLACE, incident, more: { episode: 'ep-1', verdict: 'confirmed' } },
    { ...PLACE, incident: null, more: { episode: 'ep-2' } },
    { ...PLACE, incident, more: { verdict: 'false-alarm' } },
  ]);

  await addVerdict(db, PLACE, 'no such <name>', 'confirmed', NOW);
  for (let index = 0; index < 250; index += 1)
    await addVerdict(db, PLACE, `many-${index}`, 'confirmed', NOW + index);
  await waitUntil(t, 'many are sent', () => due === 1 && receivedVerdicts.length >= 253, 30_000);
  t.same(
    receivedVerdicts.slice(3).map(({ episode }) => episode),
    Array.from({ length: 250 }, (_, index) => `many-${index}`),
  );
  t.equal(verdicts.counters.unfit, 1);
  const unfit = (await recordsOf(db, 'verdict-delivered')).filter(
    ({ more }) => more['isDelivered'] === false,
  );
  t.equal(unfit.length, 1, 'an invalid verdict is audited as not sent');
  await verdicts.stop();
  t.match(lines.at(-1), /^verdicts: 253 told, \d+ unheard, 1 unfit$/);
});

onEachDatabase('two archives send each verdict once, despite a broker outage', async (t, database) => {
  const db = await database.prepared(NOW);
  const room = await makeRoom(t);
  const { verdicts: receivedVerdicts } = await boxOf(t, room);
  await putCamera(db, BOX, NOW, { site: SITE, state: 'online' });
  const other = await database.prepared(NOW);
  await leaseOf(db, 'killed').take(undefined);
  const leases = { one: leaseOf(db, 'one'), two: leaseOf(other, 'two') };
  const both = [
    delivery(t, db, await clientOf(t, room, 'archive.one'), leases.one),
    delivery(t, other, await clientOf(t, room, 'archive.two'), leases.two),
  ];
  for (let index = 0; index < 40; index += 1) await addVerdict(db, PLACE, `e-${index}`, 'confirmed', NOW);
  await sleep(500);
  t.equal(receivedVerdicts.length, 0, 'no verdict is sent while another has the lease');
  t.ok(await leases.two.take(await leases.two.read()));
  // A verdict leaves the table after the box has it.
  while ((await countOf(db, 'verdict_due')) > 0) await sleep(20);
  await waitUntil(t, 'told', () => receivedVerdicts.length >= 40, 20_000);
  t.same(
    receivedVerdicts.map(({ episode }) => episode),
    Array.from({ length: 40 }, (_, index) => `e-${index}`),
    'once each',
  );

  await room.broker.stop();
  await addVerdict(db, PLACE, 'meanwhile', 'confirmed', NOW);
  await sleep(500);
  t.equal(await countOf(db, 'verdict_due'), 1, 'without a broker it stays due');
  await room.broker.start();
  await waitUntil(
    t,
    'sent after the broker is back',
    () => receivedVerdicts.some(({ episode }) => episode === 'meanwhile'),
    20_000,
  );
  t.equal(receivedVerdicts.length, 41);
  for (const { verdicts } of both) await verdicts.stop();
});

void t.test('a verdict that the broker refuses stays due', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared(NOW);
  const room = await makeRoom(t);
  await putCamera(db, BOX, NOW, { site: SITE, state: 'online' });
  await addVerdict(db, PLACE, 'ep-1', 'confirmed', NOW);
  const client = await mqtt.connectAsync(room.broker.url, {
    protocolVersion: 5,
    ...(await room.authority
      .client('witness')
      .then(({ cert, key }) => ({ cert: readFileSync(cert), key: readFileSync(key) }))),
    ca: readFileSync(room.authority.ca),
  });
  t.teardown(() => client.endAsync(true));
  const lease = leaseOf(db, 'one');
  await lease.take(undefined);
  const { verdicts, lines } = delivery(t, db, client, lease);
  await waitUntil(t, 'the broker refuses it', () => verdicts.counters.failed > 0);
  t.match(lines, [new RegExp(`^verdicts: ${TOPIC} cannot be published: .*[Nn]ot authorized`)]);
  t.equal(await countOf(db, 'verdict_due'), 1, 'it stays due');
});
