/**
 * Determines whether a vehicle came to its place while the box watched, or was there before. The evidence is pictures
 * of the last minute and the start of the vehicles' tracks.
 *
 * The first picture alone does not define the street, because a person may have been in front of it. In the first
 * seconds, only a vehicle that was followed in has come. It must also be absent from the first picture, since a track
 * may jump onto a parked vehicle.
 *
 * INVARIANTS: a vehicle from before the first detector run, or before the view came back, is `unseen`. LIMITS, all in
 * memory:
 * - Twelve luma pictures of the last minute and the first one.
 * - The boxes of vehicles that drove off, for as long.
 * - The starts of 512 tracks, and 64 places of vehicles of which no arrival was seen; the oldest is removed first.
 */
import { iou, type XyxyPx } from '../../contract/geometry.ts';
import { BREAK_MAX_MS, type StationaryVehicle } from '../../contract/observation.ts';
import type { Track } from '../../contract/picture.ts';
import { KeptLuma, type LumaPicture, likeness, patchOf } from './patch.ts';
import { distanceSizes, type Place, SAME_BOX_IOU_MIN } from './stationary-place.ts';

/** Interval of the pictures in ms, and their number: the place's appearance in the last minute. */
const HISTORY_EVERY_MS = 5000;
const HISTORY_MAX = 12;
/** Minimum age of a picture that can show the place without the vehicle, in ms; the vehicle was not near yet. */
const HISTORY_BEFORE_MS = 2000;
/** Time until there are two pictures from before a vehicle came, in ms. */
const HISTORY_READY_MS = HISTORY_EVERY_MS + HISTORY_BEFORE_MS;
/** Minimum correlation of the same vehicle. Street surface and car have below 0.3, a car in other light above 0.6. */
export const LIKENESS_MIN = 0.5;
/**
 * Distance of a track's start from which it came in, in sizes of the box. A jump from part of a car to all of it is
 * shorter.
 */
const CAME_SIZES = 1;
const TRACKS_MAX = 512;
/** Same as the number of places. */
const UNSEEN_MAX = 64;

/** Track of a vehicle: box and time of its start, and its best score. */
interface TrackStart {
  readonly box: XyxyPx;
  readonly atMs: number;
  score: number;
}

type StoredPicture = { readonly atMs: number; readonly picture: LumaPicture };

export class VehicleArrivals {
  #history: StoredPicture[] = [];
  /** First picture of the present view. */
  #first: StoredPicture | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;
  /** Vehicles that were seen to drive off. Pictures from their time at the place show them, not another vehicle. */
  #departures: { readonly box: XyxyPx; readonly fromMs: number; readonly toMs: number }[] = [];
  readonly #tracks = new Map<number, TrackStart>();
  /** Places of vehicles of unseen arrival whose appearance has changed. */
  #unseenBefore: XyxyPx[] = [];

  /** Forgets everything, because earlier pictures do not apply to later ones. */
  forget(): void {
    this.#history = [];
    this.#first = undefined;
    this.#departures = [];
    this.#tracks.clear();
    this.#unseenBefore = [];
  }

