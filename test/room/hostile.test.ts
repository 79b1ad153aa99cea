/**
 * Tests the control room against a malicious box or user, a clock set back and a full database, on real databases.
 */

import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { arrivalOf } from '../../scripts/products/room/archive/message.ts';
import { claim, release } from '../../scripts/products/room/console/acts.ts';
import { problemOf } from '../../scripts/products/room/console/fault.ts';
import { detailOf, pageOf } from '../../scripts/products/room/console/incidents.ts';
import { partsOf } from '../../scripts/products/room/console/parts.ts';
import { queueOf } from '../../scripts/products/room/console/queue.ts';
import { signerHandlers } from '../../scripts/products/room/console/searches.ts';
import { demoSettings } from '../../scripts/products/room/console/settings.ts';
import { SignerClient } from '../../scripts/products/room/console/signer-client.ts';
import type { AuditPage } from '../../scripts/products/room/contract/audit.ts';
import type { HandOver } from '../../scripts/products/room/contract/figures.ts';
import { IncidentDetail } from '../../scripts/products/room/contract/incident.ts';
import { DatabaseUnavailable, iso } from '../../scripts/products/room/database/sql.ts';
import { ask, enter, from, readStream, roomDatabase, startConsole, TIME_ZONE } from '../lib/console.ts';
import { callOf, refusalOf } from '../lib/console-room.ts';
import { addIncident, putCamera, recordsOf } from '../lib/console-rows.ts';
import { DATABASES, onEachDatabase } from '../lib/databases.ts';
import { eventText } from '../lib/events.ts';
import { BOX, clientOf, makeRoom, pairOf, type Room, SITE, waitUntil } from '../lib/room.ts';
import { handlersOf } from '../lib/room-acts.ts';
import { packet, statusArrival } from '../lib/room-alerts.ts';
import { RoomProgram } from '../lib/room-program.ts';
import { unlessFull } from '../lib/run.ts';

const NOW = Date.parse('2026-11-27T12:00:00.000Z');
const HOUR_MS = 3_600_000;
/** A flood that needs two cores for itself. */
const FLOOD_PER_S = 10_000;
/** Duration in which the broker queues a box's messages ahead of others'. */
const FLOOD_MS = 15_000;

const TOPIC = 'vigie/lyon/b-1/evt/alert/loitering';

/**
 * Text that JSON allows and jsonb refuses, in every field that a box can fill, and invalid times that look like some.
 */
function poisonedText(): string {
  const event = JSON.parse(
    eventText({ site: 'lyon', box: 'b-1', id: 'bad-1', seq: 1, time: iso(NOW - 1000) }),
  ) as Record<string, unknown> & { data: VigieEvent['data'] };
  const bad = 'a\u0000b\ud800';
  const never = '9999-99-99T99:99:99.999Z';
  const [object] = event.data.objects;
  const sha256 = '0'.repeat(64);
  const redaction = { figures: 1, cleanPlate: { ratio: 0.03, maxAgeS: 5 }, mosaicShare: 0, masks: 0 };
  const data = {
    ...event.data,
    zone: { id: 'square', purpose: bad, legalBasis: bad, validUntil: never },
    objects: [{ ...object, more: bad, much: 'x'.repeat(100_000) }],
    cause: { [`${'k'.repeat(39)}\u{1f600}`]: 1, reason: `${'r'.repeat(299)}\u{1f600}`, far: 1e308 },
    clock: { synced: true, timeZone: 'Never/Never' },
    evidence: { before: { sha256, bytes: 1, time: never, redaction }, absent: bad },
  };
  return JSON.stringify({ ...event, subject: bad, data });
}

onEachDatabase('an alert with refused text is stored', async (t, database) => {
  const archive = await database.open(() => NOW);
  await archive.store([arrivalOf(packet(TOPIC, poisonedText()), NOW)]);
  const db = database.sql();
  const { incidents } = await queueOf(db);
  t.equal(incidents.length, 1, 'it is still on the screen');
  const detail = await detailOf(db, incidents[0]?.no ?? 0, { timeZone: TIME_ZONE, nowMs: NOW });
  t.equal(problemOf(IncidentDetail, detail), undefined, 'it keeps the contract');
  t.ok(JSON.stringify(detail).length < 10_000, 'unknown fields are not stored with the incident');
  t.equal(detail.validUntil, null, 'an invalid time is stored as none');
  t.equal(detail.timeZone, null, 'so is an invalid time zone');
  for (const { time } of detail.stills) t.notOk(Number.isNaN(Date.parse(time)), `${time} is a time`);
  t.equal((await pageOf(db, { limit: 500 })).incidents.length, 1);
});

