/**
 * A box reduced to the command `tracks` by its contract: it returns the tracks that a test has prepared, page by page.
 */
import type { KeyObject } from 'node:crypto';
import { Value } from '@sinclair/typebox/value';
import type { MqttClient } from 'mqtt';
import type { Test } from 'tap';
import { sha256Of } from '../../agent/base/sha256.ts';
import { COMMAND_BYTES_MAX, COMMAND_TYPE, type Command } from '../../agent/contract/command.ts';
import {
  type FoundTrack,
  TrackArgs,
  type TrackResult,
  type TrackStillResult,
} from '../../agent/contract/track-log.ts';
import { envelopeOpener, keyIdOf } from '../../agent/orders/dsse.ts';
import { clientOf, type Room, SITE } from './room.ts';

export interface TrackBox {
  /** Arguments of the received commands, in order. */
  readonly requests: TrackArgs[];
  readonly client: MqttClient;
  /** Replies that replace the next ones, first in first out; with `raw` they replace the envelope too. */
  readonly replacements: { readonly answer: object; readonly raw?: true }[];
  tracks: FoundTrack[];
  pageTracks: number;
  /** Members that replace those of every page. */
  result: Partial<TrackResult>;
}

const open = envelopeOpener({
  payloadType: COMMAND_TYPE,
  bytesMax: COMMAND_BYTES_MAX,
  signatures: 1,
  keysIn: 'this box',
});

export const VIEW = '2026-11-20T09:12:44.103Z';
export const STILL = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 1, 2, 3, 0xff, 0xd9]);

/** A car that drives from left to right for 20 s. */
export function track(number: number, at: string, change: Partial<FoundTrack> = {}): FoundTrack {
  const to = new Date(Date.parse(at) + 20_000).toISOString();
  return {
    track: number,
    class: 'car',
    colours: ['white', 'grey'],
    from: at,
    to,
    at,
    durationS: 0,
    seen: true,
    score: 0.83,
    stoppedS: 0,
    cut: false,
    widthToHeight: 1.9,
    path: [
      [0, 0.1, 0.7, 0.2, 1],
      [12.5, 0.5, 0.72, 0.22, 1],
      [20, 0.9, 0.75, 0.2, 0],
    ],
    ...change,
  };
}

/** Answers commands signed with this key. */
export async function trackBox(t: Test, room: Room, box: string, key: KeyObject): Promise<TrackBox> {
  const client = await clientOf(t, room, box, { reconnectPeriod: 0 });
  const started: TrackBox = { requests: [], client, replacements: [], tracks: [], pageTracks: 2, result: {} };
  client.on('message', (_topic, payload, { properties }) => {
    const { payload: content } = open(payload, new Map([[keyIdOf(key), key]]));
    const command = JSON.parse(content.toString()) as Command;
    if (!Value.Check(TrackArgs, command.args)) throw new Error('no arguments of tracks');
    started.requests.push(command.args);
    const { answer, raw } = started.replacements.shift() ?? {
      answer: { result: answerOf(started, command.args) },
    };
    const envelope = {
      site: SITE,
      box,
      time: new Date().toISOString(),
      op: 'tracks',
      counter: command.counter,
    };
    const correlationData = properties?.correlationData;
    client.publish(
      properties?.responseTopic ?? '',
      JSON.stringify(raw === true ? answer : { ...envelope, ...answer }),
      { qos: 1, properties: { ...(correlationData && { correlationData }) } },
    );
  });
  await client.subscribeAsync(`vigie/${SITE}/${box}/cmd`, { qos: 1 });
  return started;
}

function answerOf(
  { tracks, pageTracks, result }: TrackBox,
  { question, cursor }: TrackArgs,
): TrackResult | TrackStillResult {
  if (question.answer === 'still') {
    return {
      view: VIEW,
      at: '2026-11-24T10:00:00.000Z',
      sha256: sha256Of(STILL),
      jpeg: STILL.toString('base64'),
    };
  }
  const from = Number(cursor?.split('.')[1] ?? 0);
  const page = question.answer === 'tracks' ? tracks.slice(from, from + pageTracks) : [];
  const next =
    question.answer === 'tracks' && from + pageTracks < tracks.length ? `0.${from + pageTracks}.0` : null;
  return {
    order: 'order-1',
    grade: 'vehicles',
    approvers: [],
    timeZone: 'Europe/Paris',
    kept: { days: 14, oldest: '2026-11-12T00:00:00.000Z' },
    views: [{ view: VIEW, to: null, widthToHeight: 1.7778 }],
    coverage: { seen: 0.95, watched: 0.05, gaps: [], more: 0 },
    matches: question.answer === 'coverage' ? 0 : tracks.length,
    tracks: page,
    next,
    left: { case: Math.max(0, 100 - from), keyDay: 1900, day: 4900 },
    ...result,
  };
}