  /** Records where tracks of vehicles begin. To be called before places are evaluated. */
  begin(picture: LumaPicture, tracks: readonly Track[], atMs: number): void {
    const last = this.#history.at(-1);
    const resized = last !== undefined && last.picture.source.widthPx !== picture.source.widthPx;
    if (resized || atMs - this.#lastMs > BREAK_MAX_MS) this.forget();
    this.#lastMs = atMs;
    for (const { id, xyxyPx: box, score } of tracks) {
      const entry = this.#tracks.get(id);
      if (entry === undefined) this.#tracks.set(id, { box, atMs, score });
      else entry.score = Math.max(entry.score, score);
    }
    for (const id of this.#tracks.keys()) {
      if (this.#tracks.size <= TRACKS_MAX) break;
      this.#tracks.delete(id);
    }
  }

  /** Stores the picture. To be called after places are evaluated. */
  keep(picture: LumaPicture, atMs: number): void {
    const last = this.#history.at(-1);
    if (last !== undefined && atMs - last.atMs < HISTORY_EVERY_MS) return;
    const entry = { atMs, picture: new KeptLuma(picture) };
    this.#first ??= entry;
    this.#history = [...this.#history.slice(1 - HISTORY_MAX), entry];
    const oldestMs = this.#history[0]?.atMs ?? atMs;
    this.#departures = this.#departures.filter(({ toMs }) => toMs >= oldestMs);
  }

  /** Returns the best score of a track, 0 for an unknown one. */
  bestOf(track: number): number {
    return this.#tracks.get(track)?.score ?? 0;
  }

  /** Records that a vehicle of unseen arrival looks different: it has left, or its light has changed. */
  changes({ box }: Place): void {
    this.#unseenBefore = [...this.#unseenBefore.slice(1 - UNSEEN_MAX), box];
  }

  /** Records that a confirmed vehicle was seen to drive off. */
  leaves({ box, sinceMs }: Place, atMs: number): void {
    this.#departures.push({ box, fromMs: sinceMs, toMs: atMs });
  }

  /** Returns how a vehicle came; undefined if that is unknown, so it belongs to the scene. */
  of(place: Place): StationaryVehicle['arrival'] | undefined {
    const { box, sinceMs, patch } = place;
    const firstMs = this.#first?.atMs ?? sinceMs;
    const before = this.#before(place);
    const unlike = patch !== undefined && before.every((picture) => !isLike(place, picture));
    const cameIn = this.#cameIn(place);
    const stoodBefore = this.#unseenBefore.some((other) => iou(other, box) >= SAME_BOX_IOU_MIN);
    // A track that jumps onto a parked vehicle also seems to have come in. Without a picture from before, the first one
    // decides.
    if (cameIn && before.length === 0 && this.#isInFirstPicture(place)) return 'unseen';
    if (!cameIn && (stoodBefore || this.#bornMs(place) - firstMs < HISTORY_READY_MS)) return 'unseen';
    if (unlike && cameIn) return 'followed';
    if (unlike && before.length > 0) return 'appeared';
    return this.#isInFirstPicture(place) ? 'unseen' : undefined;
  }

  /** Reports whether the first picture already shows it, and no other vehicle has driven off from there. */
  #isInFirstPicture(place: Place): boolean {
    const hasDeparture = this.#departures.some((other) => iou(other.box, place.box) >= SAME_BOX_IOU_MIN);
    return !hasDeparture && this.#first !== undefined && isLike(place, this.#first);
  }

  /** Returns the pictures from before the vehicle came, except those that show another one there. */
  #before({ box, sinceMs }: Place): StoredPicture[] {
    const departures = this.#departures.filter((other) => iou(other.box, box) >= SAME_BOX_IOU_MIN);
    return this.#history.filter(
      ({ atMs }) =>
        atMs <= sinceMs - HISTORY_BEFORE_MS &&
        !departures.some(({ fromMs, toMs }) => atMs >= fromMs && atMs <= toMs),
    );
  }

  #cameIn({ track, box }: Place): boolean {
    const beginning = this.#tracks.get(track);
    return beginning !== undefined && distanceSizes(box, beginning.box) >= CAME_SIZES;
  }

  /** Reports whether the track that is seen here now was here in the first seconds. */
  wasThere(place: Place): boolean {
    const firstMs = this.#first?.atMs ?? place.sinceMs;
    return !this.#cameIn(place) && this.#bornMs(place) - firstMs < HISTORY_READY_MS;
  }

  /** Returns when a vehicle was first detected here; a track that did not come in was here at its start. */
  #bornMs({ track, bornMs }: Place): number {
    return Math.min(bornMs, this.#tracks.get(track)?.atMs ?? bornMs);
  }
}

function isLike({ box, patch }: Place, { picture }: StoredPicture): boolean {
  const then = patchOf(picture, box);
  return patch !== undefined && then !== undefined && likeness(patch, then) >= LIKENESS_MIN;
}
