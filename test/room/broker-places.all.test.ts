/**
 * Tests that no program or stranger keeps the archive from storing. Programs connect again and again under their own
 * names, and connections without a certificate use up the places of a port.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import t, { type Test } from 'tap';
import { DATABASES } from '../lib/databases.ts';
import { connectionTo, makeRoom, type Room, waitUntil } from '../lib/room.ts';
import { RoomProgram } from '../lib/room-program.ts';
import { FULL } from '../lib/run.ts';
import { checkStored, publishing, storedCount } from '../lib/standby-boxes.ts';

const MEASURED_MS = FULL ? 60_000 : 5000;
/** More than the places of the programs' port. */
const HELD_COUNT = 1000;
/** Part of the calm rate that is stored while another program takes all the CPU that it can get. */
const STORED_PART_MIN = 0.5;
const timeout = 900_000;

/** Connects as `name` this often a second until `signal`; returns how often it was admitted. */
async function reconnecting(room: Room, name: string, perS: number, signal: AbortSignal): Promise<number> {
  const connection = await connectionTo(room, name);
  const options = { ...connection.options, clientId: 'archive.room', reconnectPeriod: 0 };
  let admitted = 0;
  const beganMs = performance.now();
  for (let i = 0; !signal.aborted; i++) {
    await sleep(Math.max(0, beganMs + (i * 1000) / perS - performance.now()));
    const client = mqtt.connect(connection.url, options);
    client.on('connect', () => {
      admitted += 1;
    });
    client.on('error', () => undefined);
    setTimeout(() => client.end(true), 2000);
  }
  return admitted;
}

/** Connections without a certificate that say nothing. */
async function holdConnections(t: Test, url: string, count: number): Promise<Socket[]> {
  const port = Number(new URL(url).port);
  const sockets = Array.from({ length: count }, () =>
    connectTcp(port, '127.0.0.1').on('error', () => undefined),
  );
  t.teardown(() => sockets.map((socket) => socket.destroy()));
  await sleep(1000);
  return sockets;
}

for (const [name, ack] of [
  ['boxes that wait for the archive', 'archive'],
  ['boxes that wait for the broker', 'broker'],
] as const) {
  void t.test(
    `${name}: an archive goes on storing while others take what they can`,
    { timeout },
    async (t) => {
      const room = await makeRoom(t, { persistent: true });
      const database = await DATABASES.sqlite(t);
      const active = await RoomProgram.start(t, room, '--database', database.address);
      await waitUntil(t, 'it is at work', () => active.output.includes('Ctrl-C'));
      const standby = await RoomProgram.start(t, room, '--database', database.address);
      await waitUntil(t, 'the other stands by', () => standby.output.includes('stands by'));
      const street = await publishing(t, room, [ack, ack, ack]);
      await waitUntil(t, 'the boxes publish', () => street.eventIds.length > 30);
      const measure = async (): Promise<number> => {
        const [storedBefore, reportedBefore] = [await storedCount(database), street.eventIds.length];
        await sleep(MEASURED_MS);
        return ((await storedCount(database)) - storedBefore) / (street.eventIds.length - reportedBefore);
      };
      t.comment(`calm: ${(await measure()).toFixed(2)} of what is reported is stored meanwhile`);
      for (const perS of [1, 2, 40, 200]) {
        const stop = new AbortController();
        const attack = reconnecting(room, `desk.${perS}`, perS, stop.signal);
        const part = await measure();
        stop.abort();
        t.comment(`${perS} a second: ${part.toFixed(2)} stored, ${await attack} connections admitted`);
        t.ok(part >= STORED_PART_MIN, `${part.toFixed(2)} of it at ${perS} connections a second`);
      }
      for (const url of [room.broker.programsUrl, room.broker.url]) await holdConnections(t, url, HELD_COUNT);
      t.ok((await measure()) >= STORED_PART_MIN, `with ${HELD_COUNT} connections held at both other ports`);
      const takenMs = performance.now();
      await active.end('SIGKILL');
      await waitUntil(t, 'the standby takes over', () =>
        standby.output.includes('holds the lease; it is at work'),
      );
      t.comment(`the standby took over after ${Math.round(performance.now() - takenMs)} ms`);
      await checkStored(t, street, database);
      t.notMatch(
        `${active.output}${standby.output}`,
        /certificate of archive\.room/,
        'no one was in its place',
      );
    },
  );
}
