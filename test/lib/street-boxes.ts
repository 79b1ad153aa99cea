/** Boxes of a street with their real outboxes and deliveries, which report incidents with stills as the agent does. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import type { MqttConfig } from '../../agent/contract/config.ts';
import { EVENT_CONTENT_TYPE, type VigieEvent } from '../../agent/contract/event.ts';
import { receivedSnapshot } from '../../agent/contract/link.ts';
import type { OutboxItem } from '../../agent/contract/outbox.ts';
import type { RedactedJpeg } from '../../agent/contract/redacted-jpeg.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { Delivery } from '../../agent/mqtt/delivery.ts';
import type { DurableOutbox } from '../../agent/outbox/outbox.ts';
import { eventText } from './events.ts';
import { openedOutbox, rowsOf, SILENT } from './outbox.ts';
import { scratch } from './paths.ts';
import { pairOf, type Room, SITE } from './room.ts';

/** Outbox limit, in MiB: bulk and alerts of a burst wait there until they are acknowledged. */
const OUTBOX_MIB = 128;

const KINDS = ['loitering', 'line-crossing'] as const;

export interface Report {
  readonly id: string;
  /** Kind of the topic and of the rule; `change` may set a kind that the program does not know. */
  readonly kind?: (typeof KINDS)[number];
  readonly jpeg?: Buffer;
  readonly timeMs?: number;
  readonly phase?: 'start' | 'end';
  /** Change that a hostile or newer box makes to the event. */
  readonly change?: (event: VigieEvent) => void;
}

export class StreetBox {
  readonly name: string;
  readonly #outbox: DurableOutbox;
  readonly #delivery: Delivery;

  private constructor(name: string, outbox: DurableOutbox, delivery: Delivery) {
    this.name = name;
    this.#outbox = outbox;
    this.#delivery = delivery;
  }

  /** Starts a connecting box; stopped when the test ends. */
  static async start(
    t: Test,
    room: Room,
    name: string,
    ack: MqttConfig['ack'] = 'archive',
  ): Promise<StreetBox> {
    const outbox = openedOutbox(t, join(scratch(t), 'outbox.db'), OUTBOX_MIB);
    const { url, cert, key } = await pairOf(room, name);
    const delivery = new Delivery({
      config: { url, ca: room.authority.ca, cert, key, ack },
      site: SITE,
      box: name,
      outbox,
      boot: 'boot-1',
      clock: systemClock,
      log: SILENT,
      timing: { reconnect: { firstMs: 100, maxMs: 500 } },
    });
    t.teardown(() => delivery.stop());
    delivery.start();
    return new StreetBox(name, outbox, delivery);
  }

  get isOnline(): boolean {
    return this.#delivery.state.phase === 'online';
  }

  /** Rows that the archive has not acknowledged. */
  get waiting(): number {
    return rowsOf(this.#outbox);
  }

  /** Adds events, with their stills, in one transaction of the outbox. */
  tell(...reports: readonly Report[]): void {
    this.#outbox.append(reports.flatMap((one) => itemsOf(this.name, one)));
    this.#delivery.wake();
  }
}

/** Starts `count` boxes and waits until all are online. */
export async function startStreet(t: Test, room: Room, count: number): Promise<StreetBox[]> {
  const boxes = await Promise.all(
    Array.from({ length: count }, (_, i) => StreetBox.start(t, room, `quay-${String(i).padStart(2, '0')}`)),
  );
  while (boxes.some(({ isOnline }) => !isOnline)) await new Promise((resolve) => setTimeout(resolve, 20));
  return boxes;
}

function itemsOf(box: string, report: Report): OutboxItem[] {
  const { id, kind = 'loitering', jpeg, timeMs = Date.now(), phase = 'start', change } = report;
  const eventId = phase === 'end' ? `${id}-end` : id;
  const body = (seq: number): string => {
    const time = new Date(timeMs).toISOString();
    const event = JSON.parse(
      eventText({ site: SITE, box, id: eventId, seq, kind, time, ...(jpeg && { jpeg }) }),
    ) as VigieEvent;
    event.data.episode = `${id}-e`;
    event.data.phase = phase;
    change?.(event);
    return JSON.stringify(event);
  };
  const topics = topicsOf(SITE, box);
  const topic = topics.event('alert', kind);
  const event: OutboxItem = { lane: 'alert', rank: 'alert', topic, contentType: EVENT_CONTENT_TYPE, body };
  if (jpeg === undefined) return [event];
  const still = { topic: topics.snapshot(eventId), contentType: 'image/jpeg', jpeg: redacted(jpeg) } as const;
  return [event, { lane: 'alert', rank: 'snapshot', ...still }];
}

/** A picture of a test's own making, typed as the link would hand it over. */
function redacted(jpeg: Buffer): RedactedJpeg {
  const sha256 = createHash('sha256').update(jpeg).digest('hex');
  const redaction = { figures: 1, cleanPlate: { ratio: 0.03, maxAgeS: 5 }, mosaicShare: 0, masks: 0 };
  return receivedSnapshot(
    { kind: 'snapshot', request: 1, sha256, widthPx: 1280, heightPx: 720, atMs: 0, redaction },
    jpeg,
  );
}
