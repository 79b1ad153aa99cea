/**
 * Finds what has changed in the picture for good, tells what kind of change it is, and who was there:
 *
 *   Frame ─▶ small picture ─▶ background (two speeds) ─▶ static regions ─▶ with carriers ─▶ StaticRegion[]
 *
 * The result is facts; the small picture and the background live in vision's memory and nowhere else.
 *
 * INVARIANTS: time is media time, so results do not depend on the frame rate (3 to 30 a second);
 * a region keeps its id for as long as it stands.
 * LIMITS: the background is brought up to date at most every `TICK_MS`; 32 regions are followed.
 */
import type { ZoneConfig } from '../../contract/config.ts';
import { iou, type SizePx, sameSize, type XyxyPx } from '../../contract/geometry.ts';
import type { StaticRegion } from '../../contract/observation.ts';
import type { Detection, Frame, Track } from '../../contract/picture.ts';
import { Background } from './background.ts';
import { BESIDE, COVERED } from './background-state.ts';
import { type Attendant, carrierOf, follow, isAttended, lastLeftMs, Presence, people } from './carrier.ts';
import { isInside } from './geometry.ts';
import { type Grid, SmallPicture } from './small-picture.ts';
import { type Region, StaticRegions } from './static-region.ts';

/** 5 Hz of media time: what stands for seconds needs no more, and cost stays the same at 30 frames a second. */
const TICK_MS = 190;
/** Regions are looked for, and what is said of them is brought up to date, twice a second. */
const LOOK_MS = 500;
/** A cell rests for this long before it is called changed; the rest of a thing's cells follow within that. */
const SETTLED_MS = 1500;
/** A kind of change must have been the same for so many looks before it is acted on. */
const LIGHT_LOOKS = 3;
const REMOVED_LOOKS = 6;
const REPORTED_LOOKS = 2;
/**
 * Mean difference of colour that makes a change worth telling, levels: automatic exposure and a codec leave
 * up to 10 behind, and a sheet of paper moved on a white table makes 15.
 */
const REPORTED_LEVELS = 20;
/** A change that nobody brought becomes ground after this: a leaf, a poster, a switched-off sign. */
const UNCARRIED_MS = 60_000;
/** Nothing is remembered for longer than a day. */
const CARRIED_MS = 86_400_000;
/** More of the picture than this does not change by people's hands within a moment: the camera or the light did. */
const RELEARN_SHARE = 0.25;
const RELEARN_MS = 10_000;
/** A track that is not seen may still cover its place for so long (half of the tracker's memory). */
const COVERS_MS = 1000;
/** Shadows, sleeves and reflections of somebody reach so far beyond his box, in its heights. */
const BESIDE_SHARE = 0.3;
/** The outline of a thing taken away is weaker than this share of what it was. */
const OUTLINE_GONE = 0.4;
/** A region that overlaps so much with where a person was lost is that person. */
const BODY_IOU = 0.25;
/** … and one so far inside of where a vehicle was lost, and no smaller than this part of it, is a part of it. */
const PART_INSIDE = 0.6;
const PART_SIZE = 0.15;
/** A detection counts as a hint that somebody stands there from the tracker's high score on: below, bags pass for people. */
const HINT_SCORE = 0.4;
/** … when there is one in so many of the frames. */
const HINT_SHARE = 0.3;
const HINT_MS = 3000;
/** Stills of a quiet street are kept so far apart, to show later what a place looked like before. */
const QUIET_MS = 10_000;
/** Without one, the still of so long before the change is taken. */
const BEFORE_MS = 3000;
const PINNED_REGIONS_MAX = 16;

interface Followed {
  /** The still that shows the place as it was; chosen when the region is found, and pinned from then on. */
  readonly beforeMs: number;
  attendants: Attendant[];
  /** Nobody was there any more: whoever comes now has nothing to do with it. */
  closed: boolean;
  told: boolean;
  /** Running share of frames in which the detector saw somebody in its place. */
  hinted: number;
}

export interface SceneOptions {
  readonly zones: readonly ZoneConfig[];
}

