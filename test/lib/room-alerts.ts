/** Alerts as a room's archive receives them from the broker. */
import type { VigieEvent } from '../../agent/contract/event.ts';
import { type Arrival, arrivalOf } from '../../scripts/programs/room/archive/message.ts';
import { iso } from '../../scripts/programs/room/database/sql.ts';
import { eventText } from './events.ts';

export interface AlertSource {
  readonly site?: string;
  readonly box: string;
  readonly kind: string;
  readonly rule: string;
}

let seq = 0;

/** First event of a new incident, with the next number of its box. */
export function alertOf({ site = 'lyon', box, kind, rule }: AlertSource, atMs: number): Arrival {
  seq += 1;
  const event = JSON.parse(eventText({ site, box, id: `e1-${seq}`, seq, time: iso(atMs) })) as VigieEvent;
  event.data.episode = `ep-${seq}`;
  event.data.phase = 'start';
  event.data.rule = { ...event.data.rule, id: rule, kind: kind as VigieEvent['data']['rule']['kind'] };
  return arrivalOf(
    {
      cmd: 'publish',
      qos: 1,
      dup: false,
      retain: false,
      topic: `vigie/${site}/${box}/evt/alert/${kind}`,
      payload: JSON.stringify(event),
      properties: { userProperties: { seq: String(seq), first: '1', lane: 'alert', epoch: `e-${box}` } },
    },
    atMs,
  );
}