void t.test('a room clock set back an hour neither prolongs a claim nor hides a silent camera', async (t) => {
  const { address, open } = await DATABASES.sqlite(t);
  const before = await open(() => NOW);
  await before.store([statusArrival('lyon', 'b-1', NOW)]);
  const db = await roomDatabase(t, address, NOW);
  const no = await addIncident(db, NOW - 1000);
  await claim(db, callOf<'claim'>('anna', NOW, { params: { no } }), TIME_ZONE);
  const early = NOW - HOUR_MS;
  const other = callOf<'claim'>('bert', early, { params: { no } });
  const claimed = await claim(db, other, TIME_ZONE);
  t.equal(claimed.claimedBy, 'bert', 'a claim of two minutes does not hold for an hour');
  const refusal = await refusalOf(
    claim(db, callOf<'claim'>('anna', early + 1000, { params: { no } }), TIME_ZONE),
  );
  t.match(refusal.message, /bert has it/, 'and from then on one holds again');
  const after = await open(() => early);
  await after.store([statusArrival('lyon', 'b-1', early)]);
  const [camera] = await db.all<{ last_report: string }>('SELECT last_report FROM camera');
  t.equal(camera?.last_report, iso(early), 'a camera that falls silent now is seen to, not in an hour');
});

void t.test('a full database is reported as unavailable, and smaller writes go on', async (t) => {
  const { address } = await DATABASES.sqlite(t);
  const db = await roomDatabase(t, address, NOW);
  const no = await addIncident(db, NOW);
  const filler = new Database(address);
  t.teardown(() => filler.close());
  const [{ page_count: pages } = { page_count: 0 }] = filler.pragma('page_count') as { page_count: number }[];
  await db.run(`INSERT INTO setting VALUES ('room', 'for later')`);
  // Limit of the writing connection: the database gets no further page.
  await db.all(`PRAGMA max_page_count = ${pages}`);
  const fill = db.transaction((transaction) => {
    return transaction
      .all(`PRAGMA max_page_count = ${pages}`)
      .then(() => transaction.run('INSERT INTO setting VALUES ($1, $2)', ['full', 'x'.repeat(1_000_000)]));
  });
  const failure: unknown = await fill.catch((error: unknown) => error);
  t.ok(failure instanceof DatabaseUnavailable, 'reported as an unavailable database, to be retried');
  const claimed = await claim(db, callOf<'claim'>('anna', NOW, { params: { no } }), TIME_ZONE);
  t.equal(claimed.claimedBy, 'anna', 'smaller writes still succeed');
});

void t.test('a camera that falls silent while a screen reconnects is reported', async (t) => {
  const { address } = await DATABASES.sqlite(t);
  const db = await roomDatabase(t, address);
  const real = Date.now;
  t.teardown(() => {
    Date.now = real;
  });
  const beganMs = real();
  await putCamera(db, 'b-1', beganMs);
  const { changesSince } = partsOf(db, demoSettings(address, '127.0.0.1:0'), TIME_ZONE, () => Date.now());
  t.equal((await changesSince(0, 2000, true)).cameras.length, 1);
  Date.now = () => beganMs + 10 * 60_000;
  await changesSince(0, 2000, false);
  const { cameras } = await changesSince(9, 2000, true);
  t.same(
    cameras.map(({ condition }) => condition),
    ['offline'],
    'the others hear of it all the same',
  );
  Date.now = () => beganMs - HOUR_MS;
  await db.run('UPDATE camera SET last_report = $1', [iso(beganMs - 2 * HOUR_MS)]);
  await changesSince(9, 2000, true);
  await db.run('UPDATE camera SET last_report = $1', [iso(beganMs - HOUR_MS)]);
  Date.now = () => beganMs - HOUR_MS + 20_000;
  t.equal((await changesSince(9, 2000, true)).cameras[0]?.condition, 'well', 'by a clock put back, too');
});

