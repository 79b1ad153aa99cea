/**
 * Boxes of both kinds at a broker, with an archive and a standby archive; published events are counted by their ids.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import type { MqttConfig } from '../../agent/contract/config.ts';
import { EVENT_CONTENT_TYPE } from '../../agent/contract/event.ts';
import type { OutboxItem } from '../../agent/contract/outbox.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { startBox } from './box.ts';
import type { TestDatabase } from './databases.ts';
import { eventText } from './events.ts';
import { picture, rowsOf } from './outbox.ts';
import { type Room, SITE, waitUntil } from './room.ts';

const EVERY_MS = 100;
const STILL_BYTES = 2000;

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
  const boxes: Awaited<ReturnType<typeof startBox>>[] = [];
  for (const [i, ack] of kinds.entries()) boxes.push(await startBox(t, room, `${ack}-${i}`, ack));
  const eventIds: string[] = [];
  let no = 0;
  const appending = setInterval(() => {
    no += 1;
    for (const { name, outbox, delivery } of boxes) {
      const id = `e-${no}`;
      outbox.append(alert(name, id));
      eventIds.push(`${name} ${id}`);
      delivery.wake();
    }
  }, EVERY_MS);
  t.teardown(() => clearInterval(appending));
  return {
    eventIds,
    waiting: () => boxes.reduce((sum, { outbox }) => sum + rowsOf(outbox), 0),
    quieten: () => clearInterval(appending),
  };
}

function alert(box: string, id: string): OutboxItem[] {
  const topics = topicsOf(SITE, box);
  const time = new Date().toISOString();
  const body = (seq: number): string => eventText({ site: SITE, box, id, seq, time });
  return [
    {
      lane: 'alert',
      rank: 'alert',
      contentType: EVENT_CONTENT_TYPE,
      body,
      topic: topics.event('alert', 'loitering'),
    },
    {
      lane: 'alert',
      rank: 'snapshot',
      contentType: 'image/jpeg',
      jpeg: picture(STILL_BYTES),
      topic: topics.snapshot(id),
    },
  ];
}

/**
 * Waits until everything of the boxes that wait for the archive, and of the broker, is stored; otherwise `checkStored`
 * reports what is missing.
 */
export async function emptied(t: Test, street: Street, database: TestDatabase): Promise<void> {
  street.quieten();
  await waitUntil(t, 'no box has anything left', () => street.waiting() === 0, LEFT_WITHIN_MS);
  const deadlineMs = performance.now() + LEFT_WITHIN_MS;
  while ((await storedCount(database)) < street.eventIds.length && performance.now() < deadlineMs)
    await sleep(100);
}

/** Number of events in the database. */
export async function storedCount(database: TestDatabase): Promise<number> {
  const [row] = await database.read('SELECT count(*) AS n FROM event');
  return Number(row?.['n']);
}

/** Checks that every event, still and incident is stored and counted exactly once. */
export async function checkStored(
  t: Test,
  database: TestDatabase,
  eventIds: readonly string[],
): Promise<void> {
  const idsOf = async (sql: string): Promise<string[]> =>
    (await database.read(sql)).map(({ name }) => String(name)).sort();
  const ids = [...eventIds].sort();
  t.same(differing(await idsOf("SELECT box || ' ' || id AS name FROM event"), ids), [], 'every event once');
  const stills = await idsOf("SELECT box || ' ' || name AS name FROM snapshot");
  t.same(differing(stills, ids), [], 'every still once');
  const [sums] = await database.read(
    `SELECT (SELECT sum(alerts) FROM day_figure) AS alerts, (SELECT sum(events) FROM incident) AS events,
       (SELECT count(*) FROM event WHERE unread IS NOT NULL) AS unread`,
  );
  t.same(
    { alerts: Number(sums?.['alerts']), events: Number(sums?.['events']), unread: Number(sums?.['unread']) },
    { alerts: ids.length, events: ids.length, unread: 0 },
    `${ids.length} alerts counted once`,
  );
}

/** Items that are in only one of two sorted lists, or in different numbers. */
function differing(first: readonly string[], second: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const one of first) counts.set(one, (counts.get(one) ?? 0) + 1);
  for (const one of second) counts.set(one, (counts.get(one) ?? 0) - 1);
  return [...counts].filter(([, count]) => count !== 0).map(([name, count]) => `${name}: ${count}`);
}
