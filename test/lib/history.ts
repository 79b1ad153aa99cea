/** Events as a box makes them, for archives in tests. */
import type { VigieEvent } from '../../agent/contract/event.ts';
import type { ArchivedEvent } from '../../agent/contract/search.ts';
import { eventText } from './events.ts';
import { BOX } from './room.ts';

const KINDS = ['loitering', 'illegal-parking', 'line-crossing', 'wrong-way'] as const;

export interface EventChange {
  readonly id?: string;
  readonly kind?: string;
  readonly subject?: string;
  readonly synced?: boolean;
  readonly box?: string;
}

export function eventAt(timeMs: number, change: EventChange = {}): VigieEvent {
  const { id = `e-${timeMs}`, kind = 'loitering', subject = 'zone/forecourt', synced = true } = change;
  const time = new Date(timeMs).toISOString();
  const text = eventText({ id, box: change.box ?? BOX, seq: 1, time, jpeg: Buffer.from('a still') });
  const event = JSON.parse(text) as VigieEvent;
  const { data } = event;
  return {
    ...event,
    type: `vigie.${kind}.v1`,
    subject,
    data: {
      ...data,
      rule: { ...data.rule, id: `rule-${kind}`, kind },
      zone: { id: subject.split('/')[1] ?? 'forecourt', purpose: 'public-order' },
      clock: { synced, timeZone: 'Europe/Paris' },
    },
  };
}

export function entry(seq: number, event: VigieEvent): ArchivedEvent {
  return { lane: 'alert', seq, event };
}

/** `perDay` events a day for `days` days up to `untilMs`, over four kinds and six zones, oldest first. */
export function history(untilMs: number, days: number, perDay: number, box?: string): VigieEvent[] {
  const stepMs = 86_400_000 / perDay;
  return Array.from({ length: days * perDay }, (_, i) =>
    eventAt(Math.round(untilMs - (days * perDay - i) * stepMs), {
      id: `h-${i + 1}`,
      kind: KINDS[i % KINDS.length] ?? 'loitering',
      subject: `zone/zone-${i % 6}`,
      ...(box !== undefined && { box }),
    }),
  );
}
