/** From an MQTT message of a box to what the archive keeps; the border where everything is checked. */
import { TypeCompiler } from '@sinclair/typebox/compiler';
import type { IPublishPacket } from 'mqtt';
import { VigieEvent } from '../../../../agent/contract/event.ts';
import { GapEvent, LANES, type Lane } from '../../../../agent/contract/outbox.ts';
import { TIME_RULE } from '../../../../agent/contract/time.ts';
import { isTime, opened } from '../contract/opened.ts';

/** No clock of a box or a room is wrong by this and not known to be. */
const AHEAD_MAX_MS = 86_400_000;

// A box may be newer than this program: members that are not known do not keep its alerts from the screen.
const vigieEvent = TypeCompiler.Compile(opened(VigieEvent));
const gapEvent = TypeCompiler.Compile(opened(GapEvent));

/** Of a site or a box, as the agent's configuration takes it; a broker without names of its own lets anything through. */
const NAME = /^[a-z0-9-]{1,32}$/;

export const isName = (text: string): boolean => NAME.test(text);

/** The numbers that a message covers, and whose they are. */
export interface Place {
  readonly site: string;
  readonly box: string;
  /** Which counting of the box; within it a number is given out once. */
  readonly epoch: string;
  readonly lane: Lane;
  /** `from` = `seq`, but for a record of a gap, which stands for all that is missing. */
  readonly from: number;
  readonly seq: number;
  /** The oldest number that the box still holds in this lane. */
  readonly first: number;
}

export interface EventArrival {
  readonly kind: 'event';
  readonly place: Place;
  readonly id: string;
  readonly type: string;
  readonly time: string;
  /** As it came. */
  readonly body: string;
  /** Absent for a record of a gap, and where it could not be read. */
  readonly event?: VigieEvent;
  /** Why it, or its time, could not be believed: it is kept all the same, for a newer program or a person. */
  readonly unread?: string;
}

export interface SnapshotArrival {
  readonly kind: 'snapshot';
  readonly place: Place;
  /** The event's id; `.before` or `.deposit` behind it for stills of other moments. */
  readonly name: string;
  readonly jpeg: Buffer;
}

/** What a box says of itself; only the newest counts. */
export interface ReportArrival {
  readonly kind: 'report';
  readonly site: string;
  readonly box: string;
  readonly topic: 'status' | 'health';
  readonly body: string;
  /** Kept by the broker: it was said before now, nobody knows when. */
  readonly isRetained: boolean;
}

export type Arrival = EventArrival | SnapshotArrival | ReportArrival;

/** Whether it says a time that cannot be yet, by this room's clock. */
export function isAhead(time: string, nowMs: number): boolean {
  return Date.parse(time) > nowMs + AHEAD_MAX_MS;
}

/** Throws with a line for a person where a message is none of a box's outbox. */
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
  if (branch === 'snap') return { kind: 'snapshot', place, name: rest.join('/'), jpeg: bytes };
  if (branch === 'evt') return eventIn(storable(bytes.toString()), place, nowMs);
  throw new Error('neither an event nor a snapshot');
}

function eventIn(body: string, place: Place, nowMs: number): EventArrival {
  const known = { kind: 'event', place, body } as const;
  const unread = (why: string): EventArrival => {
    const { epoch, lane, seq } = place;
    return { ...known, id: `unread-${epoch}-${lane}-${seq}`, type: '', time: '', unread: why };
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
    return { ...known, place: { ...place, from: data.from }, id: storable(id), type, time };
  }
  if (!vigieEvent.Check(event)) {
    const fault = vigieEvent.Errors(event).First();
    return unread(`${fault?.path || '/'}: ${fault?.message ?? 'not an event'}`);
  }
  if (event.source !== source) return unread(`/source: ${event.source} on a topic of ${source}`);
  const { type, time } = event;
  if (!isTime(time)) return unread(`/time: ${TIME_RULE}`);
  const id = storable(event.id);
  if (!isAhead(time, nowMs)) return { ...known, id, type, time, event };
  // What it tells may be true all the same: it is shown, and kept under no time.
  const why = `/time: ${time} is more than a day ahead of this room's clock, ${new Date(nowMs).toISOString()}`;
  return { ...known, id, type, time: '', event, unread: why };
}

function numberIn(text: unknown, name: string): number {
  const number = typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : 0;
  if (number < 1 || !Number.isSafeInteger(number)) throw new Error(`the user property ${name} is no number`);
  return number;
}

/** PostgreSQL takes every character but this one, and a batch must not fail for ever. */
function storable(text: string): string {
  return text.replaceAll('\0', '\ufffd');
}
