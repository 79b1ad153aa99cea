/**
 * Checks whether the pixels move with the box. A detector's box may jump between still objects or grow from a part to a
 * complete object. It may also appear where a shadow's edge or a hunting focus changed the picture. None of these is
 * driving.
 *
 * The present box is compared with an earlier picture, up to a second old, in which the same track was clearly
 * elsewhere. If an object has moved, both places have changed. The box now then resembles the earlier box more than the
 * same place before. Patches are normalised to mean 0 and length 1 (patch.ts), so gain and brightness have no effect. A
 * shadow's edge and a change of focus leave the texture in place.
 *
 * INVARIANTS: time is media time; results do not depend on which rules run.
 * LIMITS: vehicles and cycles only, which movement rules use. Six copies of the detector's picture of the last 1.2 s,
 * in memory only. Tracks that do not change place cost nothing.
 */
import { sameSize, type XyxyPx } from '../../contract/geometry.ts';
import { placementOf } from '../../contract/letterbox.ts';
import type { Frame, Track } from '../../contract/picture.ts';
import { FrameLuma, type LumaPicture, likeness, type Patch, patchOf } from './patch.ts';

/** Interval of the stored pictures: five times a second, as for all comparisons with earlier pictures. */
const EVERY_MS = 190;
/** Maximum age of the earlier picture, in ms. At walking pace a car moves by a third of its length in it. */
const BACK_MAX_MS = 1050;
const PICTURES_MAX = 6;
/**
 * Minimum distance of the two boxes, in sizes. The filtered box of a still object wanders by 0.05 of its size, and
 * jumps to a part of it and back by 0.15.
 */
const APART_SIZES = 0.2;
/** The same in pixels of the detector's input, for small boxes. */
const APART_PX = 2;
/**
 * Likeness from which a place is unchanged. Boxes that jump over still objects have a median of 0.85 to 1.0
 * (boulevard25, shopfront-focus, crosswalk, highway-320 at 5 frames a second); driving vehicles at most 0.55.
 */
const STILL_LIKENESS = 0.75;
/**
 * Minimum likeness of a moved object, and allowance for an inexact box. A driving vehicle resembles itself by 0.55 to
 * 0.95 (median of a track). The content of a jumping box resembles its earlier content by 0.1 to 0.5, and its own place
 * by more. A box error of a tenth of its size costs a tenth of likeness.
 */
const MOVED_LIKENESS = 0.25;
const BOX_ERROR_LIKENESS = 0.1;
/** Offsets at which the true earlier box is searched, in its sizes. */
const SEARCH = [0, -0.1, 0.1] as const;

interface Past {
  readonly atMs: number;
  readonly rgb: Uint8Array;
  readonly picture: LumaPicture;
  readonly boxes: ReadonlyMap<number, XyxyPx>;
}

/** Picture and box in which a track was elsewhere. */
interface EarlierPosition {
  readonly picture: LumaPicture;
  readonly box: XyxyPx;
}

export class PixelMotion {
  /** Oldest first. */
  #past: Past[] = [];

  /** Takes the next frame; returns the tracks whose pixels have moved with their boxes, up to this frame. */
  update(frame: Frame, tracks: readonly Track[]): ReadonlySet<number> {
    const { atMs, source } = frame;
    if (!sameSize(this.#past.at(-1)?.picture.source, source)) this.#past = [];
    const picture = new FrameLuma(frame);
    const scale = placementOf(source, frame.input).widthPx / source.widthPx;
    const moving = new Set<number>();
    const drivers = tracks.filter(isDriver);
    for (const track of drivers) {
      const then = track.seen ? this.#earlierPosition(track, APART_PX / scale, atMs) : undefined;
      if (then !== undefined && hasMoved(picture, track.xyxyPx, then.picture, then.box)) moving.add(track.id);
    }
    const newest = this.#past.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY;
    if (atMs - newest >= EVERY_MS) {
      const boxes = new Map(
        drivers.filter(({ seen: isSeen }) => isSeen).map(({ id, xyxyPx }) => [id, xyxyPx]),
      );
      // The oldest copy is overwritten; new ones would be 6 GB of garbage an hour.
      const oldest = this.#past.length < PICTURES_MAX ? undefined : this.#past.shift();
      const rgb = oldest?.rgb.length === frame.rgb.length ? oldest.rgb : new Uint8Array(frame.rgb.length);
      rgb.set(frame.rgb);
      const copy = { ...frame, rgb };
      this.#past.push({ atMs, rgb, picture: new FrameLuma(copy), boxes });
    }
    return moving;
  }

  /** Returns the newest picture in which the track was elsewhere. */
  #earlierPosition(
    { id, xyxyPx: now, before }: Track,
    apartPx: number,
    atMs: number,
  ): EarlierPosition | undefined {
    const least = Math.max(apartPx, APART_SIZES * Math.sqrt((now[2] - now[0]) * (now[3] - now[1])));
    for (let i = this.#past.length - 1; i >= 0; i -= 1) {
      const { atMs: thenMs, picture, boxes } = this.#past[i] as Past;
      if (atMs - thenMs > BACK_MAX_MS) return undefined;
      const box = boxes.get(id) ?? (before === undefined ? undefined : foundAt(before, thenMs));
      if (box === undefined || atMs - thenMs < EVERY_MS) continue;
      const way = Math.hypot(now[0] + now[2] - box[0] - box[2], now[1] + now[3] - box[1] - box[3]) / 2;
      if (way >= least) return { picture, box };
    }
    return undefined;
  }
}

function foundAt(before: NonNullable<Track['before']>, atMs: number): XyxyPx | undefined {
  for (const one of before) if (one.atMs === atMs) return one.xyxyPx;
  return undefined;
}

function isDriver({ group }: Track): boolean {
  return group === 'vehicle' || group === 'cycle';
}

function hasMoved(now: LumaPicture, box: XyxyPx, then: LumaPicture, boxThen: XyxyPx): boolean {
  const inBox = patchOf(now, box);
  const still = Math.max(
    alike(inBox, patchOf(then, box)),
    alike(patchOf(now, boxThen), patchOf(then, boxThen)),
  );
  if (still >= STILL_LIKENESS) return false;
  const least = Math.max(MOVED_LIKENESS, still - BOX_ERROR_LIKENESS);
  for (const dx of SEARCH) {
    for (const dy of SEARCH) if (alike(inBox, patchOf(then, shifted(boxThen, dx, dy))) >= least) return true;
  }
  return false;
}

/** Returns the likeness of two patches. If neither has contrast, a change is undetectable. */
function alike(a: Patch | undefined, b: Patch | undefined): number {
  if (a === undefined && b === undefined) return 1;
  return a === undefined || b === undefined ? 0 : likeness(a, b);
}

function shifted(box: XyxyPx, dx: number, dy: number): XyxyPx {
  const x = dx * (box[2] - box[0]);
  const y = dy * (box[3] - box[1]);
  return [box[0] + x, box[1] + y, box[2] + x, box[3] + y];
}
