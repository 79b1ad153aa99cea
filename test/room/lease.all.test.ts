/**
 * Tests the lease of the active archive: no clock decides, and a program that froze, lost its database or lost its client
 * id to another client goes on. What it promises on both databases is in archive-contract.test.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { Duty } from '../../scripts/products/room/archive/duty.ts';
import { ARCHIVE } from '../../scripts/products/room/contract/terms.ts';
import { WatchedLease } from '../../scripts/products/room/database/watched-lease.ts';
import { DATABASES } from '../lib/databases.ts';
import { connectionTo, makeRoom, type Room, waitUntil } from '../lib/room.ts';
import { eventArrival } from '../lib/room-alerts.ts';
import { RoomProgram } from '../lib/room-program.ts';
import { FULL } from '../lib/run.ts';
import { checkStored, publishing, storedCount } from '../lib/standby-boxes.ts';

void t.test('a lease in PostgreSQL is not taken during a transaction that confirmed it', async (t) => {
  const database = await DATABASES.postgres(t);
  const archive = await database.open();
  const [db, other] = [database.sql(), database.sql()];
  const [own, otherLease] = [
    new WatchedLease(db, 'lease-archive', 'a'),
    new WatchedLease(other, 'lease-archive', 'b'),
  ];
  t.ok(await own.take(undefined));
  const order: string[] = [];
  let taking: Promise<unknown> = Promise.resolve();
  await db.transaction(async (transaction) => {
    await own.confirm(transaction);
    taking = otherLease
      .read()
      .then((row) => otherLease.take(row))
      .then(() => order.push('taken'));
    await sleep(500);
    order.push('committed');
  });
  await taking;
  t.same(order, ['committed', 'taken']);
  const lossError = { message: 'another archive has taken over' };
  await t.rejects(archive.store([eventArrival({}, Date.now())], own), lossError);
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
  const archive = await RoomProgram.start(t, room, '--database', database.address);
  await waitUntil(t, 'it is at work', () => archive.output.includes('Ctrl-C'));
  const street = await publishing(t, room, ['archive', 'broker']);
  await waitUntil(t, 'the boxes publish', () => street.eventIds.length > 20);
  await database.server?.stop();
  await waitUntil(t, 'it has left', () =>
    archive.output.includes('has lost the lease: it has left the broker'),
  );
  await database.server?.start();
  await waitUntil(t, 'it is back', () => archive.output.includes('archive: holds the lease; it is at work'));
  await checkStored(t, street, database);
  t.equal(await archive.end('SIGTERM'), 0);
  t.notMatch(archive.output, /stands by/, 'there was no other holder');
});

const THEFT_MS = FULL ? 60_000 : 8000;
const THEFT_EVERY_MS = 500;
const stolen = { timeout: 600_000 };

void t.test('an archive whose stolen key is used twice a second goes on storing', stolen, async (t) => {
  const room = await makeRoom(t);
  const database = await DATABASES.sqlite(t);
  const archive = await RoomProgram.start(t, room, '--database', database.address);
  await waitUntil(t, 'it is at work', () => archive.output.includes('Ctrl-C'));
  // The broker drops messages of the session that a thief has ended. A box that waits for the archive repeats them.
  const street = await publishing(t, room, ['archive', 'archive', 'archive']);
  await waitUntil(t, 'the boxes publish', () => street.eventIds.length > 30);
  for (const name of ['stolen-box', 'fleet.stolen']) {
    const tryCount = await stealClientId(t, room, name, 3000);
    t.notMatch(
      archive.output,
      /broker:/,
      `${name} asks ${tryCount} times for the archive's id, and is given its own`,
    );
  }
  const before = await storedCount(database);
  const thefts = await stealClientId(t, room, ARCHIVE, THEFT_MS);
  const stored = (await storedCount(database)) - before;
  t.ok(stored > 0, `${stored} events stored in ${THEFT_MS / 1000} s of ${thefts} takeovers`);
  const lines = archive.output
    .split('\n')
    .filter((line) => line.includes('with a certificate of archive.room'));
  t.equal(lines.length, 1, 'it is reported once');
  await checkStored(t, street, database);
  const end = /connected for 60 s, after \d+ times/;
  if (FULL) await waitUntil(t, 'its end is reported', () => end.test(archive.output), 90_000);
  t.equal(await archive.end('SIGTERM'), 0, 'it is still running');
  t.match(archive.output, /, \d+ connections taken over by another program\.\n$/, 'and counted');
});

/** Connects repeatedly as `name` under the archive's id and subscribes to nothing; returns how often. */
async function stealClientId(t: Test, room: Room, name: string, forMs: number): Promise<number> {
  const connection = await connectionTo(room, name);
  const options = { ...connection.options, clientId: ARCHIVE, reconnectPeriod: 0 };
  let thefts = 0;
  let last: MqttClient | undefined;
  for (const untilMs = performance.now() + forMs; performance.now() < untilMs; await sleep(THEFT_EVERY_MS)) {
    last?.end(true);
    last = await mqtt.connectAsync(connection.url, options);
    // The archive takes its id back.
    last.on('error', (error) => t.comment(error.message));
    thefts += 1;
  }
  last?.end(true);
  return thefts;
}
