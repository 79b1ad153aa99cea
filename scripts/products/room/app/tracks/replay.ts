/**
 * Computes the replay: positions of tracks at a moment, visible tracks, gaps, and the next moment. Moments are ms since
 * 1970; positions are normalised, with y pointing down.
 */
import type { FoundTrack, TrackCoverage } from '../../../../../agent/contract/track-log.ts';

/** Maximum number of figures in a combined replay; more would hide each other. */
export const TOGETHER_MAX = 8;
/** Time shown before and after each hit in a combined replay, in s. */
export const AROUND_S = 15;
/** Display time of the reason of a gap, in s. */
const GAP_SHOWN_S = 1.5;
/** Time with an empty picture before a track appears, in ms of replayed time. */
const LEAD_MS = 2000;

export interface PlayedTrack {
  readonly record: FoundTrack;
  /** Index in the list of the answer. */
  readonly index: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly atMs: number;
}

export interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
  readonly reason: TrackCoverage['gaps'][number]['why'];
}

/** Ground point and height of the box. `isSeen` is false between two positions while the object was out of sight. */
export interface Place {
  readonly x: number;
  readonly y: number;
  readonly h: number;
  readonly isSeen: boolean;
}

export function playedTracks(records: readonly FoundTrack[]): PlayedTrack[] {
  return records.map((track, index) => ({
    record: track,
    index,
    fromMs: Date.parse(track.from),
    toMs: Date.parse(track.to),
    atMs: Date.parse(track.at),
  }));
}

export function gapsOf({ gaps }: TrackCoverage): Gap[] {
  return gaps.map(({ from, to, why: reason }) => ({
    fromMs: Date.parse(from),
    toMs: Date.parse(to),
    reason,
  }));
}

/** Returns the position at a moment, or undefined outside the track. Exact at stored positions, linear between them. */
export function placeAt({ record, fromMs }: PlayedTrack, ms: number): Place | undefined {
  const { path } = record;
  const s = (ms - fromMs) / 1000;
  const next = firstFrom(path, s);
  const after = path[next];
  if (after === undefined) return undefined;
  const [afterS, x, y, h, seenFlag] = after;
  const before = path[next - 1];
  if (before === undefined) return afterS === s ? { x, y, h, isSeen: seenFlag === 1 } : undefined;
  const [beforeS, fromX, fromY, fromH] = before;
  const part = afterS === beforeS ? 1 : (s - beforeS) / (afterS - beforeS);
  const between = (a: number, b: number): number => (part === 1 ? b : a + part * (b - a));
  return { x: between(fromX, x), y: between(fromY, y), h: between(fromH, h), isSeen: seenFlag === 1 };
}

/** Returns the index of the first position at or after a second. */
function firstFrom(path: FoundTrack['path'], s: number): number {
  let [low, high] = [0, path.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((path[middle]?.[0] ?? 0) < s) low = middle + 1;
    else high = middle;
  }
  return low;
}

export interface Piece {
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly isSeen: boolean;
}

/** Returns the path between two moments, split where visibility changes. Its ends are interpolated. */
export function piecesOf(track: PlayedTrack, fromMs: number, toMs: number): Piece[] {
  const { path } = track.record;
  const start = Math.max(fromMs, track.fromMs);
  const first = placeAt(track, start);
  if (first === undefined) return [];
  const s = (start - track.fromMs) / 1000;
  const pieces: { points: [number, number][]; isSeen: boolean }[] = [];
  let last: [number, number] = [first.x, first.y];
  const join = (to: [number, number], isSeen: boolean): void => {
    const piece = pieces.at(-1);
    if (piece?.isSeen === isSeen) piece.points.push(to);
    else pieces.push({ points: [last, to], isSeen });
    last = to;
  };
  for (let i = firstFrom(path, s); i < path.length; i++) {
    const [atS, x, y, , seenFlag] = path[i] as FoundTrack['path'][number];
    if (atS <= s) continue;
    if (track.fromMs + atS * 1000 >= toMs) {
      const end = placeAt(track, toMs);
      if (end !== undefined) join([end.x, end.y], end.isSeen);
      break;
    }
    join([x, y], seenFlag === 1);
  }
  return pieces;
}

