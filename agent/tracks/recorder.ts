/**
 * Turns observations into rows of the log of tracks: each track, cut into pieces of at most ten minutes.
 *
 * INVARIANT: only classes of the authorisation's grade are recorded, and nothing outside its areas.
 * LIMITS: as many tracks as an observation has, and PIECE_MS of each in memory.
 */
import type { PointNorm } from '../contract/geometry.ts';
import type { Observation, ObservedTrack } from '../contract/observation.ts';
import { isInside, type Polygon } from '../contract/plane.ts';
import { type Colour, isKept, type TrackLogGrant } from '../contract/track-log.ts';
import { cellsOfPath } from './cells.ts';
import { encodePath, type PathPoint, simplified } from './path.ts';
import { longestStopS } from './stop.ts';

/** Longest absence with a known way in between: three frames at five a second. */
const UNSEEN_MS = 600;
/** Fewer sightings are a flicker of the detector. */
const SIGHTINGS_MIN = 3;
/** Longest piece, so that rows overlapping a time can be found by the starts of pieces alone. */
export const PIECE_MS = 600_000;

/** A piece of a track, for the store. */
export interface TrackPiece {
  readonly track: number;
  readonly label: ObservedTrack['label'];
  readonly colours: readonly Colour[];
  /** Best score of the detector, 0..1. */
  readonly score: number;
  /** Wall time, ms since the epoch. */
  readonly fromMs: number;
  readonly durationMs: number;
  readonly stopS: number;
  readonly cells: bigint;
  /** Times count from the whole tenth of a second before `fromMs`. */
  readonly path: Uint8Array;
  /** The track was stored before this piece began, from the same point on. */
  readonly continues: boolean;
  /** The track is stored after this piece, from the same point on. */
  readonly goesOn: boolean;
  /** It was there before or after, and that part is not stored. */
  readonly isCut: boolean;
}

export interface RecorderOptions {
  readonly grant: Pick<TrackLogGrant, 'grade' | 'zones'>;
  keep(piece: TrackPiece): void;
}

interface OpenTrack {
  readonly id: number;
  /** Newest sighting; label, scores and colours belong to the track. */
  latest: ObservedTrack;
  /** Wall time of media time 0, ms. */
  epochMs: number;
  points: PathPoint[];
  /** Sum of width / height of its boxes, in pixels. */
  shapes: number;
  sightings: number;
  staticFalsePositives: number;
  wasMissed: boolean;
  continues: boolean;
  isCut: boolean;
  aspect: number;
}

export class TrackRecorder {
  readonly #options: RecorderOptions;
  readonly #areas: readonly Polygon[] | undefined;
  readonly #open = new Map<number, OpenTrack>();
  readonly #counts = { flickers: 0, furniture: 0 };

  constructor(options: RecorderOptions) {
    this.#options = options;
    const { zones } = options.grant;
    this.#areas = zones === 'all' ? undefined : zones.map(({ polygon }) => polygon);
  }

  /** Tracks that were not stored, by reason, since the start. */
  get counts(): Readonly<{ flickers: number; furniture: number }> {
    return this.#counts;
  }

  observe(observation: Observation): void {
    const { grade } = this.#options.grant;
    const present = new Set<number>();
    for (const track of observation.tracks) {
      if (!isKept(grade, track.label)) continue;
      present.add(track.id);
      this.#follow(track, observation);
    }
    for (const [id, open] of this.#open) {
      if (present.has(id)) continue;
      this.#open.delete(id);
      this.#close(open, false);
    }
  }

