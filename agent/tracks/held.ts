/** Under which order the log of tracks is kept, as it stands in the log itself. */
import { isDeepStrictEqual } from 'node:util';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { jsonOf } from '../base/json.ts';
import { TrackLogGrant } from '../contract/track-log.ts';
import type { TrackStore } from './store.ts';

const NOTE = 'held';

const Held = Type.Object({
  grant: TrackLogGrant,
  order: Type.String(),
  notAfterMs: Type.Number(),
  /** When the log began, ms since the epoch. */
  beganMs: Type.Number(),
  /** What is older went for want of room; 0: nothing did. */
  evictedMs: Type.Number(),
});
export type Held = Static<typeof Held>;

/** Undefined where the log has none, or one that is not of its form: then it is kept under no order. */
export function readHeld(store: Pick<TrackStore, 'note'>): Held | undefined {
  const held = jsonOf(store.note(NOTE) ?? '');
  return Value.Check(Held, held) ? held : undefined;
}

export function writeHeld(store: Pick<TrackStore, 'setNote'>, held: Held): void {
  store.setNote(NOTE, JSON.stringify(held));
}

/**
 * Whether what was kept under one order may be kept under another: what was kept for counts is never told as tracks, and what
 * an area excludes now was not excluded before.
 */
export function heldUnder({ grant: before }: Held, now: TrackLogGrant): boolean {
  const isSameGrade = before.grade === now.grade || (before.grade === 'vehicles' && now.grade === 'persons');
  return (
    isSameGrade &&
    isDeepStrictEqual(before.zones, now.zones) &&
    isDeepStrictEqual(before.notKept ?? [], now.notKept ?? []) &&
    (before.colour !== true || now.colour === true)
  );
}