export interface ShownTrack {
  readonly track: PlayedTrack;
  readonly place: Place;
}

/** Returns the tracks at a moment, the farthest first, so that nearer ones are drawn over them. */
export function shownAt(tracks: readonly PlayedTrack[], ms: number): ShownTrack[] {
  return tracks
    .flatMap((track): ShownTrack[] => {
      const place = placeAt(track, ms);
      return place === undefined ? [] : [{ track, place }];
    })
    .sort((a, b) => a.place.y - b.place.y);
}

/** Returns the batch of hits that contains `of` and can be shown together. */
export function batchOf(tracks: readonly PlayedTrack[], of: number): readonly PlayedTrack[] {
  const first = Math.floor(Math.max(0, of) / TOGETHER_MAX) * TOGETHER_MAX;
  return tracks.slice(first, first + TOGETHER_MAX);
}

/** Returns all tracks of a batch, each at the same offset from its hit. */
export function togetherAt(batch: readonly PlayedTrack[], offsetS: number): ShownTrack[] {
  return batch
    .slice(0, TOGETHER_MAX)
    .flatMap((track) => shownAt([track], track.atMs + offsetS * 1000))
    .sort((a, b) => a.place.y - b.place.y);
}

export function gapAt(gaps: readonly Gap[], ms: number): Gap | undefined {
  return gaps.find(({ fromMs, toMs }) => fromMs <= ms && ms < toMs);
}

/** Returns the next or previous hit, or undefined if there is none. */
export function stepFrom(
  tracks: readonly PlayedTrack[],
  ms: number,
  way: 'next' | 'previous',
): PlayedTrack | undefined {
  const inOrder = [...tracks].sort((a, b) => a.atMs - b.atMs);
  return way === 'next' ? inOrder.find(({ atMs }) => atMs > ms) : inOrder.findLast(({ atMs }) => atMs < ms);
}

export interface Course {
  readonly tracks: readonly PlayedTrack[];
  readonly gaps: readonly Gap[];
  readonly toMs: number;
}

/**
 * Returns the moment shown after `elapsedS` of real time; at most `toMs`. Empty time is skipped. A gap is never
 * skipped, and takes `GAP_SHOWN_S` whatever its length.
 */
export function advanced(
  { tracks, gaps, toMs }: Course,
  ms: number,
  elapsedS: number,
  speed: number,
): number {
  const gap = gapAt(gaps, ms);
  const msPerS = gap === undefined ? 1000 * speed : (gap.toMs - gap.fromMs) / GAP_SHOWN_S;
  const reached = ms + elapsedS * msPerS;
  // A long step stops where a gap begins or ends.
  const seams = gaps.flatMap(({ fromMs, toMs: endMs }) => [fromMs, endMs]);
  const next = Math.min(reached, ...seams.filter((seam) => ms < seam && seam < reached), toMs);
  const isEmpty = gapAt(gaps, next) === undefined && !tracks.some((t) => t.fromMs <= next && next <= t.toMs);
  return isEmpty ? nextSight(tracks, gaps, next, toMs) : next;
}

/** Returns the next moment with something to show: shortly before a track, or the start of a gap. */
function nextSight(tracks: readonly PlayedTrack[], gaps: readonly Gap[], ms: number, toMs: number): number {
  let next = toMs;
  for (const { fromMs } of tracks) if (fromMs >= ms) next = Math.min(next, Math.max(ms, fromMs - LEAD_MS));
  for (const { fromMs } of gaps) if (fromMs >= ms) next = Math.min(next, fromMs);
  return next;
}
