/**
 * Process that stores events of a city's boxes as the room's archive does, in batches, until its parent sends a message:
 * `WHERE NOW_MS EVENTS_PER_S`. A rate of 0 is unlimited. It sends how long each batch took.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { Archive } from '../../scripts/products/room/archive/archive.ts';
import type { Arrival } from '../../scripts/products/room/archive/message.ts';
import { databaseOf } from '../../scripts/products/room/database/open.ts';
import { boxOf, CITY, siteOf } from './city.ts';
import { eventArrival } from './room-alerts.ts';

/** BATCH_MAX of archive/room.ts. */
const BATCH = 200;

/**
 * Events an episode has: a minute, at 2,500 events a second. Otherwise an archive that stores this many would fill the
 * queue within seconds.
 */
const EVENTS_OF_EPISODE = 100;

/** One box in this number sends alerts; the others send notices. */
const ALERTING_EACH = 10;

const [address = '', startMs = '', perS = ''] = process.argv.slice(2);
const beganMs = performance.now();
const now = (): number => Number(startMs) + performance.now() - beganMs;
const epoch = randomUUID();
const archive = new Archive(
  databaseOf(address, (error) => process.stderr.write(`idle: ${error.message}\n`)),
  { timeZone: 'Europe/Paris', now, instanceId: epoch, onNotice: (line) => process.stderr.write(`${line}\n`) },
);
const counts = new Map<number, number>();

function arrival(no: number): Arrival {
  const count = counts.get(no) ?? 0;
  counts.set(no, count + 1);
  const severity = no % ALERTING_EACH === 0 ? 'alert' : 'notice';
  const at = count % EVENTS_OF_EPISODE;
  const change = ({ data }: VigieEvent): void => {
    data.episode = `${epoch}-${no}-${Math.floor(count / EVENTS_OF_EPISODE)}`;
    data.phase = at === 0 ? 'start' : at === EVENTS_OF_EPISODE - 1 ? 'end' : 'update';
  };
  const id = `${epoch}-${no}-${count + 1}`;
  const numbers = { id, epoch, seq: count + 1, bytes: 850 };
  return eventArrival({ site: siteOf(no), box: boxOf(no), severity, ...numbers, change }, Math.floor(now()));
}

// A parent that only disconnected could do so while a result is being sent.
let hasEnded = false;
for (const event of ['message', 'disconnect'] as const) {
  process.on(event, () => {
    hasEnded = true;
  });
}
await archive.open();
for (let batch = 0; !hasEnded; batch += 1) {
  const arrivals = Array.from({ length: BATCH }, (_, i) => arrival((batch * 463 + i * 7) % CITY.boxes));
  const sentMs = performance.now();
  const { newArrivals } = await archive.store(arrivals);
  process.send?.({ events: newArrivals.length, tookMs: performance.now() - sentMs });
  const dueMs = perS === '0' ? 0 : beganMs + ((batch + 1) * BATCH * 1000) / Number(perS);
  await sleep(Math.max(0, dueMs - performance.now()));
}
await archive.close();
if (process.connected) process.disconnect();
