/** Messages of boxes as a room's archive receives them from the broker. */
import type { IPublishPacket } from 'mqtt';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { type Arrival, arrivalOf, type EventArrival } from '../../scripts/products/room/archive/message.ts';
import { iso } from '../../scripts/products/room/database/sql.ts';
import { type EventText, eventText } from './events.ts';

/** A message with the numbers of an outbox, or without where it has none. */
export function packet(
  topic: string,
  payload: string | Buffer,
  numbers: Readonly<Record<string, string>> | null = {},
): IPublishPacket {
  const outbox = { lane: 'alert', seq: '1', first: '1', epoch: 'e1' };
  const properties = numbers === null ? {} : { userProperties: { ...outbox, ...numbers } };
  return { cmd: 'publish', topic, payload, qos: 1, dup: false, retain: false, properties };
}

export interface EventSource extends Pick<EventText, 'site' | 'box' | 'severity' | 'bytes'> {
  readonly id?: string;
  readonly epoch?: string;
  /** Number in its lane; the next one of this process by default. */
  readonly seq?: number;
  readonly change?: (event: VigieEvent) => unknown;
}

let last = 0;

/** An event as its box sent it at that time, received at once. */
export function eventArrival(source: EventSource, atMs: number): EventArrival {
  const { site = 'lyon', box = 'b-1', seq = ++last, epoch = 'e1', id = `${epoch}-${seq}`, change } = source;
  const { severity, bytes = 0 } = source;
  const time = iso(atMs);
  const text = eventText({ site, box, id, seq, time, bytes, ...(severity && { severity }) });
  const event = JSON.parse(text) as VigieEvent;
  change?.(event);
  const topic = `vigie/${site}/${box}/evt/${event.data.severity}/${event.data.rule.kind}`;
  const arrival = arrivalOf(packet(topic, JSON.stringify(event), { seq: String(seq), epoch }), atMs);
  if (arrival.kind !== 'event') throw new Error('no event');
  return arrival;
}

export interface AlertSource {
  readonly site?: string;
  readonly box: string;
  readonly kind: string;
  readonly rule: string;
}

/** First event of a new incident, with the next number. */
export function alertOf({ site = 'lyon', box, kind, rule }: AlertSource, atMs: number): Arrival {
  const change = (event: VigieEvent): void => {
    event.data.rule = { ...event.data.rule, id: rule, kind: kind as VigieEvent['data']['rule']['kind'] };
  };
  return eventArrival({ site, box, epoch: `e-${box}`, change }, atMs);
}

/** A status of a box that is online. */
export function statusArrival(site: string, box: string, atMs: number): Arrival {
  const body = JSON.stringify({ state: 'online', boot: 'b', time: iso(atMs) });
  return { kind: 'report', site, box, topic: 'status', body, isRetained: false };
}