export class SceneObserver {
  readonly #options: SceneOptions;
  readonly #presence = new Presence();
  readonly #followed = new Map<number, Followed>();
  #source: SizePx | undefined;
  #background: Background | undefined;
  #regions: StaticRegions | undefined;
  #tickMs: number | undefined;
  #lookMs = 0;
  #quietMs: number[] = [];
  #reported: StaticRegion[] = [];
  /** Of the models of former sizes of the picture. */
  #droppedBefore = 0;

  constructor(options: SceneOptions) {
    this.#options = options;
  }

  /** Regions that were not followed because there were too many, and places of tracks that were not remembered. */
  get dropped(): { readonly regions: number; readonly places: number } {
    return {
      regions: this.#droppedBefore + (this.#regions?.dropped ?? 0),
      places: this.#presence.dropped,
    };
  }

  /** Media times whose stills are still needed as evidence; all others may be let go. At most 34. */
  get pinnedMs(): readonly number[] {
    const carried = this.#reported
      .filter(({ carrier }) => carrier !== undefined)
      .slice(0, PINNED_REGIONS_MAX);
    return [...this.#quietMs, ...carried.flatMap(({ beforeMs, firstMs }) => [beforeMs, firstMs])];
  }

  /** Takes the next frame with its tracks and detections; returns all static regions that stand. */
  update(frame: Frame, tracks: readonly Track[], detections: readonly Detection[]): StaticRegion[] {
    if (this.#options.zones.length === 0) return this.#reported;
    const { atMs } = frame;
    if (this.#tickMs !== undefined && atMs - this.#tickMs < TICK_MS) return this.#reported;
    const elapsedMs = atMs - (this.#tickMs ?? atMs);
    this.#tickMs = atMs;
    const { background, regions } = this.#models(frame);
    background.picture.read(frame);
    this.#cover(background, tracks, atMs);
    background.update(atMs);
    this.#presence.remember(atMs, tracks);
    if (tracks.length === 0) this.#noteQuiet(atMs);
    for (const [id, region] of regions.followed) {
      this.#attend(region, this.#followed.get(id), tracks, detections, elapsedMs, atMs);
    }
    if (atMs - this.#lookMs >= LOOK_MS) {
      this.#lookMs = atMs;
      this.#look(background, regions, atMs);
      this.#reported = this.#report(regions, atMs);
    }
    return this.#reported;
  }

  /** Made anew when the source changes its size: nothing of the old picture fits. */
  #models(frame: Frame): { background: Background; regions: StaticRegions } {
    const { source } = frame;
    const same = sameSize(this.#source, source);
    if (same && this.#background !== undefined && this.#regions !== undefined) {
      return { background: this.#background, regions: this.#regions };
    }
    const zones = this.#options.zones.map(({ polygon }) => polygon);
    const picture = new SmallPicture(frame, zones);
    const background = new Background(picture);
    const regions = new StaticRegions(background);
    this.#source = source;
    this.#background = background;
    this.#droppedBefore += this.#regions?.dropped ?? 0;
    this.#regions = regions;
    this.#followed.clear();
    return { background, regions };
  }

  /** Marks the cells before which somebody stands, and those beside him. */
  #cover({ covered, picture }: Background, tracks: readonly Track[], atMs: number): void {
    covered.fill(0);
    for (const pass of [BESIDE, COVERED]) {
      for (const { xyxyPx, group, lastMs } of tracks) {
        if (group === 'bag' || atMs - lastMs > COVERS_MS) continue;
        const [x1, y1, x2, y2] = xyxyPx;
        if (pass === BESIDE && group === 'vehicle') continue;
        const margin = pass === BESIDE ? BESIDE_SHARE * (y2 - y1) : 0;
        fillBox(covered, picture.grid, [x1 - margin, y1 - margin, x2 + margin, y2 + margin], pass);
      }
    }
  }

  #noteQuiet(atMs: number): void {
    const last = this.#quietMs.at(-1);
    if (last !== undefined && atMs - last < QUIET_MS) return;
    this.#quietMs = [...this.#quietMs.slice(-1), atMs];
  }

  #attend(
    region: Region,
    followed: Followed | undefined,
    tracks: readonly Track[],
    detections: readonly Detection[],
    elapsedMs: number,
    atMs: number,
  ): void {
    if (followed === undefined) return;
    const place = this.#placePx(region);
    follow(followed.attendants, place, tracks, atMs);
    const hint = detections.some(
      ({ group, score, xyxyPx }) =>
        group !== 'bag' &&
        score >= HINT_SCORE &&
        (iou(place, xyxyPx) >= BODY_IOU || (group === 'vehicle' && isPart(place, xyxyPx))),
    );
    followed.hinted += (1 - Math.exp(-elapsedMs / HINT_MS)) * ((hint ? 1 : 0) - followed.hinted);
  }

  #look(background: Background, regions: StaticRegions, atMs: number): void {
    if (background.changedCells > RELEARN_SHARE * background.picture.grid.used.length) {
      regions.relearn(atMs - RELEARN_MS);
    }
    for (const region of regions.look(atMs))
      this.#followed.set(region.id, {
        beforeMs: this.#beforeMs(region),
        attendants: [],
        hinted: 0,
        closed: false,
        told: false,
      });
    for (const region of [...regions.followed.values()]) {
      const followed = this.#followed.get(region.id);
      if (followed === undefined) continue;
      const growing = atMs - Math.max(region.foundMs, region.grownMs) < LOOK_MS + SETTLED_MS;
      if (growing && !followed.closed) this.#findAttendants(region, followed);
      if (this.#isOver(regions, region, followed, atMs)) regions.absorb(region);
    }
    for (const id of this.#followed.keys()) if (!regions.followed.has(id)) this.#followed.delete(id);
  }

  #findAttendants(region: Region, followed: Followed): void {
    for (const found of this.#presence.beside(
      this.#placePx(region),
      region.firstMs,
      region.grownMs,
      Math.max(region.foundMs, region.grownMs),
    )) {
      const known = followed.attendants.find(({ track }) => track === found.track);
      if (known === undefined) followed.attendants.push(found);
      else {
        known.besideMs = found.besideMs;
        known.nearest = found.nearest;
      }
    }
  }

  #isOver(regions: StaticRegions, region: Region, followed: Followed, atMs: number): boolean {
    const { kind, looks, grownMs, firstMs, outline } = region;
    // What changes beside somebody is decided when he has gone: he may be part of it.
    const attendants = people(followed.attendants, this.#placePx(region), firstMs);
    if (isAttended(attendants, atMs)) return false;
    if (atMs - region.foundMs >= SETTLED_MS) followed.closed = true;
    regions.decide(region);
    if (kind === 'light' && looks >= LIGHT_LOOKS) return true;
    if (kind === 'removed' && looks >= REMOVED_LOOKS) return true;
    if (region.outlineNow < OUTLINE_GONE * outline && atMs - grownMs > LOOK_MS) return true;
    return attendants.length === 0 ? atMs - grownMs > UNCARRIED_MS : atMs - firstMs > CARRIED_MS;
  }

  #report(regions: StaticRegions, atMs: number): StaticRegion[] {
    const reported: StaticRegion[] = [];
    for (const region of regions.followed.values()) {
      const followed = this.#followed.get(region.id);
      if (followed === undefined || region.kind === 'light') continue;
      // Once told, it is told until it is over.
      followed.told ||= region.looks >= REPORTED_LOOKS && region.difference >= REPORTED_LEVELS;
      if (!followed.told) continue;
      reported.push(this.#describe(region, region.kind, followed, atMs));
    }
    return reported;
  }

  #describe(region: Region, kind: StaticRegion['kind'], followed: Followed, atMs: number): StaticRegion {
    const { grid } = (this.#background as Background).picture;
    const source = this.#source as SizePx;
    const place = this.#placePx(region);
    const x = (px: number): number => Math.min(1, Math.max(0, px / source.widthPx));
    const y = (px: number): number => Math.min(1, Math.max(0, px / source.heightPx));
    const ground: [number, number] = [x((place[0] + place[2]) / 2), y(place[3])];
    const attendants = people(followed.attendants, place, region.firstMs);
    const carrier = carrierOf(attendants, atMs);
    const leftMs = lastLeftMs(attendants);
    return {
      id: region.id,
      kind,
      xyxyNorm: [x(place[0]), y(place[1]), x(place[2]), y(place[3])],
      contrast: Math.min(1, region.difference / 255),
      areaNorm: Math.min(1, region.covers * grid.cellNorm),
      ground,
      firstMs: region.firstMs,
      grownMs: region.grownMs,
      seen: region.seen && region.difference >= REPORTED_LEVELS,
      beforeMs: followed.beforeMs,
      attended: followed.hinted > HINT_SHARE || isAttended(attendants, atMs) || isBody(place, attendants),
      ...(carrier === undefined
        ? {}
        : { carrier: { track: carrier.track, label: carrier.label, besideMs: carrier.besideMs, leftMs } }),
      places: this.#placesOf(region, ground),
    };
  }

  #beforeMs({ firstMs }: Region): number {
    const quiet = this.#quietMs.findLast((ms) => ms < firstMs - SETTLED_MS);
    return Math.max(0, quiet ?? firstMs - BEFORE_MS);
  }

  #placesOf(region: Region, ground: readonly [number, number]): StaticRegion['places'] {
    const { grid } = (this.#background as Background).picture;
    const { columns } = grid;
    const source = this.#source as SizePx;
    const across = grid.sourcePxPerCell[0] / source.widthPx;
    const down = grid.sourcePxPerCell[1] / source.heightPx;
    return this.#options.zones.flatMap(({ id, polygon }) => {
      const inside = region.cells.filter((cell) =>
        isInside(polygon, [((cell % columns) + 0.5) * across, (Math.floor(cell / columns) + 0.5) * down]),
      ).length;
      // The ground point lies on the region's lower edge, half a cell above it is the region itself.
      const standsIn = isInside(polygon, [ground[0], ground[1] - down / 2]);
      return inside === 0 && !standsIn ? [] : [{ zone: id, standsIn, share: inside / region.cells.length }];
    });
  }

  #placePx({ box }: Region): XyxyPx {
    const [across, down] = (this.#background as Background).picture.grid.sourcePxPerCell;
    return [box[0] * across, box[1] * down, box[2] * across, box[3] * down];
  }
}

