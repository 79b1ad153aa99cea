/** Events as a box publishes them, small but complete: they match the published contract. */
import { createHash } from 'node:crypto';
import {
  EVENT_CONTENT_TYPE,
  EVENT_SCHEMA_URI,
  type Severity,
  type VigieEvent,
} from '../../agent/contract/event.ts';
import { type Lane, type OutboxItem, sequenceText } from '../../agent/contract/outbox.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { picture, REDACTION } from './outbox.ts';
import { BOX, SITE } from './room.ts';

const LOITERING = { classes: ['person'], afterS: 120 };
const CROSSING = { classes: ['person'], direction: 'both' };

type TestSeverity = Exclude<Severity, 'system'>;
type TestKind = 'loitering' | 'line-crossing';

export interface EventText {
  readonly site?: string;
  readonly box?: string;
  readonly id: string;
  readonly seq: number;
  readonly severity?: TestSeverity;
  readonly kind?: TestKind;
  /** Size in bytes to which the event grows by further objects; the minimum is about 700. */
  readonly bytes?: number;
  /** Its snapshot. */
  readonly jpeg?: Buffer;
  readonly time?: string;
}

/** Time of the events, never in the future, whatever this machine's clock says. */
const TIME = new Date(Math.min(Date.now(), Date.parse('2026-11-24T14:00:00.000Z'))).toISOString();

export function eventText(of: EventText): string {
  const {
    site = SITE,
    box = BOX,
    id,
    seq,
    severity = 'alert',
    kind = 'loitering',
    bytes = 0,
    jpeg,
    time = TIME,
  } = of;
  const crossing = kind === 'line-crossing';
  const place = { id: 'square', purpose: 'public-order' };
  const event: VigieEvent = {
    specversion: '1.0',
    id,
    source: `urn:vigie:${site}:${box}`,
    type: `vigie.${kind}.v1`,
    subject: crossing ? 'line/square' : 'zone/square',
    time,
    datacontenttype: 'application/json',
    dataschema: EVENT_SCHEMA_URI,
    sequence: sequenceText(seq),
    data: {
      episode: `${id}-e`,
      phase: 'start',
      severity,
      rule: { id: 'waiting', kind, params: crossing ? CROSSING : LOITERING },
      ...(crossing ? { line: place } : { zone: place }),
      objects: [],
      cause: { durationS: 0, ...(crossing ? {} : { dwellS: 10.2 }) },
      evidence: jpeg === undefined ? {} : { snapshot: described(jpeg) },
      clock: { synced: true, timeZone: 'Europe/Paris' },
      mode: 'active',
    },
  };
  do {
    const track = event.data.objects.length + 12;
    event.data.objects.push({
      track,
      label: 'person',
      score: 0.8,
      xyxyNorm: [0.4, 0.4, 0.5, 0.6],
      since: time,
    });
  } while (event.data.objects.length < 64 && JSON.stringify(event).length < bytes);
  return JSON.stringify(event);
}

function described(jpeg: Buffer) {
  return {
    sha256: createHash('sha256').update(jpeg).digest('hex'),
    bytes: jpeg.length,
    time: '2026-11-24T14:00:00.000Z',
    redaction: REDACTION,
  };
}

/** An event of the tests' box, named by its number. */
export function eventItem(severity: TestSeverity, kind: TestKind, bytes?: number): OutboxItem {
  const lane = severity === 'alert' ? 'alert' : 'bulk';
  return item(severity, kind, (seq) => ({
    id: `${lane}-${seq}`,
    seq,
    ...(bytes !== undefined && { bytes }),
  }));
}

/** An event of the tests' box with an id of its own. */
export function namedEvent(lane: Lane, id: string): OutboxItem {
  return item(lane === 'alert' ? 'alert' : 'notice', 'loitering', (seq) => ({ id, seq }));
}

function item(severity: TestSeverity, kind: TestKind, of: (seq: number) => EventText): OutboxItem {
  return {
    lane: severity === 'alert' ? 'alert' : 'bulk',
    rank: severity,
    topic: topicsOf(SITE, BOX).event(severity, kind),
    contentType: EVENT_CONTENT_TYPE,
    body: (seq) => eventText({ ...of(seq), severity, kind }),
  };
}

/** An alert with a still of the given size in bytes. */
export function eventWithStill(id: string, bytes: number): OutboxItem[] {
  const topic = topicsOf(SITE, BOX).snapshot(id);
  const contentType = 'image/jpeg';
  return [
    namedEvent('alert', id),
    { lane: 'alert', rank: 'snapshot', topic, contentType, jpeg: picture(bytes) },
  ];
}
