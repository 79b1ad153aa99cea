/**
 * Tests the lease of the active archive on both databases.
 *
 * Exactly one holder has it, and no clock decides. The tests cover an archive that loses the lease, one whose database
 * is unavailable, and one whose client id another client takes repeatedly.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { Duty } from '../../scripts/programs/room/archive/duty.ts';
import type { EventArrival } from '../../scripts/programs/room/archive/message.ts';
import { WatchedLease } from '../../scripts/programs/room/database/watched-lease.ts';
import { DATABASES } from '../lib/databases.ts';
import { eventText } from '../lib/events.ts';
import { FULL } from '../lib/run.ts';
import { makeRoom, pairOf, type Room, waitUntil } from '../lib/room.ts';
import { RoomProgram } from '../lib/room-program.ts';
import { checkStored, emptied, publishing, storedCount } from '../lib/standby-boxes.ts';

const LEASE_LOST = { message: 'another archive has taken over' };

function event(seq: number): EventArrival {
  const place = { site: 'lyon', box: 'b-1', epoch: 'e1', lane: 'alert', from: seq, seq, first: 1 } as const;
  const id = `a1-${seq}`;
  const body = eventText({ ...place, id, seq });
  return { kind: 'event', place, id, type: 'vigie.loitering.v1', time: '2026-11-24T14:00:00.000Z', body };
}

for (const name of ['sqlite', 'postgres'] as const) {
  void t.test(`contract: the lease in ${name} has one holder, and only its holder stores`, async (t) => {
    const database = await DATABASES[name](t);
    const [one, two] = [await database.open(), await database.open()];
    t.equal(await one.lease.read(), undefined, 'at first it has no holder');
    t.ok(await one.lease.take(undefined));
    t.notOk(await two.lease.take(undefined), 'of two that found it free one gets it');
    const first = await two.lease.read();
    t.match(first, { isOurs: false });
    t.match(await one.lease.read(), { isOurs: true });
    await sleep(2);
    t.ok(await one.lease.renew());
    t.notOk(await two.lease.take(first), 'a lease renewed after the look is not taken');
    t.notOk(await two.lease.renew(), 'and only the holder renews it');
    await one.store([event(1)], one.lease);
    await t.rejects(two.store([event(2)], two.lease), LEASE_LOST, 'a standby stores nothing');

    t.ok(await two.lease.take(await two.lease.read()), 'an unchanged lease is taken over');
    t.notOk(await one.lease.renew());
    await t.rejects(
      one.store([event(2)], one.lease),
      LEASE_LOST,
      'a delayed holder stores nothing beside its successor',
    );
    await one.lease.release();
    t.match(await two.lease.read(), { isOurs: true }, 'and lets go of nothing that is not his');
    t.equal(await storedCount(database), 1);
    await two.store([event(2)], two.lease);
    t.equal(await storedCount(database), 2);
    await two.lease.release();
    t.equal(await one.lease.read(), undefined);
  });
}

void t.test('a lease in PostgreSQL is not taken during a transaction that confirmed it', async (t) => {
  const database = await DATABASES.postgres(t);
  const archive = await database.open();
  const [db, other] = [database.sql(), database.sql()];
  const [ownLease, otherLease] = [
    new WatchedLease(db, 'lease-archive', 'a'),
    new WatchedLease(other, 'lease-archive', 'b'),
  ];
  t.ok(await ownLease.take(undefined));
  const order: string[] = [];
  let taking: Promise<unknown> = Promise.resolve();
  await db.transaction(async (transaction) => {
    await ownLease.confirm(transaction);
    taking = otherLease
      .read()
      .then((row) => otherLease.take(row))
      .then(() => order.push('taken'));
    await sleep(500);
    order.push('committed');
  });
  await taking;
  t.same(order, ['committed', 'taken']);
  await t.rejects(archive.store([event(1)], ownLease), LEASE_LOST);
  const frozen = db.transaction(async (transaction) => {
    await transaction.all('SELECT 1 FROM setting FOR UPDATE');
    // Like a frozen program: it sends no query and does not end.
    await sleep(16_000);
    await transaction.all('SELECT 1');
  });
  void frozen.catch(() => undefined);
  await sleep(500);
  const beganMs = performance.now();
  t.ok(await otherLease.renew());
  const tookMs = Math.round(performance.now() - beganMs);
  t.ok(
    tookMs > 5000 && tookMs < 15_000,
    `a frozen program holds up the others for ${tookMs} ms, and no longer`,
  );
  await t.rejects(frozen, 'its transaction is gone');
});

void t.test('a dead holder is replaced after the lease time, whatever its clock said', async (t) => {
  const database = await DATABASES.sqlite(t);
  const archive = await database.open();
  await database.sql().run("INSERT INTO setting VALUES ('lease-archive', '2099-01-01T00:00:00.000Z dead')");
  const lines: string[] = [];
  let hasBegun = false;
  const beganMs = performance.now();
  const duty = new Duty({
    lease: archive.lease,
    onBegin: () => (hasBegun = true),
    onLost: async () => undefined,
    onStandby: (line) => lines.push(line),
    onNotice: (line) => t.fail(line),
  });
  t.teardown(() => duty.stop());
  duty.start();
  await waitUntil(t, 'it takes over', () => hasBegun);
  const tookMs = performance.now() - beganMs;
  t.ok(tookMs >= 10_000, `after ${Math.round(tookMs)} ms, not before the time of the lease`);
  t.match(lines, [/stands by/, /holds the lease/]);
  await duty.stop();
  t.equal(await archive.lease.read(), undefined, 'a clean stop lets go of it');
});

void t.test('an archive that loses its database for longer than the lease reconnects', async (t) => {
  const room = await makeRoom(t, { persistent: true });
  const database = await DATABASES.postgres(t);
  const { server } = database;
  if (server === undefined) throw new Error('PostgreSQL has a server');
  const archive = await RoomProgram.start(t, room, '--database', database.address);
  await waitUntil(t, 'it is at work', () => archive.output.includes('Ctrl-C'));
  const street = await publishing(t, room, ['archive', 'broker']);
  await waitUntil(t, 'the boxes publish', () => street.eventIds.length > 20);
  await server.stop();
  await waitUntil(t, 'it has left', () =>
    archive.output.includes('has lost the lease: it has left the broker'),
  );
  await server.start();
  await waitUntil(t, 'it is back', () => archive.output.includes('archive: holds the lease; it is at work'));
  await emptied(t, street, database);
  await checkStored(t, database, street.eventIds);
  t.equal(await archive.end('SIGTERM'), 0);
  t.notMatch(archive.output, /stands by/, 'there was no other holder');
});

const THEFT_MS = FULL ? 60_000 : 8000;
const THEFT_EVERY_MS = 500;

void t.test(
  'an archive whose client id is taken twice a second goes on storing',
  { timeout: 600_000 },
  async (t) => {
    const room = await makeRoom(t);
    const database = await DATABASES.sqlite(t);
    const archive = await RoomProgram.start(t, room, '--database', database.address);
    await waitUntil(t, 'it is at work', () => archive.output.includes('Ctrl-C'));
    // The broker drops messages of the session that a thief has ended. A box that waits for the archive repeats them.
    const street = await publishing(t, room, ['archive', 'archive', 'archive']);
    await waitUntil(t, 'the boxes publish', () => street.eventIds.length > 30);
    const triedCount = await stealClientId(t, room, 'stolen-box', 3000);
    t.notMatch(
      archive.output,
      /broker:/,
      `a box that asks ${triedCount} times for the archive's id is given its own`,
    );
    const [givenBefore, storedBefore] = [street.eventIds.length, await storedCount(database)];
    const thefts = await stealClientId(t, room, 'fleet', THEFT_MS);
    const [givenCount, stored] = [
      street.eventIds.length - givenBefore,
      (await storedCount(database)) - storedBefore,
    ];
    t.ok(
      stored > 0,
      `${stored} of ${givenCount} events stored in ${THEFT_MS / 1000} s of ${thefts} takeovers`,
    );
    t.equal(
      archive.output.split('\n').filter((line) => line.includes("connected under the archive's client id"))
        .length,
      1,
      'it is reported once',
    );
    await emptied(t, street, database);
    await checkStored(t, database, street.eventIds);
    if (FULL)
      await waitUntil(
        t,
        'its end is reported',
        () => /connected for 60 s, after \d+ times/.test(archive.output),
        90_000,
      );
    t.equal(await archive.end('SIGTERM'), 0, 'it is still running');
    t.match(archive.output, /, \d+ connections taken over by another program\.\n$/, 'and counted');
  },
);

/** Connects repeatedly as `name` under the archive's id and subscribes to nothing; returns how often. */
async function stealClientId(t: Test, room: Room, name: string, forMs: number): Promise<number> {
  const { url, ...files } = await pairOf(room, name);
  const tls = {
    ca: readFileSync(room.authority.ca),
    cert: readFileSync(files.cert),
    key: readFileSync(files.key),
  };
  let thefts = 0;
  let last: MqttClient | undefined;
  for (const untilMs = performance.now() + forMs; performance.now() < untilMs; await sleep(THEFT_EVERY_MS)) {
    last?.end(true);
    last = await mqtt.connectAsync(url, {
      protocolVersion: 5,
      ...tls,
      clientId: 'room.archive',
      reconnectPeriod: 0,
    });
    // The archive takes its id back.
    last.on('error', (error) => t.comment(error.message));
    thefts += 1;
  }
  last?.end(true);
  return thefts;
}
