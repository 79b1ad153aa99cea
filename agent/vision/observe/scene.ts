/**
 * Finds permanent changes of the picture, their kind, and the tracks associated with them:
 *
 *   Frame ─▶ small picture ─▶ background (two speeds) ─▶ static regions ─▶ with associated tracks ─▶ StaticRegion[]
 *
 * The result is facts; the small picture and the background exist only in vision's memory.
 *
 * INVARIANTS: time is media time, so results do not depend on the frame rate (3 to 30 a second); a region keeps its id.
 * LIMITS: the background is updated at most every `TICK_MS`; 32 regions are followed.
 */
import type { ZoneConfig } from '../../contract/config.ts';
import { iou, type SizePx, sameSize, type XyxyPx } from '../../contract/geometry.ts';
import type { StaticRegion } from '../../contract/observation.ts';
import type { Detection, Features, Frame, Track } from '../../contract/picture.ts';
import {
  associatedTrackOf,
  associatedTracks,
  type Bystander,
  follow,
  hasBystander,
  mergeBystanders,
  OCCLUDES_MS,
  Presence,
  people,
} from './associated-track.ts';
import { Background } from './background.ts';
import { BESIDE_OBJECT, OCCLUDED } from './background-state.ts';
import { FeatureBackground, type Turn } from './feature-background.ts';
import { BODY_IOU, fillBox, isBody, isPart, placePx, placesOf } from './region-place.ts';
import { SmallPicture } from './small-picture.ts';
import { type Region, StaticRegions } from './static-region.ts';
import { LIGHT_TURN, OTHER_TURN, thingBits } from './static-region-evidence.ts';

/** Interval of the updates: 5 Hz of media time is enough for changes of seconds, also at 30 frames a second. */
const TICK_MS = 190;
/** Interval of searching for regions and updating their data, in ms. */
const SEARCH_MS = 500;
/** Rest of a cell before it counts as changed, in ms; the object's other cells follow within that time. */
const SETTLED_MS = 1500;
/** Number of evaluations with the same kind of change before it is acted on. */
const LIGHT_STREAK = 3;
const REMOVED_STREAK = 6;
const REPORTED_STREAK = 2;
/** Number of feature cells inside a region from which features overrule the pixels; a shadow's edge is thinner. */
const OTHER_CELLS = 4;
/**
 * Minimum mean difference of colour of a reported change, in levels. Automatic exposure and a codec leave up to 10, and
 * a sheet of paper moved on a white table makes 15.
 */
const REPORTED_LEVELS = 20;
/** Bits required if the best evidence, the features, is missing: two to one for an object. */
const SILENT_BITS = 1;
/** Time after which a change without an associated track becomes ground: a leaf, a poster, a switched-off sign. */
const UNCARRIED_MS = 60_000;
/** Longest memory of a change, in ms: a day. */
const CARRIED_MS = 86_400_000;
/** Ratio of the picture above which people cannot have caused a sudden change; the camera or the light did. */
const RELEARN_RATIO = 0.25;
const RELEARN_MS = 10_000;
/** Reach of a person's shadows, sleeves and reflections beyond the box, in its heights. */
const BESIDE_RATIO = 0.3;
/** Ratio of its former outline below which an object has been taken away. */
const OUTLINE_GONE = 0.4;
/** Score from which a detection hints at a person, the tracker's high score; below it, bags pass for people. */
const HINT_SCORE = 0.4;
/** Ratio of frames with such a detection, and its time constant in ms. */
const HINT_RATIO = 0.3;
const HINT_MS = 3000;
/** Interval of stored stills of a quiet street, in ms, which later show a place before its change. */
const QUIET_MS = 10_000;
/** Age of the still used if there is none, in ms before the change. */
const BEFORE_MS = 3000;
const PINNED_REGIONS_MAX = 16;

interface RegionState {
  /** Time of the still that shows the place before; chosen when the region is found, then pinned. */
  readonly beforeMs: number;
  bystanders: Bystander[];
  /** True once all had left; later arrivals have no part in it. */
  closed: boolean;
  wasReported: boolean;
  /** Turn of the features in its place, and number of their evaluations that indicated light. */
  turn: Turn | undefined;
  lightStreak: number;
  /** Running ratio of frames with a detection in its place. */
  hinted: number;
}

