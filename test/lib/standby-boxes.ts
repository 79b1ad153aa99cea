/** Boxes of both kinds that publish without pause, and the check that all of it is stored exactly once. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import type { MqttConfig } from '../../agent/contract/config.ts';
import type { TestDatabase } from './databases.ts';
import { type Room, waitUntil } from './room.ts';
import { StreetBox } from './street-boxes.ts';

const EVERY_MS = 100;

/** Time limit for delivery, in ms: a box tries again every 3 s, and each of two archives waits for a lease. */
const LEFT_WITHIN_MS = 120_000;

export interface Street {
  /** Ids of the events, each with a still, that the boxes' outboxes have taken; `<box> <id>`. */
  readonly eventIds: readonly string[];
  /** Number of rows that boxes still hold. */
  waiting(): number;
  /** Ends the events; the deliveries continue. */
  quieten(): void;
}

/** Starts boxes that each append an alert with its still ten times a second. */
export async function publishing(t: Test, room: Room, kinds: readonly MqttConfig['ack'][]): Promise<Street> {
  const boxes: StreetBox[] = [];
  for (const [i, ack] of kinds.entries()) boxes.push(await StreetBox.start(t, room, `${ack}-${i}`, ack));
  const eventIds: string[] = [];
  let no = 0;
  const appending = setInterval(() => {
    no += 1;
    for (const box of boxes) {
      box.tell({ id: `e-${no}`, jpeg: Buffer.alloc(2000, no) });
      eventIds.push(`${box.name} e-${no}`);
    }
  }, EVERY_MS);
  t.teardown(() => clearInterval(appending));
  return {
    eventIds,
    waiting: () => boxes.reduce((sum, { waiting }) => sum + waiting, 0),
    quieten: () => clearInterval(appending),
  };
}

/** Number of events in the database. */
export async function storedCount(database: Pick<TestDatabase, 'read'>): Promise<number> {
  const [row] = await database.read('SELECT count(*) AS n FROM event');
  return Number(row?.['n']);
}

/** Ends the events, waits until boxes and broker have nothing left, and checks that all is stored exactly once. */
export async function checkStored(
  t: Test,
  street: Street,
  database: Pick<TestDatabase, 'read'>,
): Promise<void> {
  street.quieten();
  await waitUntil(t, 'no box has anything left', () => street.waiting() === 0, LEFT_WITHIN_MS);
  const deadlineMs = performance.now() + LEFT_WITHIN_MS;
  while ((await storedCount(database)) < street.eventIds.length && performance.now() < deadlineMs)
    await sleep(100);
  const idsOf = async (table: string, id: string): Promise<string[]> =>
    (await database.read(`SELECT box || ' ' || ${id} AS name FROM ${table}`)).map(({ name }) => String(name));
  const ids = street.eventIds;
  t.same(differing(await idsOf('event', 'id'), ids), [], 'every event once');
  t.same(differing(await idsOf('snapshot', 'name'), ids), [], 'every still once');
  const [sums = {}] = await database.read(
    `SELECT (SELECT sum(alerts) FROM day_figure) AS alerts, (SELECT sum(events) FROM incident) AS events,
       (SELECT count(*) FROM event WHERE unread IS NOT NULL) AS unread`,
  );
  const numbers = Object.fromEntries(Object.entries(sums).map(([name, value]) => [name, Number(value)]));
  t.same(numbers, { alerts: ids.length, events: ids.length, unread: 0 }, `${ids.length} alerts counted once`);
}

/** Items that are in only one of two lists, or in different numbers. */
function differing(first: readonly string[], second: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const one of first) counts.set(one, (counts.get(one) ?? 0) + 1);
  for (const one of second) counts.set(one, (counts.get(one) ?? 0) - 1);
  return [...counts].filter(([, count]) => count !== 0).map(([name, count]) => `${name}: ${count}`);
}
