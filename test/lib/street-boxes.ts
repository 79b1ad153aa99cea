/** Boxes of a street with their real outboxes and deliveries, which tell incidents with stills as the agent does. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
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

/** Bulk and alerts of a burst wait here until they are acknowledged. */
const OUTBOX_MIB = 128;

const KINDS = ['loitering', 'line-crossing'] as const;

export interface Told {
  readonly id: string;
  /** The topic's and the rule's; another kind than the program knows may be named by `change`. */
  readonly kind?: (typeof KINDS)[number];
  readonly jpeg?: Buffer;
  readonly timeMs?: number;
  readonly phase?: 'start' | 'end';
  /** What a hostile or newer box makes of it. */
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

  /** Connecting; stopped when the test ends. */
  static async start(t: Test, room: Room, name: string): Promise<StreetBox> {
    const outbox = openedOutbox(t, join(scratch(t), 'outbox.db'), OUTBOX_MIB);
    const { url, cert, key } = await pairOf(room, name);
    const delivery = new Delivery({
      config: { url, ca: room.authority.ca, cert, key, ack: 'archive' },
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

  /** Events, and their stills where there are any, in one transaction of the outbox. */
  tell(...told: readonly Told[]): void {
    this.#outbox.append(told.flatMap((one) => itemsOf(this.name, one)));
    this.#delivery.wake();
  }
}

/** `count` boxes, all of them online. */
export async function startStreet(t: Test, room: Room, count: number): Promise<StreetBox[]> {
  const boxes = await Promise.all(
    Array.from({ length: count }, (_, i) => StreetBox.start(t, room, `quay-${String(i).padStart(2, '0')}`)),
  );
  while (boxes.some(({ isOnline }) => !isOnline)) await new Promise((done) => setTimeout(done, 20));
  return boxes;
}

function itemsOf(box: string, told: Told): OutboxItem[] {
  const { id, kind = 'loitering', jpeg, timeMs = Date.now(), phase = 'start', change } = told;
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

/** As the link hands a picture over that is one of our own making. */
function redacted(jpeg: Buffer): RedactedJpeg {
  const sha256 = createHash('sha256').update(jpeg).digest('hex');
  const redaction = { figures: 1, plate: { share: 0.03, oldestS: 5 }, mosaicShare: 0, masks: 0 };
  return receivedSnapshot(
    { kind: 'snapshot', request: 1, sha256, widthPx: 1280, heightPx: 720, atMs: 0, redaction },
    jpeg,
  );
}
