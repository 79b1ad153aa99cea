/** Alerts, verdicts and a box for tests of the accuracy record. */
import type { BoxState, Watching } from '../../agent/accuracy/store.ts';
import type { Clock } from '../../agent/base/clock.ts';
import type { Phase, Severity } from '../../agent/contract/event.ts';
import type { UnnumberedEvent } from '../../agent/contract/event-sink.ts';
import type { RuleConfig } from '../../agent/contract/rule-config.ts';
import type { VerdictValue } from '../../agent/contract/verdict.ts';
import { eventAt } from './history.ts';
import { BOX, SITE } from './room.ts';

export const LONG_STAY: RuleConfig = {
  id: 'long-stay',
  kind: 'loitering',
  zone: 'forecourt',
  purpose: 'public-order',
  classes: ['person'],
  afterS: 12,
};
export const KERB: RuleConfig = {
  id: 'kerb',
  kind: 'line-crossing',
  line: 'kerb',
  purpose: 'traffic-count',
  classes: ['car', 'bus'],
  direction: 'left',
};

export const WATCHING: Watching = {
  site: SITE,
  box: BOX,
  retentionDays: 30,
  timeZone: 'Europe/Paris',
  holidays: [],
  rules: [LONG_STAY, KERB],
};

/** State of a box that has a usable image. */
export function seeingBox(over: Partial<BoxState> = {}): BoxState {
  return { watching: WATCHING, sees: true, ...over };
}

export function alert(
  episode: string,
  phase: Phase,
  over: { id: string; rule?: string; severity?: Severity; time?: string },
): UnnumberedEvent {
  const { id, rule = 'long-stay', severity = 'alert', time = '2026-11-24T00:00:00.000Z' } = over;
  const { sequence: _, ...event } = eventAt(Date.parse(time), { id });
  const about = { episode, phase, severity, rule: { id: rule, kind: 'loitering', params: {} } };
  return { ...event, data: { ...event.data, ...about, objects: [], cause: {}, evidence: {} } };
}

/** A verdict as the room publishes it, issued now. */
export function verdictOf(
  about: { readonly episode: string } | { readonly event: string },
  verdict: VerdictValue,
  clock: Clock,
): Buffer {
  return Buffer.from(JSON.stringify({ ...about, verdict, time: new Date(clock.wallMs()).toISOString() }));
}
