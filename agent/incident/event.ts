/** Converts a transition to its CloudEvent. */

import type { DegradingCondition, ReminderCondition, RuleCondition } from '../contract/condition.ts';
import {
  EVENT_SCHEMA_URI,
  type EventObject,
  type Evidence,
  PRESENT_AT_START,
  type Severity,
} from '../contract/event.ts';
import type { UnnumberedEvent } from '../contract/event-sink.ts';
import type { Mode } from '../contract/mode.ts';
import type { ObservedTrack } from '../contract/observation.ts';
import type { RuleGrant } from '../contract/permit.ts';
import type { RuleConfig } from '../contract/rule-config.ts';
import type { Transition } from './lifecycle.ts';

/** Rule id of a condition that concerns no rule. */
export const BUILT_IN = 'built-in';

/** Maximum number of objects in a published event (the schema's limit). */
const OBJECTS_MAX = 64;

/** Subject of an event: a configured rule, or a condition of the box. */
export interface EventSubject {
  readonly rule: { readonly id: string; readonly kind: string; readonly params: Record<string, unknown> };
  readonly severity: Severity;
  readonly subject: string;
  readonly zone?: EventPlace;
  readonly line?: EventPlace;
}

/** Watched place with its purpose, legal basis and end of validity. */
export interface EventPlace {
  readonly id: string;
  readonly purpose: string;
  readonly legalBasis?: string;
  readonly validUntil?: string;
}

/** State of the box when an event arose. */
export interface Circumstances {
  readonly clockSynced: boolean;
  /** IANA name of the site's time zone. */
  readonly timeZone: string;
  readonly degraded: readonly DegradingCondition[];
  readonly mode: Mode;
  /** Returns the wall time of a media time, in ms since the epoch. */
  wallAtMs(atMs: number): number;
}

export interface EventContext extends Circumstances {
  readonly id: string;
  readonly site: string;
  readonly box: string;
  readonly evidence: Evidence;
}

export function subjectOfRule(rule: RuleConfig, grant: RuleGrant | undefined): EventSubject {
  const { id, kind, purpose, ...rest } = rule;
  const { zone, line, ...params } = rest as Record<string, unknown>;
  const base = { rule: { id, kind, params }, severity: 'alert' as const };
  const { shadow: _shadow, ...terms } = grant ?? { shadow: false };
  return typeof zone === 'string'
    ? { ...base, subject: `zone/${zone}`, zone: { id: zone, purpose, ...terms } }
    : { ...base, subject: `line/${String(line)}`, line: { id: String(line), purpose, ...terms } };
}

/** Returns the subject of the box's own reports about a rule: `alert-limit`, `rule-unauthorised`. */
export function subjectOfBoxRule(about: EventSubject, kind: RuleCondition, params: object): EventSubject {
  const { id, kind: ofRule } = about.rule;
  return { ...about, rule: { id, kind, params: { kind: ofRule, ...params } }, severity: 'system' };
}

/** Returns the subject of a situation whose beginning the rule did not observe. */
export function subjectOfPresent(about: EventSubject): EventSubject {
  const { id, kind } = about.rule;
  return { ...about, rule: { id, kind: PRESENT_AT_START, params: { kind } }, severity: 'notice' };
}

/** Returns the subject of a condition of the camera or the box. One begun by an earlier version may be unknown here. */
export function subjectOfCondition(kind: string): EventSubject {
  return { rule: { id: BUILT_IN, kind, params: {} }, severity: 'system', subject: 'camera' };
}

/**
 * Returns the subject of a task for a person, often with a due date: `certificate-expiring`, `authorisation-expiring`, `high-false-alarm-rate`.
 */
export function subjectOfReminder(
  kind: ReminderCondition,
  id: string,
  params: Record<string, unknown>,
): EventSubject {
  return { rule: { id, kind, params }, severity: 'system', subject: 'camera' };
}

export function eventOf(about: EventSubject, transition: Transition, context: EventContext): UnnumberedEvent {
  const { episode, phase, situation, atMs, activeMs } = transition;
  const time = (ms: number): string => new Date(context.wallAtMs(ms)).toISOString();
  const { rule, severity, subject, zone, line } = about;
  return {
    specversion: '1.0',
    id: context.id,
    source: `urn:vigie:${context.site}:${context.box}`,
    type: `vigie.${rule.kind}.v1`,
    subject,
    time: time(atMs),
    datacontenttype: 'application/json',
    dataschema: EVENT_SCHEMA_URI,
    data: {
      episode,
      phase,
      severity,
      rule: { ...rule },
      ...(zone && { zone }),
      ...(line && { line }),
      objects: situation.objects.slice(0, OBJECTS_MAX).map((track) => eventObject(track, time)),
      cause: { ...situation.cause, durationS: Math.round(activeMs / 100) / 10 },
      evidence: context.evidence,
      clock: { synced: context.clockSynced, timeZone: context.timeZone },
      // A degraded picture does not affect reports of the box about itself.
      ...(severity !== 'system' && context.degraded.length > 0 && { degraded: [...context.degraded] }),
      mode: context.mode,
    },
  };
}

function eventObject(track: ObservedTrack, time: (ms: number) => string): EventObject {
  const { id, label, bestScore, xyxyNorm, firstMs } = track;
  const [x1, y1, x2, y2] = xyxyNorm.map((v) => Math.round(v * 1e4) / 1e4) as [number, number, number, number];
  return {
    track: id,
    label,
    score: Math.round(bestScore * 1000) / 1000,
    xyxyNorm: [x1, y1, x2, y2],
    since: time(firstMs),
  };
}