export interface SceneOptions {
  readonly zones: readonly ZoneConfig[];
}

export class SceneObserver {
  readonly #options: SceneOptions;
  readonly #presence = new Presence();
  readonly #states = new Map<number, RegionState>();
  #source: SizePx | undefined;
  readonly #features = new FeatureBackground();
  #background: Background | undefined;
  #regions: StaticRegions | undefined;
  #tickMs: number | undefined;
  #searchMs = 0;
  /** Number of feature updates at the last search for regions. */
  #featureRuns = 0;
  /** Time since which the complete picture has turned. */
  #anotherMs: number | undefined;
  #quietMs: number[] = [];
  #reported: StaticRegion[] = [];
  /** Count of the models for previous picture sizes. */
  #droppedBefore = 0;

  constructor(options: SceneOptions) {
    this.#options = options;
  }

  /** Regions not followed, track positions not stored, and detector runs with too many features. */
  get droppedCounts(): { readonly regions: number; readonly places: number; readonly features: number } {
    return {
      features: this.#features.droppedRuns,
      regions: this.#droppedBefore + (this.#regions?.droppedRegions ?? 0),
      places: this.#presence.droppedPositions,
    };
  }

  /** Media times whose stills are still needed as evidence, at most 34; all others may be removed. */
  get pinnedMs(): readonly number[] {
    const carried = this.#reported
      .filter(({ associatedTrack }) => associatedTrack !== undefined)
      .slice(0, PINNED_REGIONS_MAX);
    return [...this.#quietMs, ...carried.flatMap(({ beforeMs, firstMs }) => [beforeMs, firstMs])];
  }

  /** Takes the next frame with its tracks and detections; returns all static regions. */
  update(
    frame: Frame,
    tracks: readonly Track[],
    detections: readonly Detection[],
    features?: Features,
  ): StaticRegion[] {
    if (this.#options.zones.length === 0) return this.#reported;
    const { atMs } = frame;
    const early = this.#tickMs !== undefined && atMs - this.#tickMs < TICK_MS;
    if (early && features === undefined) return this.#reported;
    const elapsedMs = atMs - (this.#tickMs ?? atMs);
    this.#tickMs = atMs;
    const { background, regions } = this.#models(frame);
    background.picture.read(frame);
    this.#markObjects(background, tracks, atMs);
    background.update(atMs);
    this.#presence.remember(frame, tracks);
    if (features !== undefined) {
      const places = [...regions.followedById.values()].map(({ cells }) => cells);
      this.#features.learn(features, background, frame.source, places, atMs);
    }
    if (tracks.length === 0) this.#noteQuiet(atMs);
    for (const [id, region] of regions.followedById) {
      this.#attend(region, this.#states.get(id), tracks, detections, elapsedMs, frame);
    }
    if (atMs - this.#searchMs >= SEARCH_MS) {
      this.#searchMs = atMs;
      this.#search(background, regions, atMs);
      this.#reported = this.#report(regions, atMs);
    }
    return this.#reported;
  }

  /** Returns the models, new ones if the source changed its size. */
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
    this.#droppedBefore += this.#regions?.droppedRegions ?? 0;
    this.#regions = regions;
    this.#states.clear();
    return { background, regions };
  }

  /** Marks the cells behind a track's box, and those beside it. */
  #markObjects({ occlusion, picture }: Background, tracks: readonly Track[], atMs: number): void {
    occlusion.fill(0);
    for (const pass of [BESIDE_OBJECT, OCCLUDED]) {
      for (const { xyxyPx, group, lastMs } of tracks) {
        if (group === 'bag' || atMs - lastMs > OCCLUDES_MS) continue;
        const [x1, y1, x2, y2] = xyxyPx;
        if (pass === BESIDE_OBJECT && group === 'vehicle') continue;
        const margin = pass === BESIDE_OBJECT ? BESIDE_RATIO * (y2 - y1) : 0;
        fillBox(occlusion, picture.grid, [x1 - margin, y1 - margin, x2 + margin, y2 + margin], pass);
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
    state: RegionState | undefined,
    tracks: readonly Track[],
    detections: readonly Detection[],
    elapsedMs: number,
    frame: Frame,
  ): void {
    if (state === undefined) return;
    const place = this.#placePx(region);
    follow(state.bystanders, place, tracks, frame, elapsedMs);
    const hint = detections.some(
      ({ group, score, xyxyPx }) =>
        group !== 'bag' &&
        score >= HINT_SCORE &&
        (iou(place, xyxyPx) >= BODY_IOU || (group === 'vehicle' && isPart(place, xyxyPx))),
    );
    state.hinted += (1 - Math.exp(-elapsedMs / HINT_MS)) * ((hint ? 1 : 0) - state.hinted);
  }

  #search(background: Background, regions: StaticRegions, atMs: number): void {
    if (this.#isAnother(regions, atMs)) return;
    if (background.changedCells > RELEARN_RATIO * background.picture.grid.usedCells.length) {
      regions.relearn(atMs - RELEARN_MS);
    }
    for (const region of regions.evaluate(atMs))
      this.#states.set(region.id, {
        beforeMs: this.#beforeMs(region),
        bystanders: [],
        turn: undefined,
        lightStreak: 0,
        hinted: 0,
        closed: false,
        wasReported: false,
      });
    const turned = this.#features.usedRuns !== this.#featureRuns;
    this.#featureRuns = this.#features.usedRuns;
    for (const region of [...regions.followedById.values()]) {
      const state = this.#states.get(region.id);
      if (state === undefined) continue;
      if (turned) this.#turn(region, state);
      const growing = atMs - Math.max(region.foundMs, region.grownMs) < SEARCH_MS + SETTLED_MS;
      if (growing && !state.closed) this.#findBystanders(region, state);
      if (this.#isOver(regions, region, state, atMs)) this.#absorb(regions, region, state);
    }
    this.#mergeParts(regions);
    for (const id of this.#states.keys()) if (!regions.followedById.has(id)) this.#states.delete(id);
  }

  /**
   * Reports whether the complete picture has turned (hunting focus, fog, a hand, another view). Changes then give no
   * information about a place; lasting ones become ground.
   */
  #isAnother(regions: StaticRegions, atMs: number): boolean {
    const { unrest = 0 } = this.#features;
    if (unrest < LIGHT_TURN) this.#anotherMs = undefined;
    else this.#anotherMs ??= atMs;
    if (this.#anotherMs === undefined) return false;
    if (atMs - this.#anotherMs < RELEARN_MS) return true;
    this.#features.forget();
    regions.relearn(this.#anotherMs);
    this.#anotherMs = undefined;
    return false;
  }

  #turn(region: Region, state: RegionState): void {
    const turn = this.#features.turnOf(region.cells, region.foundMs);
    if (turn === undefined) return;
    state.turn = turn;
    const light = turn.distance < LIGHT_TURN && this.#bits(region, state) < 0;
    state.lightStreak = light ? state.lightStreak + 1 : 0;
    region.other = turn.distance >= OTHER_TURN && turn.cells >= OTHER_CELLS;
  }

  #bits(region: Region, { turn }: RegionState): number {
    return thingBits(region, turn, (this.#background as Background).picture.grid);
  }

  #absorb(regions: StaticRegions, region: Region, { turn }: RegionState): void {
    // Light leaves the features of a place unchanged.
    if (turn === undefined || turn.distance >= LIGHT_TURN) this.#features.absorb(region.cells);
    regions.absorb(region);
  }

  /** Merges touching regions of the same evaluation that share a track that was present both times. */
  #mergeParts(regions: StaticRegions): void {
    if (regions.followedById.size < 2) return;
    for (const region of [...regions.followedById.values()]) {
      const ownState = this.#states.get(region.id);
      if (ownState === undefined || !regions.followedById.has(region.id) || !this.#isObject(region, ownState))
        continue;
      for (const part of regions.regionsBeside(region)) {
        const other = this.#states.get(part.id);
        if (part.id < region.id || other === undefined || !this.#isObject(part, other)) continue;
        if (part.kind !== region.kind && (!region.decided || part.kind === 'removed')) continue;
        const shared = associatedTracks(other.bystanders, part.firstMs).some(({ track }) =>
          ownState.bystanders.some((bystander) => bystander.track === track),
        );
        if (!shared) continue;
        mergeBystanders(ownState.bystanders, other.bystanders);
        this.#states.delete(part.id);
        regions.merge(region, part);
      }
    }
  }

  #isObject(region: Region, state: RegionState): boolean {
    const least = state.turn === undefined ? SILENT_BITS : 0;
    return region.kind !== 'light' && region.streak >= REPORTED_STREAK && this.#bits(region, state) > least;
  }

  #findBystanders(region: Region, state: RegionState): void {
    for (const bystander of this.#presence.bystandersAt(
      this.#placePx(region),
      region.firstMs,
      region.grownMs,
      Math.max(region.foundMs, region.grownMs),
    )) {
      const entry = state.bystanders.find(({ track }) => track === bystander.track);
      if (entry === undefined) state.bystanders.push(bystander);
      else {
        entry.besideMs = bystander.besideMs;
        entry.nearest = bystander.nearest;
      }
    }
  }

  #isOver(regions: StaticRegions, region: Region, state: RegionState, atMs: number): boolean {
    const { kind, streak, grownMs, firstMs, outline } = region;
    // A change beside a person is decided after that person has left, as the person may be part of it.
    const bystanders = people(state.bystanders, this.#placePx(region), firstMs);
    if (hasBystander(bystanders, atMs)) return false;
    if (atMs - region.foundMs >= SETTLED_MS) state.closed = true;
    regions.decide(region);
    if ((kind === 'light' && streak >= LIGHT_STREAK) || state.lightStreak >= LIGHT_STREAK) return true;
    if (kind === 'removed' && streak >= REMOVED_STREAK) return true;
    if (region.outlineNow < OUTLINE_GONE * outline && atMs - grownMs > SEARCH_MS) return true;
    return associatedTracks(bystanders, firstMs).length === 0
      ? atMs - grownMs > UNCARRIED_MS
      : atMs - firstMs > CARRIED_MS;
  }

  #report(regions: StaticRegions, atMs: number): StaticRegion[] {
    const reported: StaticRegion[] = [];
    for (const region of regions.followedById.values()) {
      const state = this.#states.get(region.id);
      if (state === undefined || region.kind === 'light') continue;
      // A reported region stays reported until it is over.
      state.wasReported ||= this.#isObject(region, state) && region.difference >= REPORTED_LEVELS;
      if (!state.wasReported) continue;
      reported.push(this.#describe(region, region.kind, state, atMs));
    }
    return reported;
  }

  #describe(region: Region, kind: StaticRegion['kind'], state: RegionState, atMs: number): StaticRegion {
    const { grid } = (this.#background as Background).picture;
    const source = this.#source as SizePx;
    const place = this.#placePx(region);
    const x = (px: number): number => Math.min(1, Math.max(0, px / source.widthPx));
    const y = (px: number): number => Math.min(1, Math.max(0, px / source.heightPx));
    const ground: [number, number] = [x((place[0] + place[2]) / 2), y(place[3])];
    const bystanders = people(state.bystanders, place, region.firstMs);
    const associatedTrack = associatedTrackOf(bystanders, region.firstMs, atMs);
    return {
      id: region.id,
      kind,
      xyxyNorm: [x(place[0]), y(place[1]), x(place[2]), y(place[3])],
      contrast: Math.min(1, region.difference / 255),
      areaNorm: Math.min(1, region.objectCells * grid.cellNorm),
      ground,
      firstMs: region.firstMs,
      grownMs: region.grownMs,
      seen: region.isVisible && region.difference >= REPORTED_LEVELS,
      beforeMs: state.beforeMs,
      attended: state.hinted > HINT_RATIO || hasBystander(bystanders, atMs) || isBody(place, bystanders),
      ...(associatedTrack && { associatedTrack }),
      places: placesOf(this.#options.zones, region, ground, grid),
    };
  }

  #beforeMs({ firstMs }: Region): number {
    const quiet = this.#quietMs.findLast((ms) => ms < firstMs - SETTLED_MS);
    return Math.max(0, quiet ?? firstMs - BEFORE_MS);
  }

  #placePx(region: Region): XyxyPx {
    return placePx(region, (this.#background as Background).picture.grid);
  }
}