function fillBox(
  cells: Uint8Array,
  { columns, rows, sourcePxPerCell }: Grid,
  box: XyxyPx,
  value: number,
): void {
  const left = Math.max(0, Math.floor(box[0] / sourcePxPerCell[0]));
  const right = Math.min(columns, Math.ceil(box[2] / sourcePxPerCell[0]));
  const top = Math.max(0, Math.floor(box[1] / sourcePxPerCell[1]));
  const bottom = Math.min(rows, Math.ceil(box[3] / sourcePxPerCell[1]));
  if (right <= left) return;
  for (let y = top; y < bottom; y += 1) cells.fill(value, y * columns + left, y * columns + right);
}

/** The region is what is left of a track that was lost on the spot. */
function isBody(place: XyxyPx, attendants: readonly Attendant[]): boolean {
  return attendants.some(
    ({ left, lastBox, group }) =>
      !left && (iou(place, lastBox) >= BODY_IOU || (group === 'vehicle' && isPart(place, lastBox))),
  );
}

function isPart(place: XyxyPx, vehicle: XyxyPx): boolean {
  const width = Math.min(place[2], vehicle[2]) - Math.max(place[0], vehicle[0]);
  const height = Math.min(place[3], vehicle[3]) - Math.max(place[1], vehicle[1]);
  if (width <= 0 || height <= 0) return false;
  const inside = width * height;
  return inside >= PART_INSIDE * areaOf(place) && inside >= PART_SIZE * areaOf(vehicle);
}

function areaOf([x1, y1, x2, y2]: XyxyPx): number {
  return (x2 - x1) * (y2 - y1);
}
