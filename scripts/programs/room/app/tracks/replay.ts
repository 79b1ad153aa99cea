/**
 * The replay without its pictures: where a track is at a moment, which tracks are there, what the box could not tell, and
 * which moment comes next. Moments are ms since 1970; places are normalised, y down.
 */
import type { FoundTrack, TrackCoverage } from '../../../../../agent/contract/track-log.ts';

/** More figures than these on one picture hide each other. */
export const TOGETHER_MAX = 8;
/** Before and after what was asked about, where all hits are shown together, s. */
export const AROUND_S = 15;
/** How long the reason of a gap stays on the picture, s. */
const GAP_SHOWN_S = 1.5;
/** The picture is shown empty for this before a track comes, ms of the time that is replayed. */
const LEAD_MS = 2000;

export interface PlayedTrack {
  readonly found: FoundTrack;
  /** In the list of the answer. */
  readonly index: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly atMs: number;
}

export interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
  readonly why: TrackCoverage['gaps'][number]['why'];
}

/** Ground point and height of the box; `isSeen`: false between two places where it was out of sight. */
export interface Place {
  readonly x: number;
  readonly y: number;
  readonly h: number;
  readonly isSeen: boolean;
}

export function playedTracks(found: readonly FoundTrack[]): PlayedTrack[] {
  return found.map((track, index) => ({
    found: track,
    index,
    fromMs: Date.parse(track.from),
    toMs: Date.parse(track.to),
    atMs: Date.parse(track.at),
  }));
}

export function gapsOf({ gaps }: TrackCoverage): Gap[] {
  return gaps.map(({ from, to, why }) => ({ fromMs: Date.parse(from), toMs: Date.parse(to), why }));
}

/** Undefined before its first and after its last place. Exact at every place that was kept, straight between two. */
export function placeAt({ found, fromMs }: PlayedTrack, ms: number): Place | undefined {
  const { path } = found;
  const s = (ms - fromMs) / 1000;
  const next = firstFrom(path, s);
  const after = path[next];
  if (after === undefined) return undefined;
  const [afterS, x, y, h, seen] = after;
  const before = path[next - 1];
  if (before === undefined) return afterS === s ? { x, y, h, isSeen: seen === 1 } : undefined;
  const [beforeS, fromX, fromY, fromH] = before;
  const part = afterS === beforeS ? 1 : (s - beforeS) / (afterS - beforeS);
  const between = (a: number, b: number): number => (part === 1 ? b : a + part * (b - a));
  return { x: between(fromX, x), y: between(fromY, y), h: between(fromH, h), isSeen: seen === 1 };
}

/** Index of the first place at that second or later. */
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

/** The path between two moments, cut where it begins or ends to be seen; its own ends lie where the track is then. */
export function piecesOf(track: PlayedTrack, fromMs: number, toMs: number): Piece[] {
  const { path } = track.found;
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
    const [atS, x, y, , seen] = path[i] as FoundTrack['path'][number];
    if (atS <= s) continue;
    if (track.fromMs + atS * 1000 >= toMs) {
      const end = placeAt(track, toMs);
      if (end !== undefined) join([end.x, end.y], end.isSeen);
      break;
    }
    join([x, y], seen === 1);
  }
  return pieces;
}

export interface Shown {
  readonly track: PlayedTrack;
  readonly place: Place;
}

/** Those that are there at the moment, the farthest first, so that a nearer one is drawn over it. */
export function shownAt(tracks: readonly PlayedTrack[], ms: number): Shown[] {
  return tracks
    .flatMap((track): Shown[] => {
      const place = placeAt(track, ms);
      return place === undefined ? [] : [{ track, place }];
    })
    .sort((a, b) => a.place.y - b.place.y);
}

/** A part of the hits that can be looked at together; `of` is any of them. */
export function batchOf(tracks: readonly PlayedTrack[], of: number): readonly PlayedTrack[] {
  const first = Math.floor(Math.max(0, of) / TOGETHER_MAX) * TOGETHER_MAX;
  return tracks.slice(first, first + TOGETHER_MAX);
}

/** All of a batch, each as long after what it did as the others. */
export function togetherAt(batch: readonly PlayedTrack[], offsetS: number): Shown[] {
  return batch
    .slice(0, TOGETHER_MAX)
    .flatMap((track) => shownAt([track], track.atMs + offsetS * 1000))
    .sort((a, b) => a.place.y - b.place.y);
}

export function gapAt(gaps: readonly Gap[], ms: number): Gap | undefined {
  return gaps.find(({ fromMs, toMs }) => fromMs <= ms && ms < toMs);
}

/** The hit after or before the moment, by what it did; undefined where there is none. */
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
 * The moment that is shown `elapsedS` later, by the clock of the person who looks; at most `toMs`. Time in which nothing
 * passed is left out. A gap is never left out: it lasts `GAP_SHOWN_S` there, whatever its length.
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

/** When there is something to be seen again: shortly before a track, or at the start of a gap. */
function nextSight(tracks: readonly PlayedTrack[], gaps: readonly Gap[], ms: number, toMs: number): number {
  let next = toMs;
  for (const { fromMs } of tracks) if (fromMs >= ms) next = Math.min(next, Math.max(ms, fromMs - LEAD_MS));
  for (const { fromMs } of gaps) if (fromMs >= ms) next = Math.min(next, fromMs);
  return next;
}