void t.test('a truncated audit log with a reset counter is detected', async (t) => {
  const { address } = await DATABASES.sqlite(t);
  const db = await roomDatabase(t, address, NOW);
  const handlers = handlersOf(db);
  const page = (): Promise<AuditPage> => handlers.audit(callOf<'audit'>('aud', NOW));
  const handOver = (): Promise<HandOver> =>
    handlers.handOver(
      callOf<'handOver'>('sup', NOW, { query: { from: iso(NOW - HOUR_MS), to: iso(NOW + 1000) } }),
    );
  t.equal((await handOver()).record, null, 'the audit log is empty');
  const no = await addIncident(db, NOW);
  for (const name of ['anna', 'bert', 'carl', 'dora']) {
    await claim(db, callOf<'claim'>(name, NOW, { params: { no } }), TIME_ZONE);
    await release(db, callOf<'release'>(name, NOW, { params: { no } }));
  }
  t.match(await page(), { isIntact: true, head: { no: 8 } });
  const { record: printed } = await handOver();
  t.same(printed, (await page()).head, 'the hand-over names the last entry, to be kept on paper');
  await db.run('DELETE FROM audit WHERE no > 5');
  await db.run("UPDATE counter SET value = 5 WHERE name = 'audit'");
  t.match(await page(), { isIntact: false, fault: /entry 8/ }, 'a console that has seen them says so');
  const later = await handlersOf(db).audit(callOf<'audit'>('aud', NOW));
  t.match(later, { isIntact: true, head: { no: 5 } }, 'a new one cannot');
  t.not(5, printed?.no, 'the paper does');
});

void t.test('a box that floods delays no other box', { timeout: 180_000, skip: unlessFull }, async (t) => {
  const broker = await makeRoom(t);
  const { address } = await DATABASES.postgres(t);
  const room = await RoomProgram.start(t, broker, '--database', address);
  await waitUntil(t, 'it listens', () => room.output.includes('Room on'), 30_000);
  const flooding = await floodOf(t, broker, 'flooder');
  const quiet = await clientOf(t, broker, BOX);
  const db = await roomDatabase(t, address);
  const late: number[] = [];
  const beganMs = performance.now();
  for (let seq = 1; performance.now() - beganMs < FLOOD_MS; seq += 1) {
    const sentMs = performance.now();
    const id = `quiet-${seq}`;
    const topic = `vigie/${SITE}/${BOX}/evt/alert/loitering`;
    const { payload, properties = {} } = packet(topic, eventText({ id, seq }), { seq: String(seq) });
    await quiet.publishAsync(topic, payload, { qos: 1, properties });
    const isStored = async (): Promise<boolean> =>
      (await db.all('SELECT 1 AS there FROM incident WHERE box = $1 AND episode = $2', [BOX, `${id}-e`]))
        .length > 0;
    while (!(await isStored()) && performance.now() - sentMs < 20_000) await sleep(50);
    late.push(performance.now() - sentMs);
    await sleep(1000);
  }
  const perS = Math.round((1000 * flooding.sentCount()) / (performance.now() - beganMs));
  late.sort((a, b) => a - b);
  t.comment(`${perS} messages a second of one box; alerts of another: ${late.map(Math.round).join(', ')} ms`);
  t.ok(perS > 2000, `${perS} a second is a flood`);
  t.ok((late.at(-1) ?? 0) < 5000, 'each alert of the other box is there within 5 s');
  t.match(room.output, /left out a message of marseille-1\/flooder: it waits for no acknowledgement/);
});

/** Publishes with the box's own certificate as fast as the broker accepts it. */
async function floodOf(t: Test, broker: Room, box: string): Promise<{ sentCount(): number }> {
  const { cert, key } = await pairOf(broker, box);
  const body = eventText({ box, id: 'flood-#', seq: 1 });
  const topic = `vigie/${SITE}/${box}/evt/alert/loitering`;
  const child = spawn(process.execPath, [
    fileURLToPath(new URL('../lib/flood-writer.js', import.meta.url)),
    ...[broker.broker.url, broker.authority.ca, cert, key, topic, body, '1', String(FLOOD_PER_S)],
  ]);
  t.teardown(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  await waitUntil(t, 'it floods', () => output.includes('\n'), 30_000);
  return { sentCount: () => Number(output.trim().split('\n').at(-1)) };
}

void t.test('a user has 24 streams, and one with few gets one of another’s when all are taken', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const accounts = Array.from({ length: 12 }, (_, n) => ({ name: `person-${n}`, role: 'operator' as const }));
  const { url, server } = await startConsole(t, db, { settings: { accounts } });
  const readers = new Map<string, ReturnType<typeof readStream>[]>();
  for (const { name } of accounts.slice(0, 11)) {
    const cookie = await enter(url, name);
    const own = Array.from({ length: 24 }, () => readStream(t, url, cookie));
    readers.set(name, own);
    await waitUntil(t, 'all are answered', () => own.every(({ status }) => status !== 0));
    const surplus = readStream(t, url, cookie);
    await waitUntil(t, 'one too many', () => surplus.status === 429);
  }
  const late = readStream(t, url, await enter(url, 'person-11'));
  await waitUntil(t, 'the last one is answered', () => late.status !== 0);
  t.equal(late.status, 200);
  const open = (name: string): number =>
    readers.get(name)?.filter(({ status, isOver }) => status === 200 && !isOver).length ?? 0;
  await waitUntil(
    t,
    'one user has one fewer',
    () => accounts.slice(0, 11).reduce((sum, { name }) => sum + open(name), 0) === 255,
  );
  t.ok(open('person-10') >= 20, 'earlier users got theirs from others');
  t.match(server.summary(), /streams ended for a person with fewer/);
});

