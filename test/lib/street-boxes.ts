/** Boxes of a street with their real outboxes and deliveries, which report incidents with stills as the agent does. */
import type { Test } from 'tap';
import type { MqttConfig } from '../../agent/contract/config.ts';
import { EVENT_CONTENT_TYPE, type VigieEvent } from '../../agent/contract/event.ts';
import type { OutboxItem } from '../../agent/contract/outbox.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import type { Delivery } from '../../agent/mqtt/delivery.ts';
import type { DurableOutbox } from '../../agent/outbox/outbox.ts';
import { startBox } from './box.ts';
import { eventText } from './events.ts';
import { redacted, rowsOf } from './outbox.ts';
import { type Room, SITE } from './room.ts';

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
    const { outbox, delivery } = await startBox(t, room, name, ack);
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
