/**
 * Tracks static false positives: fixed objects that the detector repeatedly reports as a person or vehicle, such as a
 * kiosk or a post. Their boxes are weak and come and go, over the same picture each time.
 *
 * A track is noted with its place and its picture (patch.ts) if it ends without a high score, without motion and over
 * an unchanged picture. A place that was noted `NOTED_MIN` times is a static false positive. A track that begins there
 * over the same picture is marked until it moves, scores high or its picture changes. A person in front of the post is
 * another picture.
 *
 * INVARIANTS:
 * - A cleared track stays cleared.
 * - Time is media time; only places are stored.
 * LIMITS: 128 places in memory, the weakest is removed first (counted). A note counts half after `HALF_LIFE_MS`.
 */
import { iou, type XyxyPx } from '../../contract/geometry.ts';
import type { Group } from '../../contract/label.ts';
import type { Frame, Track } from '../../contract/picture.ts';
import { blend, FrameLuma, type LumaPicture, likeness, type Patch, patchOf } from './patch.ts';

const PLACES_MAX = 128;
/**
 * Notes required. A real object is found weakly, lost and found again once or twice by chance (a lapse of the
 * detector).
 */
const NOTED_MIN = 3;
/**
 * Minimum time between two notes, in ms. An earlier one is the same lapse; the rules remember lost tracks for as long.
 */
const AGAIN_MS = 10_000;
/** Half-life of a note, in ms: those of a day are known in the evening and mostly forgotten after a week. */
const HALF_LIFE_MS = 24 * 3_600_000;
/** Minimum overlap (IoU) of boxes of one still object, which overlap by 0.6 and more. */
const SAME_BOX_IOU_MIN = 0.5;
/** Minimum likeness of a place's picture. In other light it is above 0.6, with an object in front below 0.3. */
const SAME_PICTURE_MIN = 0.6;
/** Minimum likeness within one track. The light is nearly the same, and living beings shift their weight. */
const STILL_PICTURE_MIN = 0.8;
/** Interval of comparing the picture, in ms. */
const CHECK_EVERY_MS = 1000;
/**
 * Score from which a track is certain. Of walking people, 95 of 100 tracks reach 0.7 (PETS09, TUD). Of driving
 * vehicles, three of four reach 0.5 (boulevard25, crosswalk, car-detection, highway-320 at 5 frames a second). Vehicles
 * seen in a shop front had at most 0.43.
 */
const SURE_SCORE: Readonly<Record<Group, number>> = {
  person: 0.7,
  vehicle: 0.5,
  cycle: 0.6,
  animal: 0.7,
  bag: 0.7,
};
const MARK_BLEND = 0.3;

interface Lifetime {
  readonly group: Group;
  readonly box: XyxyPx;
  readonly patch: Patch | undefined;
  /** True while it has neither moved nor scored high, over the same picture. */
  still: boolean;
  readonly marked: boolean;
  checkedMs: number;
  lastMs: number;
}

interface Place {
  readonly group: Group;
  readonly box: XyxyPx;
  patch: Patch;
  /** Notes, as of `notedMs`. */
  notes: number;
  notedMs: number;
}

export class StaticFalsePositives {
  #lifetimes = new Map<number, Lifetime>();
  #places: Place[] = [];
  #droppedPlaces = 0;

  /** Places that were removed because there were too many. */
  get droppedPlaces(): number {
    return this.#droppedPlaces;
  }

  /** Takes the next frame's tracks and the tracks whose pixels move; returns those that are static false positives. */
  update(frame: Frame, tracks: readonly Track[], moving: ReadonlySet<number>): ReadonlySet<number> {
    const { atMs } = frame;
    const picture = new FrameLuma(frame);
    const lifetimes = new Map<number, Lifetime>();
    const marked = new Set<number>();
    for (const track of tracks) {
      const lifetime = this.#lifetimes.get(track.id) ?? this.#begin(track, picture, atMs);
      lifetimes.set(track.id, lifetime);
      if (track.seen) follow(lifetime, track, moving, picture, atMs);
      if (lifetime.marked && lifetime.still) marked.add(track.id);
    }
    for (const [id, lifetime] of this.#lifetimes) if (!lifetimes.has(id)) this.#note(lifetime);
    this.#lifetimes = lifetimes;
    return marked;
  }

  #begin({ group, xyxyPx }: Track, picture: LumaPicture, atMs: number): Lifetime {
    const patch = patchOf(picture, xyxyPx);
    const place = patch && this.#placeOf(group, xyxyPx, patch);
    const marked = place !== undefined && notesOf(place, atMs) >= NOTED_MIN - 0.5;
    return { group, box: xyxyPx, patch, still: true, marked, checkedMs: atMs, lastMs: atMs };
  }

  #placeOf(group: Group, box: XyxyPx, patch: Patch): Place | undefined {
    return this.#places.find(
      (place) =>
        place.group === group &&
        iou(place.box, box) >= SAME_BOX_IOU_MIN &&
        likeness(place.patch, patch) >= SAME_PICTURE_MIN,
    );
  }

  #note({ group, box, patch, still, lastMs }: Lifetime): void {
    if (!still || patch === undefined) return;
    const place = this.#placeOf(group, box, patch);
    if (place !== undefined) {
      if (lastMs - place.notedMs < AGAIN_MS) return;
      place.notes = notesOf(place, lastMs) + 1;
      place.notedMs = lastMs;
      place.patch = blend(place.patch, patch, MARK_BLEND);
      return;
    }
    if (this.#places.length >= PLACES_MAX) {
      const weakest = [...this.#places].sort((a, b) => notesOf(a, lastMs) - notesOf(b, lastMs))[0];
      this.#places = this.#places.filter((other) => other !== weakest);
      this.#droppedPlaces += 1;
    }
    this.#places.push({ group, box, patch, notes: 1, notedMs: lastMs });
  }
}

function follow(
  lifetime: Lifetime,
  { id, bestScore, group, xyxyPx }: Track,
  moving: ReadonlySet<number>,
  picture: LumaPicture,
  atMs: number,
): void {
  lifetime.lastMs = atMs;
  if (!lifetime.still) return;
  if (moving.has(id) || bestScore >= SURE_SCORE[group]) lifetime.still = false;
  if (atMs - lifetime.checkedMs < CHECK_EVERY_MS) return;
  lifetime.checkedMs = atMs;
  const now = patchOf(picture, lifetime.box);
  if (iou(lifetime.box, xyxyPx) < SAME_BOX_IOU_MIN) lifetime.still = false;
  if (
    lifetime.patch !== undefined &&
    (now === undefined || likeness(lifetime.patch, now) < STILL_PICTURE_MIN)
  ) {
    lifetime.still = false;
  }
}

function notesOf({ notes, notedMs }: Place, atMs: number): number {
  return notes * 0.5 ** ((atMs - notedMs) / HALF_LIFE_MS);
}
