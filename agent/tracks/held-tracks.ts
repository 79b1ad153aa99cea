/**
 * Holds back the pieces of every track until vision has forgotten it, and drops those of a track that has touched an
 * excluded area. So nothing of a visitor is ever written, and no deletion can fail.
 *
 * INVARIANTS:
 * - All observations are followed, also those that are not recorded. An excluded track stays excluded across pauses,
 *   renewed authorisations and changes of the clock, for as long as vision follows it.
 * - A track is stored only if its whole way is known: it was first seen here, and forgotten while the street was
 *   analysed. After a break it is stored only if the break was too short to reach an excluded area.
 * - Whether a track was dropped is in no counter.
 * LIMITS: as many tracks as an observation has. About HELD_MAX pieces in all; then those of the oldest track are lost.
 */
import type { PointNorm } from '../contract/geometry.ts';
import type { Observation, ObservedTrack } from '../contract/observation.ts';
import { distanceToBoundary, isInside, meets, type Point, type Polygon } from '../contract/plane.ts';
import { SEEN_EVERY_MS } from './coverage.ts';
import type { TrackPiece } from './recorder.ts';

/** Thirty vehicles that stand for five days, about 6 MB. */
const HELD_MAX = 20_000;
/** Number of a track's pieces at which all are counted again: half a day. */
const PIECES_MAX = 64;
/** Longest way before the first report of a track that its own positions do not cover. */
const FIRST_WAY_MS = 600;
/**
 * Longest way of an object in a second, in heights of its box. A vehicle of 1.5 m covers ten at 54 km/h; the other ten
 * are for its growth when it comes nearer.
 */
const HEIGHTS_PER_S = 20;
/** Break after which every place is within reach: even a vehicle far away has come near by then. */
const ANYWHERE_AFTER_MS = 5000;

interface Sighting {
  readonly place: PointNorm;
  /** Height of the box, as a ratio of the picture's. */
  readonly height: number;
}

interface Held {
  pieces: TrackPiece[];
  last: Sighting | undefined;
  isDropped: boolean;
  /** Vision follows it no longer. */
  isOver: boolean;
}

export interface HeldTracksOptions {
  /** Excluded areas, at least one. */
  readonly areas: readonly Polygon[];
  keep(piece: TrackPiece): void;
  /** Called with the number of pieces that were lost because too many waited. */
  lose(count: number): void;
}

export class HeldTracks {
  readonly #options: HeldTracksOptions;
  /** By id, in the order of their first sight. */
  #tracks = new Map<number, Held>();
  /** Tracks of a vision process that has ended. */
  #former: Held[] = [];
  /** Media time of the newest observation of a street that could be seen. */
  #watchedMs = Number.NEGATIVE_INFINITY;

  constructor(options: HeldTracksOptions) {
    this.#options = options;
  }

  /** Takes a piece of a followed track. */
  hold(piece: TrackPiece): void {
    const held = this.#tracks.get(piece.track);
    if (held === undefined || held.isDropped) return;
    held.pieces.push(piece);
    if (held.pieces.length % PIECES_MAX === 0) this.#limit();
  }

