/** Events as a box makes them, for archives in tests. */
import { EVENT_SCHEMA_URI, type VigieEvent } from '../../agent/contract/event.ts';
import type { ArchivedEvent } from '../../agent/contract/search.ts';
import { BOX, SITE } from './room.ts';

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
  return {
    specversion: '1.0',
    id,
    source: `urn:vigie:${SITE}:${change.box ?? BOX}`,
    type: `vigie.${kind}.v1`,
    subject,
    time,
    datacontenttype: 'application/json',
    dataschema: EVENT_SCHEMA_URI,
    sequence: '0000000001',
    data: {
      episode: `${id}-e`,
      phase: 'start',
      severity: 'alert',
      rule: { id: `rule-${kind}`, kind, params: { afterS: 20, classes: ['person'] } },
      zone: { id: subject.split('/')[1] ?? 'forecourt', purpose: 'public-order' },
      objects: [
        { track: 12, label: 'person', score: 0.81, xyxyNorm: [0.1203, 0.2012, 0.1904, 0.4123], since: time },
      ],
      cause: { dwellS: 21.2, durationS: 0 },
      evidence: {
        snapshot: {
          sha256: '0f'.repeat(32),
          bytes: 61_234,
          time,
          redaction: { figures: 3, cleanPlate: { ratio: 0.06, maxAgeS: 41.3 }, mosaicShare: 0, masks: 1 },
        },
      },
      clock: { synced, timeZone: 'Europe/Paris' },
      mode: 'active',
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
