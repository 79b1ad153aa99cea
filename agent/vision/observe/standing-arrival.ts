/**
 * Did a vehicle come to its place while the box looked, or did it stand there before? What the places looked like in
 * the last minute answers, and where the tracks of vehicles began. A street is not known by its first picture alone,
 * before which somebody may have walked: in the first seconds only who was followed in has come, and is not in the first
 * picture, since a track may jump upon what stands.
 *
 * INVARIANTS: what began before the first look, or before the view came back, is `unseen`.
 * LIMITS: twelve luma pictures of the last minute and the first one, in memory only, and as long the boxes of vehicles
 * that have driven off; the beginnings of 512 tracks and 64 places of vehicles that nobody saw come, the oldest goes
 * first.
 */
import { iou, type XyxyPx } from '../../contract/geometry.ts';
import { BREAK_MAX_MS, type StandingVehicle } from '../../contract/observation.ts';
import type { Track } from '../../contract/picture.ts';
import { KeptLuma, type LumaPicture, likeness, patchOf } from './patch.ts';
import { distanceSizes, type Place, SAME_BOX_IOU_MIN } from './standing-place.ts';

/** One picture in so long, for twelve such spans: what the place looked like in the last minute. */
const HISTORY_EVERY_MS = 5000;
const HISTORY_MAX = 12;
/** The youngest picture that can show the place without the vehicle: it had not come near yet. */
const HISTORY_BEFORE_MS = 2000;
/** Until there are two pictures from before a vehicle came. */
const FIRST_LOOK_MS = HISTORY_EVERY_MS + HISTORY_BEFORE_MS;
/** Street surface against a car correlates below 0.3, a car against itself in other light above 0.6. */
export const LIKENESS_MIN = 0.5;
/** A track that began so far off, in sizes of the box, came in: a jump from a part of a car to the whole is shorter. */
const CAME_SIZES = 1;
const TRACKS_MAX = 512;
/** As many as there are places. */
const UNSEEN_MAX = 64;

/** A vehicle's track: where and when it began, and its best score. */
interface Followed {
  readonly box: XyxyPx;
  readonly atMs: number;
  score: number;
}

type Kept = { readonly atMs: number; readonly picture: LumaPicture };

export class StandingArrivals {
  #history: Kept[] = [];
  /** Of the view as it is: what the box looked at first. */
  #first: Kept | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;
  /** Vehicles that were seen to drive off: pictures of the time in which they stood show them and no other. */
  #gone: { readonly box: XyxyPx; readonly fromMs: number; readonly toMs: number }[] = [];
  readonly #tracks = new Map<number, Followed>();
  /** Where something stood unseen to come and does not look as it did. */
  #unseenBefore: XyxyPx[] = [];

  /** What was seen before says nothing of what is seen from now on. */
  forget(): void {
    this.#history = [];
    this.#first = undefined;
    this.#gone = [];
    this.#tracks.clear();
    this.#unseenBefore = [];
  }

  /** Before places are judged: where the vehicles' tracks begin. */
  begin(picture: LumaPicture, tracks: readonly Track[], atMs: number): void {
    const last = this.#history.at(-1);
    const resized = last !== undefined && last.picture.source.widthPx !== picture.source.widthPx;
    if (resized || atMs - this.#lastMs > BREAK_MAX_MS) this.forget();
    this.#lastMs = atMs;
    for (const { id, xyxyPx: box, score } of tracks) {
      const known = this.#tracks.get(id);
      if (known === undefined) this.#tracks.set(id, { box, atMs, score });
      else known.score = Math.max(known.score, score);
    }
    for (const id of this.#tracks.keys()) {
      if (this.#tracks.size <= TRACKS_MAX) break;
      this.#tracks.delete(id);
    }
  }

  /** After places are judged. */
  keep(picture: LumaPicture, atMs: number): void {
    const last = this.#history.at(-1);
    if (last !== undefined && atMs - last.atMs < HISTORY_EVERY_MS) return;
    const kept = { atMs, picture: new KeptLuma(picture) };
    this.#first ??= kept;
    this.#history = [...this.#history.slice(1 - HISTORY_MAX), kept];
    const oldestMs = this.#history[0]?.atMs ?? atMs;
    this.#gone = this.#gone.filter(({ toMs }) => toMs >= oldestMs);
  }

  /** The best score that a track has had, 0 for one that is not known. */
  bestOf(track: number): number {
    return this.#tracks.get(track)?.score ?? 0;
  }

  /** A vehicle that was not seen to come does not look as it did: it has gone, or its light has changed. */
  changes({ box }: Place): void {
    this.#unseenBefore = [...this.#unseenBefore.slice(1 - UNSEEN_MAX), box];
  }

  /** A confirmed vehicle was seen to drive off. */
  leaves({ box, sinceMs }: Place, atMs: number): void {
    this.#gone.push({ box, fromMs: sinceMs, toMs: atMs });
  }

  /** How it came; undefined where that cannot be told: it belongs to the scene. */
  of(place: Place): StandingVehicle['arrival'] | undefined {
    const { box, sinceMs, patch } = place;
    const firstMs = this.#first?.atMs ?? sinceMs;
    const before = this.#before(place);
    const unlike = patch !== undefined && before.every((kept) => !isLike(place, kept));
    const cameIn = this.#cameIn(place);
    const stoodBefore = this.#unseenBefore.some((other) => iou(other, box) >= SAME_BOX_IOU_MIN);
    // A track that jumps upon what stands has come in as well; without a picture from before, the first one decides.
    if (cameIn && before.length === 0 && this.#isInFirstPicture(place)) return 'unseen';
    if (!cameIn && (stoodBefore || this.#bornMs(place) - firstMs < FIRST_LOOK_MS)) return 'unseen';
    if (unlike && cameIn) return 'followed';
    if (unlike && before.length > 0) return 'appeared';
    return this.#isInFirstPicture(place) ? 'unseen' : undefined;
  }

  /** It stands there in the first picture already, and no other has driven off from there. */
  #isInFirstPicture(place: Place): boolean {
    const gone = this.#gone.some((other) => iou(other.box, place.box) >= SAME_BOX_IOU_MIN);
    return !gone && this.#first !== undefined && isLike(place, this.#first);
  }

  /** Pictures from before the vehicle came, without those that show another one there. */
  #before({ box, sinceMs }: Place): Kept[] {
    const gone = this.#gone.filter((other) => iou(other.box, box) >= SAME_BOX_IOU_MIN);
    return this.#history.filter(
      ({ atMs }) =>
        atMs <= sinceMs - HISTORY_BEFORE_MS &&
        !gone.some(({ fromMs, toMs }) => atMs >= fromMs && atMs <= toMs),
    );
  }

  #cameIn({ track, box }: Place): boolean {
    const beginning = this.#tracks.get(track);
    return beginning !== undefined && distanceSizes(box, beginning.box) >= CAME_SIZES;
  }

  /** The track that is seen here now was here in the first seconds. */
  wasThere(place: Place): boolean {
    const firstMs = this.#first?.atMs ?? place.sinceMs;
    return !this.#cameIn(place) && this.#bornMs(place) - firstMs < FIRST_LOOK_MS;
  }

  /** When a vehicle was first found here: a track that did not come in was here when it began. */
  #bornMs({ track, bornMs }: Place): number {
    return Math.min(bornMs, this.#tracks.get(track)?.atMs ?? bornMs);
  }
}

function isLike({ box, patch }: Place, { picture }: Kept): boolean {
  const then = patchOf(picture, box);
  return patch !== undefined && then !== undefined && likeness(patch, then) >= LIKENESS_MIN;
}
