/** Converts a row of the outbox to its MQTT message. */
import { EVENT_CONTENT_TYPE, GAP_SCHEMA_URI } from '../contract/event.ts';
import {
  type GapEvent,
  type GapRecord,
  type Lane,
  type OutboxRow,
  sequenceText,
} from '../contract/outbox.ts';
import type { Topics } from '../contract/topics.ts';
import type { Message } from './publish-packet.ts';

export interface BoxName {
  readonly site: string;
  readonly box: string;
}

/** Position of a row in its lane. */
export interface LanePlace {
  readonly lane: Lane;
  /** See Outbox.epoch. */
  readonly epoch: string;
  /** Oldest number not yet released; all lower ones are settled. */
  readonly first: number;
}

export function messageOfRow(
  { lane, epoch, first }: LanePlace,
  row: OutboxRow,
  name: BoxName,
  topics: Topics,
  wallMs: number,
): Message {
  const { seq, boot } = row;
  const userProperties = { lane, seq: String(seq), first: String(first), epoch, boot };
  const base = { qos: 1, retain: false, userProperties } as const;
  if (row.kind === 'message') {
    const { topic, contentType, body, expiryS } = row;
    const payload = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    return { ...base, topic, contentType, payload, ...(expiryS !== null && { expiryS }) };
  }
  const payload = JSON.stringify(gapEvent(row.gap, epoch, name, wallMs));
  return { ...base, topic: topics.event('system', 'outbox-gap'), contentType: EVENT_CONTENT_TYPE, payload };
}

function gapEvent(gap: GapRecord, epoch: string, { site, box }: BoxName, wallMs: number): GapEvent {
  return {
    specversion: '1.0',
    // Equal for the same range, so that a repetition is recognised by its id like any other.
    id: `gap-${epoch}-${gap.lane}-${gap.from}-${gap.to}`,
    source: `urn:vigie:${site}:${box}`,
    type: 'vigie.outbox-gap.v1',
    subject: `outbox/${gap.lane}`,
    time: new Date(wallMs).toISOString(),
    datacontenttype: 'application/json',
    dataschema: GAP_SCHEMA_URI,
    sequence: sequenceText(gap.to),
    data: gap,
  };
}
