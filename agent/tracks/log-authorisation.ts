/** Reads and writes, in the log itself, the authorisation under which the log of tracks is stored. */
import { isDeepStrictEqual } from 'node:util';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { jsonOf } from '../base/json.ts';
import { TrackLogGrant } from '../contract/track-log.ts';
import type { TrackStore } from './store.ts';

const NOTE = 'held';

const LogAuthorisation = Type.Object({
  grant: TrackLogGrant,
  order: Type.String(),
  notAfterMs: Type.Number(),
  /** Start of the log, ms since the epoch. */
  beganMs: Type.Number(),
  /** Time before which rows were removed for lack of space; 0 if none were. */
  evictedMs: Type.Number(),
  /** Time of the log since which no authorisation is known; absent while one is. */
  closedMs: Type.Optional(Type.Number()),
});
export type LogAuthorisation = Static<typeof LogAuthorisation>;

/** Undefined if the log has no valid entry: then it is not covered by any authorisation. */
export function readLogAuthorisation(store: Pick<TrackStore, 'note'>): LogAuthorisation | undefined {
  const authorisation = jsonOf(store.note(NOTE) ?? '');
  return Value.Check(LogAuthorisation, authorisation) ? authorisation : undefined;
}

export function writeLogAuthorisation(
  store: Pick<TrackStore, 'setNote'>,
  authorisation: LogAuthorisation,
): void {
  store.setNote(NOTE, JSON.stringify(authorisation));
}

/**
 * True if data stored under one authorisation may be stored under another. Data stored for counts is never given out as
 * tracks, and an area that is excluded now was not excluded before.
 */
export function mayStayUnder({ grant: before }: LogAuthorisation, now: TrackLogGrant): boolean {
  const isSameGrade = before.grade === now.grade || (before.grade === 'vehicles' && now.grade === 'persons');
  return (
    isSameGrade &&
    isDeepStrictEqual(before.zones, now.zones) &&
    isDeepStrictEqual(before.notKept ?? [], now.notKept ?? []) &&
    (before.colour !== true || now.colour === true)
  );
}