  /**
   * Follows an observation; to be called before it is recorded.
   *
   * @param isWatched false if the street cannot be seen, for example because the lens is covered
   * @param hasRested true if nothing has moved since the previous observation, by the second stream
   */
  follow({ atMs, tracks, source }: Observation, isWatched: boolean, hasRested: boolean): void {
    const sinceMs = hasRested ? 0 : atMs - this.#watchedMs;
    const breakMs = sinceMs > SEEN_EVERY_MS ? sinceMs : 0;
    const aspect = source.widthPx / source.heightPx;
    for (const former of this.#former) this.#break(former, isWatched ? sinceMs : ANYWHERE_AFTER_MS, aspect);
    const present = new Set<number>();
    for (const track of tracks) {
      present.add(track.id);
      const known = this.#tracks.get(track.id);
      if (known !== undefined) this.#break(known, breakMs, aspect);
      const held = known ?? newTrack(!isWayKnown(track, atMs));
      this.#tracks.set(track.id, held);
      if (this.#touches(held, track)) drop(held);
      if (track.seen) held.last = { place: track.ground, height: track.xyxyNorm[3] - track.xyxyNorm[1] };
    }
    for (const [id, held] of this.#tracks) {
      if (present.has(id)) continue;
      held.isOver = true;
      // How long the street stays out of sight is not known yet.
      this.#break(held, isWatched ? breakMs : ANYWHERE_AFTER_MS, aspect);
    }
    if (isWatched) this.#watchedMs = atMs;
  }

  /** Hands over the pieces of tracks that are over; to be called after the observation was recorded. */
  release(): void {
    for (const [id, held] of this.#tracks) {
      if (!held.isOver) continue;
      this.#tracks.delete(id);
      this.#former.push(held);
    }
    for (const { pieces } of this.#former) for (const piece of pieces) this.#options.keep(piece);
    this.#former = [];
  }

  /** Ends all tracks, because the vision process that follows them has ended. They count as out of sight since then. */
  visionEnded(): void {
    this.#former.push(...this.#tracks.values());
    this.#tracks = new Map();
  }

  /** Forgets pieces that began before this wall time. */
  forget(beforeMs: number): void {
    for (const held of [...this.#tracks.values(), ...this.#former])
      held.pieces = held.pieces.filter(({ fromMs }) => fromMs >= beforeMs);
  }

  #touches({ last }: Held, { before = [], ground, seen }: ObservedTrack): boolean {
    const way: PointNorm[] = [
      ...(last === undefined ? [] : [last.place]),
      ...before.map(({ xyxyNorm: [x1, , x2, y2] }): PointNorm => [(x1 + x2) / 2, y2]),
      ...(seen ? [ground] : []),
    ];
    return this.#options.areas.some((area) => way.some((place, i) => touches(area, way[i - 1], place)));
  }

  /** Drops the track if it could reach an excluded area while it was out of sight for this time. */
  #break(held: Held, breakMs: number, aspect: number): void {
    if (breakMs <= 0) return;
    const { last } = held;
    const scaled = ([x, y]: Point): Point => [x * aspect, y];
    const reach = (HEIGHTS_PER_S * (last?.height ?? 0) * breakMs) / 1000;
    const isWithin = (area: Polygon): boolean =>
      last !== undefined && distanceToBoundary(area.map(scaled), scaled(last.place)) <= reach;
    if (last === undefined || breakMs >= ANYWHERE_AFTER_MS || this.#options.areas.some(isWithin)) drop(held);
  }

  /** Loses the pieces of the oldest tracks while there are too many. */
  #limit(): void {
    const all = [...this.#tracks.values()];
    let count = all.reduce((sum, { pieces }) => sum + pieces.length, 0);
    for (const held of all) {
      if (count <= HELD_MAX) return;
      count -= held.pieces.length;
      this.#options.lose(held.pieces.length);
      drop(held);
    }
  }
}

function newTrack(isDropped: boolean): Held {
  return { pieces: [], last: undefined, isDropped, isOver: false };
}

function drop(held: Held): void {
  held.isDropped = true;
  held.pieces = [];
}

/** Reports whether the way of a track that is met for the first time is known from its first detection on. */
function isWayKnown({ before, firstMs }: ObservedTrack, atMs: number): boolean {
  return (before?.[0]?.atMs ?? atMs) - firstMs <= FIRST_WAY_MS;
}

/** Reports whether the way from one place to the next touches the area. */
function touches(area: Polygon, from: PointNorm | undefined, to: PointNorm): boolean {
  if (isInside(area, to)) return true;
  if (from === undefined) return false;
  return area.some((a, i) => meets(a, area[(i + 1) % area.length] ?? a, from, to));
}
