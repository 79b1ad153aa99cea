/**
 * What outlives a restart of the incidents, as notes of the outbox: which of them stand, so that a restart neither
 * raises them again nor forgets to end them; and which events wait for their pictures, so that they are told all the same.
 *
 * INVARIANTS: a note changes in the transaction that makes its event durable: what stands has been told or will be.
 * Notes hold no pixel and no name; one that cannot be read is left out and told, and costs no start.
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
import { placeOf, type StandingRecord, type Transition } from './lifecycle.ts';

export const STANDING = 'standing/';
export const WAITING = 'waiting/';

/** Without what is of a frame, and for the log of tracks alone: no other file keeps that. */
const KeptTrack = Type.Omit(ObservedTrack, ['before', 'colours']);

const Record = Type.Object({
  episode: Type.String({ minLength: 1, maxLength: 64 }),
  startedWallMs: Type.Number(),
  objects: Type.Array(KeptTrack, { maxItems: 64 }),
  place: Type.Optional(XyxyNorm),
});
const { rule, severity, zone, line } = EventData.properties;
/** As EventSubject. */
const About = Type.Object({ rule, severity, zone, line, subject: VigieEvent.properties.subject });
const Standing = Type.Object({
  owner: Type.String({ minLength: 1, maxLength: 100 }),
  /** Of a condition of the box: the rule that it is about may be gone from the configuration. */
  about: Type.Optional(About),
  ...Record.properties,
});
const Waiting = Type.Omit(VigieEvent, ['sequence']);

export interface Remembered extends StandingRecord {
  readonly about?: EventSubject | undefined;
}

/** What stands, by the id of its rule, or the key of its condition behind `box/`. */
export type StandingByOwner = ReadonlyMap<string, readonly Remembered[]>;

type Kept = readonly { readonly key: string; readonly text: string }[];

/** What a transition changes in what stands. */
export function standingNote(
  about: EventSubject,
  { episode, phase, situation, atMs, standingMs }: Transition,
  wallAtMs: (atMs: number) => number,
): Notes {
  const place = placeOf(situation);
  const record: StandingRecord = {
    episode,
    startedWallMs: wallAtMs(atMs - standingMs),
    objects: situation.objects.map(({ before: _before, colours: _colours, ...track }) => track),
    ...(place && { place }),
  };
  const owner = ownerOf(about);
  const text = JSON.stringify({ owner, ...(about.severity === 'system' && { about }), ...record });
  return { [STANDING + episode]: phase === 'end' ? null : text };
}

/** No id of a rule has a slash. */
export const BOX_OWNER = 'box/';

/** The key of a condition: its kind, and behind a slash the rule that it is about, if there is one. */
function ownerOf({ rule, severity }: EventSubject): string {
  if (severity !== 'system') return rule.id;
  return rule.id === BUILT_IN ? BOX_OWNER + rule.kind : `${BOX_OWNER}${rule.kind}/${rule.id}`;
}

export function standingOf(kept: Kept, log: Logger): StandingByOwner {
  const found = new Map<string, Remembered[]>();
  for (const { key, text } of kept) {
    const content = jsonOf(text);
    if (Value.Check(Standing, content)) {
      const { owner, ...record } = content;
      found.set(owner, [...(found.get(owner) ?? []), record]);
    } else log.warn({ key }, 'a note of what stands cannot be read; that incident will not be ended');
  }
  return found;
}

/** `number` grows with each event that waits; ten digits, so that the order of keys is theirs. */
export function waitingKey(number: number): string {
  return WAITING + String(number).padStart(10, '0');
}

/** In their order, with their keys. */
export function waitingOf(kept: Kept, log: Logger): { key: string; event: UnnumberedEvent }[] {
  return kept.flatMap(({ key, text }) => {
    const event = jsonOf(text);
    if (Value.Check(Waiting, event)) return [{ key, event }];
    log.error({ key }, 'an event that waited for its picture cannot be read and is lost; check the disk');
    return [];
  });
}
