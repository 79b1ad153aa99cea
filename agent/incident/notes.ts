/**
 * Persistent state of the incidents, as notes of the outbox. One kind stores active incidents, so that a restart
 * neither raises them again nor fails to end them. The other stores events that wait for their pictures, so that they
 * are sent in any case.
 *
 * INVARIANTS:
 * - A note changes in the transaction that makes its event durable, so every active incident has been or will be sent.
 * - Notes contain no pixels and no names.
 * - An unreadable note is skipped and logged, and does not prevent the start.
 */
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { jsonOf } from '../base/json.ts';
import type { Logger } from '../base/log.ts';
import { EventData, VigieEvent } from '../contract/event.ts';
import type { UnnumberedEvent } from '../contract/event-sink.ts';
import { XyxyNorm } from '../contract/geometry.ts';
import { ObservedTrack } from '../contract/observation.ts';
import type { Notes } from '../contract/outbox.ts';
import { BUILT_IN, type EventSubject } from './event.ts';
import { type IncidentRecord, placeOf, type Transition } from './lifecycle.ts';

export const ACTIVE = 'standing/';
export const WAITING = 'waiting/';

/** Track without the fields of a single frame, and without those for the log of tracks, which no other file stores. */
const KeptTrack = Type.Omit(ObservedTrack, ['before', 'colours']);

const Record = Type.Object({
  episode: Type.String({ minLength: 1, maxLength: 64 }),
  startedWallMs: Type.Number(),
  objects: Type.Array(KeptTrack, { maxItems: 64 }),
  place: Type.Optional(XyxyNorm),
});
const { rule, severity, zone, line } = EventData.properties;
/** Same fields as EventSubject. */
const About = Type.Object({ rule, severity, zone, line, subject: VigieEvent.properties.subject });
const ActiveIncident = Type.Object({
  owner: Type.String({ minLength: 1, maxLength: 100 }),
  /** Subject of a condition of the box: its rule may have been removed from the configuration. */
  about: Type.Optional(About),
  ...Record.properties,
});
const Waiting = Type.Omit(VigieEvent, ['sequence']);

export interface StoredIncident extends IncidentRecord {
  readonly about?: EventSubject | undefined;
}

/** Active incidents, by the id of their rule, or by the key of their condition after `box/`. */
export type IncidentsByOwner = ReadonlyMap<string, readonly StoredIncident[]>;

type StoredNotes = readonly { readonly key: string; readonly text: string }[];

/** Returns the change of the stored active incidents by a transition. */
export function incidentNote(
  about: EventSubject,
  { episode, phase, situation, atMs, activeMs }: Transition,
  wallAtMs: (atMs: number) => number,
): Notes {
  const place = placeOf(situation);
  const record: IncidentRecord = {
    episode,
    startedWallMs: wallAtMs(atMs - activeMs),
    objects: situation.objects.map(({ before: _before, colours: _colours, ...track }) => track),
    ...(place && { place }),
  };
  const owner = ownerOf(about);
  const text = JSON.stringify({ owner, ...(about.severity === 'system' && { about }), ...record });
  return { [ACTIVE + episode]: phase === 'end' ? null : text };
}

/** The id of a rule contains no slash. */
export const BOX_OWNER = 'box/';

/** Returns the key of a condition: its kind and, after a slash, the rule that it concerns, if any. */
function ownerOf({ rule, severity }: EventSubject): string {
  if (severity !== 'system') return rule.id;
  return rule.id === BUILT_IN ? BOX_OWNER + rule.kind : `${BOX_OWNER}${rule.kind}/${rule.id}`;
}

export function incidentsOf(storedNotes: StoredNotes, log: Logger): IncidentsByOwner {
  const records = new Map<string, StoredIncident[]>();
  for (const { key, text } of storedNotes) {
    const content = jsonOf(text);
    if (Value.Check(ActiveIncident, content)) {
      const { owner, ...record } = content;
      records.set(owner, [...(records.get(owner) ?? []), record]);
    } else log.warn({ key }, 'a stored open incident cannot be read; it will not be ended');
  }
  return records;
}

/** Returns a key. `number` increases with each waiting event; with ten digits, the order of keys is their order. */
export function waitingKey(number: number): string {
  return WAITING + String(number).padStart(10, '0');
}

/** Returns the waiting events in their order, with their keys. */
export function waitingOf(storedNotes: StoredNotes, log: Logger): { key: string; event: UnnumberedEvent }[] {
  return storedNotes.flatMap(({ key, text }) => {
    const event = jsonOf(text);
    if (Value.Check(Waiting, event)) return [{ key, event }];
    log.error({ key }, 'an event that waited for its picture cannot be read and is lost; check the disk');
    return [];
  });
}
