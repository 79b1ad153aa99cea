/** Parses MQTT messages of boxes into arrivals for the archive. All validation happens here. */
import { TypeCompiler } from '@sinclair/typebox/compiler';
import type { IPublishPacket } from 'mqtt';
import { VigieEvent } from '../../../../agent/contract/event.ts';
import { GapEvent, LANES, type Lane } from '../../../../agent/contract/outbox.ts';
import { SNAPSHOT_BYTES_MAX } from '../../../../agent/contract/redacted-jpeg.ts';
import { TIME_RULE } from '../../../../agent/contract/time.ts';
import { isTime, openSchema } from '../contract/open-schema.ts';

/** Tolerance for a time in the future, in ms. No clock of a box or a room is this wrong unnoticed. */
const AHEAD_MAX_MS = 86_400_000;

// Open schemas: a newer box may send unknown members, which must not keep its alerts from the screen.
const vigieEvent = TypeCompiler.Compile(openSchema(VigieEvent));
const gapEvent = TypeCompiler.Compile(openSchema(GapEvent));

/** Name of a site or a box, as in the agent's configuration. A broker without its own rules lets anything through. */
const NAME = /^[a-z0-9-]{1,32}$/;

export const isName = (text: string): boolean => NAME.test(text);

/** Numbers that a message covers, and the lane that they belong to. */
export interface Place {
  readonly site: string;
  readonly box: string;
  /** Numbering epoch of the box, within which each number is used once. */
  readonly epoch: string;
  readonly lane: Lane;
  /** `from` equals `seq`, except in a gap record, which covers all missing numbers. */
  readonly from: number;
  readonly seq: number;
  /** Oldest number that the box still stores in this lane. */
  readonly first: number;
}

export interface EventArrival {
  readonly kind: 'event';
  readonly place: Place;
  readonly id: string;
  readonly type: string;
  readonly time: string;
  /** Raw text as received. */
  readonly body: string;
  /** Absent for a gap record and for unreadable content. */
  readonly event?: VigieEvent;
  /** Reason why the event, or its time, is not credible. It is stored nevertheless, for a newer program or a person. */
  readonly unread?: string;
}

export interface SnapshotArrival {
  readonly kind: 'snapshot';
  readonly place: Place;
  /** Id of the event, with the suffix `.before` or `.deposit` for stills of other moments. */
  readonly name: string;
  readonly jpeg: Buffer;
}

/** Report of a box about itself. Only the newest counts. */
export interface ReportArrival {
  readonly kind: 'report';
  readonly site: string;
  readonly box: string;
  readonly topic: 'status' | 'health';
  readonly body: string;
  /** True if the broker had retained it: the time of sending is unknown. */
  readonly isRetained: boolean;
}

export type Arrival = EventArrival | SnapshotArrival | ReportArrival;

/** True if the time is impossibly far in the future by this room's clock. */
export function isAhead(time: string, nowMs: number): boolean {
  return Date.parse(time) > nowMs + AHEAD_MAX_MS;
}

/**
 * Parses a message.
 * @throws {Error} with a line for a person if it is not from a box's outbox
 */
export function arrivalOf({ topic, payload, properties, retain }: IPublishPacket, nowMs: number): Arrival {
  const [root, site = '', box = '', branch, ...rest] = topic.split('/');
  if (root !== 'vigie' || !isName(site) || !isName(box)) throw new Error('not a topic of a box');
  const bytes = Buffer.from(payload);
  if (branch === 'status' || branch === 'health') {
    return { kind: 'report', site, box, topic: branch, body: storable(bytes.toString()), isRetained: retain };
  }
  const { userProperties } = properties ?? {};
  const seq = numberIn(userProperties?.['seq'], 'seq');
  const first = numberIn(userProperties?.['first'], 'first');
  const lane = LANES.find((name) => name === userProperties?.['lane']);
  const epoch = userProperties?.['epoch'];
  if (lane === undefined) throw new Error('the user property lane is neither alert nor bulk');
  if (typeof epoch !== 'string' || epoch === '') throw new Error('the user property epoch is missing');
  if (first > seq) throw new Error(`number ${seq} is below ${first}, the first that the box holds`);
  const place = { site, box, epoch: storable(epoch), lane, from: seq, seq, first };
  if (branch === 'snap' && bytes.length > SNAPSHOT_BYTES_MAX)
    throw new Error(`a picture of ${bytes.length} bytes; at most ${SNAPSHOT_BYTES_MAX} are stored`);
  if (branch === 'snap') return { kind: 'snapshot', place, name: rest.join('/'), jpeg: bytes };
  if (branch === 'evt') return eventIn(storable(bytes.toString()), place, nowMs);
  throw new Error('neither an event nor a snapshot');
}

function eventIn(body: string, place: Place, nowMs: number): EventArrival {
  const common = { kind: 'event', place, body } as const;
  const unread = (cause: string): EventArrival => {
    const { epoch, lane, seq } = place;
    return { ...common, id: `unread-${epoch}-${lane}-${seq}`, type: '', time: '', unread: cause };
  };
  let event: unknown;
  try {
    event = JSON.parse(body);
  } catch (error) {
    return unread(error instanceof Error ? error.message : String(error));
  }
  const source = `urn:vigie:${place.site}:${place.box}`;
  if (gapEvent.Check(event)) {
    const { id, type, time, data } = event;
    if (event.source !== source) return unread(`/source: ${event.source} on a topic of ${source}`);
    if (!isTime(time)) return unread(`/time: ${TIME_RULE}`);
    if (data.lane !== place.lane || data.to !== place.seq || data.from > data.to)
      return unread(`/data: not a range of the lane ${place.lane} that ends with ${place.seq}`);
    return { ...common, place: { ...place, from: data.from }, id: storable(id), type, time };
  }
  if (!vigieEvent.Check(event)) {
    const error = vigieEvent.Errors(event).First();
    return unread(`${error?.path || '/'}: ${error?.message ?? 'not an event'}`);
  }
  if (event.source !== source) return unread(`/source: ${event.source} on a topic of ${source}`);
  const { type, time } = event;
  if (!isTime(time)) return unread(`/time: ${TIME_RULE}`);
  const id = storable(event.id);
  if (!isAhead(time, nowMs)) return { ...common, id, type, time, event };
  // The content may be true nevertheless: it is shown, and stored without a time.
  const reason = `/time: ${time} is more than a day ahead of this room's clock, ${new Date(nowMs).toISOString()}`;
  return { ...common, id, type, time: '', event, unread: reason };
}

function numberIn(text: unknown, name: string): number {
  const number = typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : 0;
  if (number < 1 || !Number.isSafeInteger(number))
    throw new Error(`the user property ${name} is not a number`);
  return number;
}

/** PostgreSQL accepts every character except NUL, and a batch must not fail forever. */
function storable(text: string): string {
  return text.replaceAll('\0', '\ufffd');
}