  /** Hands over open tracks as continuing pieces, for a flush. */
  cutOpenTracks(): void {
    for (const open of this.#open.values()) this.#cutTrack(open);
  }

  /** Ends all tracks, because the following time is not observed. */
  end(): void {
    for (const [id, open] of this.#open) {
      open.isCut = true;
      this.#close(open, false);
      this.#open.delete(id);
    }
  }

  #follow(track: ObservedTrack, { atMs, wallMs, source }: Observation): void {
    let open = this.#open.get(track.id);
    if (open === undefined) {
      open = newTrack(track, wallMs - atMs, source.widthPx / source.heightPx);
      this.#open.set(track.id, open);
      for (const { atMs: beforeMs, xyxyNorm: box } of track.before ?? [])
        this.#add(open, beforeMs, [(box[0] + box[2]) / 2, box[3]], box[3] - box[1]);
    }
    open.latest = track;
    if (track.furniture) open.staticFalsePositives += 1;
    if (!track.seen) {
      open.wasMissed = true;
      return;
    }
    open.sightings += 1;
    const [x1, y1, x2, y2] = track.xyxyNorm;
    open.shapes += ((x2 - x1) * open.aspect) / Math.max(1 / source.heightPx, y2 - y1);
    this.#add(open, atMs, track.ground, y2 - y1);
    const first = open.points[0];
    if (first !== undefined && atMs - first.atMs >= PIECE_MS) this.#cutTrack(open);
  }

  #add(open: OpenTrack, atMs: number, [x, y]: PointNorm, height: number): void {
    const last = open.points.at(-1);
    const isSeen = !(open.wasMissed && last !== undefined && atMs - last.atMs > UNSEEN_MS);
    open.wasMissed = false;
    const point = { atMs, x, y, height, wasSeen: isSeen };
    if (this.#areas !== undefined && !this.#areas.some((polygon) => isInside(polygon, [x, y]))) {
      // The part outside the areas is not stored.
      if (last !== undefined) this.#close(open, false, true);
      open.isCut = true;
      return;
    }
    if (last !== undefined && isSame(last, point) && isSame(open.points.at(-2), point)) open.points.pop();
    open.points.push(point);
  }

  #cutTrack(open: OpenTrack): void {
    const last = open.points.at(-1);
    if (last === undefined || open.points.length < 2 || open.sightings < SIGHTINGS_MIN) return;
    // A static false positive may still turn out to be a real stopped object, so only its last place is kept.
    if (isStaticFalsePositive(open)) open.isCut = true;
    else this.#close(open, true);
    open.continues = !isStaticFalsePositive(open);
    open.points = [{ ...last, wasSeen: true }];
  }

  /** `leaves`: it is still there, outside the areas. */
  #close(open: OpenTrack, goesOn: boolean, leaves = false): void {
    const { points, latest, id, epochMs, aspect, sightings, continues, isCut } = open;
    const [first, last] = [points[0], points.at(-1)];
    open.points = [];
    open.continues = false;
    open.isCut = false;
    if (first === undefined || last === undefined) return;
    if (!continues && isStaticFalsePositive(open)) this.#counts.furniture += 1;
    else if (!continues && (sightings < SIGHTINGS_MIN || points.length < 2)) this.#counts.flickers += 1;
    else {
      const path = simplified(points, aspect);
      const fromMs = epochMs + first.atMs;
      this.#options.keep({
        track: id,
        label: latest.label,
        colours: latest.colours ?? [],
        score: latest.bestScore,
        fromMs,
        durationMs: last.atMs - first.atMs,
        stopS: longestStopS(path, aspect),
        cells: cellsOfPath(path),
        path: encodePath(
          path,
          Math.floor(fromMs / 100) * 100 - epochMs,
          open.shapes / Math.max(1, sightings),
        ),
        continues,
        goesOn,
        isCut: isCut || leaves,
      });
    }
  }
}

function newTrack(latest: ObservedTrack, epochMs: number, aspect: number): OpenTrack {
  return {
    id: latest.id,
    latest,
    epochMs,
    aspect,
    points: [],
    shapes: 0,
    sightings: 0,
    staticFalsePositives: 0,
    wasMissed: false,
    continues: false,
    isCut: false,
  };
}

/** True if it was a static false positive for most of its time. */
const isStaticFalsePositive = ({ staticFalsePositives, sightings }: OpenTrack): boolean =>
  staticFalsePositives * 2 > sightings;

const isSame = (a: PathPoint | undefined, b: PathPoint): boolean =>
  a?.wasSeen === true && b.wasSeen && a.x === b.x && a.y === b.y && a.height === b.height;
