/**
 * Holds back the pieces of every track until vision has forgotten it, and drops those of a track that has touched an
 * excluded area. A visitor is therefore never written, and no deletion can fail.
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

/** Thirty parked vehicles in five days, about 6 MB. */
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

interface HeldTrack {
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
  readonly areas: readonly Polygon[];
  readonly #options: HeldTracksOptions;
  /** Followed tracks by id, oldest first. */
  #tracks = new Map<number, HeldTrack>();
  /** Tracks of a vision process that has ended. */
  #former: HeldTrack[] = [];
  /** Media time of the newest observation of a street that could be seen. */
  #watchedMs = Number.NEGATIVE_INFINITY;

  constructor(options: HeldTracksOptions) {
    this.#options = options;
    this.areas = options.areas;
  }

  /** Takes a piece of a followed track. */
  hold(piece: TrackPiece): void {
    const heldTrack = this.#tracks.get(piece.track);
    if (heldTrack === undefined || heldTrack.isDropped) return;
    heldTrack.pieces.push(piece);
    if (heldTrack.pieces.length % PIECES_MAX === 0) this.#limit();
  }

  /**
   * Follows an observation; to be called before it is recorded.
   *
   * @param isWatched false if the street cannot be seen, as through a covered lens
   * @param hasRested true if the second stream shows that nothing has moved since the previous observation
   */
  follow({ atMs, tracks, source }: Observation, isWatched: boolean, hasRested: boolean): void {
    const sinceMs = hasRested ? 0 : atMs - this.#watchedMs;
    const breakMs = sinceMs > SEEN_EVERY_MS ? sinceMs : 0;
    const aspect = source.widthPx / source.heightPx;
    for (const former of this.#former) this.#break(former, isWatched ? sinceMs : ANYWHERE_AFTER_MS, aspect);
    const present = new Set<number>();
    for (const track of tracks) {
      present.add(track.id);
      const knownTrack = this.#tracks.get(track.id);
      if (knownTrack !== undefined) this.#break(knownTrack, breakMs, aspect);
      const heldTrack = knownTrack ?? newTrack(!isWayKnown(track, atMs));
      this.#tracks.set(track.id, heldTrack);
      if (this.#touches(heldTrack, track)) drop(heldTrack);
      if (track.seen) heldTrack.last = { place: track.ground, height: track.xyxyNorm[3] - track.xyxyNorm[1] };
    }
    for (const [id, heldTrack] of this.#tracks) {
      if (present.has(id)) continue;
      heldTrack.isOver = true;
      // The end of the time out of sight is not known yet.
      this.#break(heldTrack, isWatched ? breakMs : ANYWHERE_AFTER_MS, aspect);
    }
    if (isWatched) this.#watchedMs = atMs;
  }

  /** Hands over the pieces of tracks that are over; to be called after the observation was recorded. */
  release(): void {
    for (const [id, heldTrack] of this.#tracks) {
      if (!heldTrack.isOver) continue;
      this.#tracks.delete(id);
      this.#former.push(heldTrack);
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
    for (const heldTrack of [...this.#tracks.values(), ...this.#former])
      heldTrack.pieces = heldTrack.pieces.filter(({ fromMs }) => fromMs >= beforeMs);
  }

  #touches({ last }: HeldTrack, { before = [], ground, seen }: ObservedTrack): boolean {
    const way: PointNorm[] = [
      ...(last === undefined ? [] : [last.place]),
      ...before.map(({ xyxyNorm: [x1, , x2, y2] }): PointNorm => [(x1 + x2) / 2, y2]),
      ...(seen ? [ground] : []),
    ];
    return this.areas.some((area) => way.some((place, i) => touches(area, way[i - 1], place)));
  }

  /** Drops the track if it could reach an excluded area while it was out of sight for this time. */
  #break(heldTrack: HeldTrack, breakMs: number, aspect: number): void {
    if (breakMs <= 0) return;
    const { last } = heldTrack;
    const scaled = ([x, y]: Point): Point => [x * aspect, y];
    const reach = (HEIGHTS_PER_S * (last?.height ?? 0) * breakMs) / 1000;
    const isWithin = (area: Polygon): boolean =>
      last !== undefined && distanceToBoundary(area.map(scaled), scaled(last.place)) <= reach;
    if (last === undefined || breakMs >= ANYWHERE_AFTER_MS || this.areas.some(isWithin)) drop(heldTrack);
  }

  /** Loses the pieces of the oldest tracks while there are too many. */
  #limit(): void {
    const all = [...this.#tracks.values()];
    let count = all.reduce((sum, { pieces }) => sum + pieces.length, 0);
    for (const heldTrack of all) {
      if (count <= HELD_MAX) return;
      count -= heldTrack.pieces.length;
      this.#options.lose(heldTrack.pieces.length);
      drop(heldTrack);
    }
  }
}

function newTrack(isDropped: boolean): HeldTrack {
  return { pieces: [], last: undefined, isDropped, isOver: false };
}

function drop(heldTrack: HeldTrack): void {
  heldTrack.isDropped = true;
  heldTrack.pieces = [];
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