void t.test('the audit log of a search names every queried box', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const { search, sealed } = signerHandlers(new SignerClient('/nowhere/signer.sock'), db, Date.now);
  const boxes = Array.from({ length: 150 }, (_, n) => `box-${n}`);
  const body = {
    case: '17',
    reason: 'theft',
    from: '2026-11-01T00:00:00Z',
    to: '2026-11-02T00:00:00Z',
    boxes,
  };
  const startSearch = (change: object) =>
    search(callOf<'search'>('anna', NOW, { body: { ...body, ...change } }));
  // It is audited before the signer is queried.
  t.match((await refusalOf(startSearch({}))).message, /signer does not answer/);
  t.match(await recordsOf(db, 'search'), [{ more: { boxes, case: '17' } }]);
  const no = await addIncident(db, NOW, { detail: '{"sealed":true,"event":"e-1"}' });
  for (const blank of [' ', '\u200b', '\u2060', '–', '\u{1f600}']) {
    for (const change of [{ case: blank }, { reason: blank }]) {
      const message = /at least one letter or digit|cannot be seen/;
      t.match(await refusalOf(startSearch(change)), { status: 400, message });
      const still = callOf<'sealed'>('sup', NOW, { params: { no }, body: { ...body, ...change } });
      t.match(await refusalOf(sealed(still)), { status: 400, message });
    }
  }
  for (const [text, number] of [
    ['ü', 'ü'],
    ['案件', '案件'],
    ['\u00a02026／17 ', '2026/17'],
  ] as const) {
    t.match((await refusalOf(startSearch({ case: text }))).message, /signer does not/, text);
    t.match((await recordsOf(db, 'search')).at(-1), { more: { case: number } });
  }
  t.equal((await recordsOf(db, 'search')).length, 4, 'a refusal is not audited');
});

void t.test('a supervisor ends another user’s sessions', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const { url } = await startConsole(t, db);
  const [one, two, boss] = [
    await enter(url, 'operator'),
    await enter(url, 'operator'),
    await enter(url, 'supervisor'),
  ];
  const streams = [readStream(t, url, one), readStream(t, url, two)];
  const otherStream = readStream(t, url, boss);
  await waitUntil(t, 'streams', () => [...streams, otherStream].every(({ status }) => status === 200));
  const headers = (cookie: string) => ({ cookie, ...from(url) });
  const present = await ask(`${url}/api/sessions`, { headers: { cookie: boss } });
  t.match(present.json.people, [
    { user: 'operator', role: 'operator', sessions: 2 },
    { user: 'supervisor', role: 'supervisor', sessions: 1 },
  ]);
  t.equal((await ask(`${url}/api/sessions`, { headers: { cookie: one } })).status, 403);
  const path = `${url}/api/sessions/end`;
  const body = { user: 'operator' };
  t.equal((await ask(path, { method: 'POST', headers: headers(one), body })).status, 403);
  const answer = await ask(path, { method: 'POST', headers: headers(boss), body });
  t.same(answer.json, { endedCount: 2 });
  await waitUntil(t, 'their streams end', () => streams.every(({ isOver }) => isOver));
  t.same(
    streams.map((stream) => stream.names().at(-1)),
    ['session', 'session'],
  );
  t.equal((await ask(`${url}/api/session`, { headers: { cookie: two } })).status, 401);
  t.notOk(otherStream.isOver, 'no other user’s');
  t.match(await recordsOf(db, 'end-sessions'), [{ more: { user: 'operator', endedCount: 2 } }]);
  t.same((await ask(path, { method: 'POST', headers: headers(boss), body })).json, { endedCount: 0 });
});

void t.test('a changed or removed account of the settings ends its sessions', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const before = await startConsole(t, db);
  const cookies = [await enter(before.url, 'operator'), await enter(before.url, 'operator-2')];
  await before.server.stop();
  const accounts = [{ name: 'operator', role: 'auditor' as const }];
  const { url } = await startConsole(t, db, { settings: { accounts } });
  for (const cookie of cookies)
    t.equal((await ask(`${url}/api/session`, { headers: { cookie } })).status, 401);
  t.match(await recordsOf(db, 'session-ended'), [
    { more: { user: 'operator', role: 'operator', reason: 'the role is auditor now' } },
    { more: { user: 'operator-2', reason: 'the settings have no such account any more' } },
  ]);
});
