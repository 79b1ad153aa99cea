/**
 * An event in the form of Frigate's tracked objects: `<topic_prefix>/events` with {type, before, after}.
 * Fields as in Frigate's MQTT reference; those that would name a person or a plate are always null.
 */
import type { Static } from '@sinclair/typebox';
import { type FrigateEvent, jsonNotice, type Notice } from '../contract/bridge.ts';
import type { EventObject, Phase } from '../contract/event.ts';
import type { UnnumberedEvent } from '../contract/event-sink.ts';
import type { SizePx } from '../contract/geometry.ts';

type Told = Static<typeof FrigateEvent>;
export type FrigateState = Told['after'];

const TYPES: Readonly<Record<Phase, Told['type']>> = { start: 'new', update: 'update', end: 'end' };

/**
 * `before` is what was told last of the same episode. Undefined for an event without an object: Frigate
 * knows nothing but objects.
 */
export function frigateState(
  event: UnnumberedEvent,
  frame: SizePx,
  before: FrigateState | undefined,
): FrigateState | undefined {
  const { data, source } = event;
  const object = data.objects[0];
  if (object === undefined) return undefined;
  const box = boxPx(object, frame);
  const area = (box[2] - box[0]) * (box[3] - box[1]);
  const time = epochS(event.time);
  const { snapshot } = data.evidence;
  const zones = data.zone === undefined ? [] : [data.zone.id];
  const seen =
    snapshot === undefined
      ? (before?.snapshot ?? null)
      : { frame_time: epochS(snapshot.time), box, area, score: object.score };
  return {
    id: data.episode,
    camera: source.split(':').at(-1) ?? source,
    frame_time: time,
    snapshot: seen,
    label: object.label,
    sub_label: null,
    recognized_license_plate: null,
    top_score: Math.max(object.score, before?.top_score ?? 0),
    false_positive: false,
    start_time: before?.start_time ?? startOf(event),
    end_time: data.phase === 'end' ? time : null,
    score: object.score,
    box,
    area,
    ratio: ratio(box),
    region: [0, 0, frame.widthPx, frame.heightPx],
    active: data.phase !== 'end',
    stationary: data.rule.kind === 'illegal-parking',
    current_zones: data.phase === 'end' ? [] : zones,
    entered_zones: zones,
    attributes: {},
    current_attributes: [],
    has_snapshot: seen !== null,
    has_clip: false,
  };
}

/** `root` with `/frigate` is the topic prefix. */
export function frigateNotice(
  root: string,
  phase: Phase,
  before: FrigateState | undefined,
  after: FrigateState,
): Notice {
  const told: Told = { type: TYPES[phase], before: before ?? after, after };
  return jsonNotice(`${root}/frigate/events`, told);
}

function boxPx({ xyxyNorm: [x1, y1, x2, y2] }: EventObject, { widthPx, heightPx }: SizePx) {
  const at = (share: number, sidePx: number): number => Math.round(share * sidePx);
  return [at(x1, widthPx), at(y1, heightPx), at(x2, widthPx), at(y2, heightPx)] as [
    number,
    number,
    number,
    number,
  ];
}

/** Width by height, as Frigate reckons it. */
function ratio([x1, y1, x2, y2]: [number, number, number, number]): number {
  return y2 === y1 ? 0 : Math.round(((x2 - x1) / (y2 - y1)) * 1000) / 1000;
}

/** When the incident began: `standingS` before the event. */
function startOf({ time, data }: UnnumberedEvent): number {
  return epochS(time) - Number(data.cause['standingS'] ?? 0);
}

function epochS(time: string): number {
  return Date.parse(time) / 1000;
}
