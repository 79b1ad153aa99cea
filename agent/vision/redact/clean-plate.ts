/**
 * Learns the clean plate: an image of the scene without people, at the size of a snapshot.
 *
 * About once a second the camera gives a picture at that size. It waits until the next two seconds are known. A cell is
 * then learnt from it if no person can have been there:
 *
 * - no box of the detector or the tracker from two seconds before to two seconds after,
 * - no motion in front of the background in that time, and
 * - the same appearance in the pictures before and after.
 *
 * More is required if a person was detected there within the last minute, or if an object is in front of the
 * background. The cell must then look the same in more than a minute of pictures, or have returned to that appearance
 * after an object passed. A person who stays there and is detected now and then is not part of the scene.
 *
 * INVARIANTS:
 * - It is never stored, and leaves the process only as part of a redacted picture.
 * - A cell is learnt only from a moment at which redaction would have shown it.
 * - It belongs to one view, and is dropped when the camera moves or the picture's size changes.
 * LIMITS: a picture of SNAPSHOT_LONG_SIDE_PX_MAX in 4:2:0, PENDING_MAX waiting ones, and the state of each cell: 5.6
 * MiB at 1280 × 720 (test/vision/clean-plate.unit.test.ts).
 */
import { sameSize } from '../../contract/geometry.ts';
import type { YuvPlanes } from '../../contract/picture.ts';
import { blendCell, copyCell, copyPlanes, emptyPlanes, flattenCell } from './clean-plate-cell.ts';
import { type Light, lightBetween } from './clean-plate-light.ts';
import {
  CleanPlateState,
  cellUses,
  doubtsWanted,
  FREE,
  forget,
  isDoubtful,
  isVehicle,
  markOccluded,
  matchesRequired,
  OCCUPIED,
  occludedSince,
  PASSED,
  same,
  withVehicles,
} from './clean-plate-state.ts';
import { HOLD_MS, type SeenFrame } from './history.ts';
import { type Means, meansOfPlanes } from './means.ts';

/** One more than fit into HOLD_MS at one picture a second. */
const PENDING_MAX = 3;
/** Largest distance between successive pictures for deciding whether a cell is unchanged, in ms. */
const NEIGHBOUR_MS_MAX = 6000;
/**
 * Time after which a person who left a cell is not in it, in ms. The detector may have lost the person; then the cell's
 * previous appearance decides.
 */
const NEAR_MS = 500;
/** A known cell blends in every 16th picture, at a ratio of one half, and so follows in some 20 s. */
const BLEND_EVERY = 16;
const BLEND_RATIO = 1 / 2;
/** Factor on the matching pictures of an unknown cell that looks different. */
const FADE = 0.8;
/** Pictures from one update of the light to the next. A published picture is corrected by its own light in any case. */
const LIGHT_EVERY = 4;
/**
 * Ratio of comparable cells that must differ by this number of levels, after the light is corrected, for a changed
 * view.
 */
const OTHER_VIEW_RATIO = 0.5;
const OTHER_VIEW_LEVELS = 16;
const COMPARED_MIN = 50;

interface Pending {
  readonly atMs: number;
  readonly planes: YuvPlanes;
  readonly means: Means;
  /** 1 where a cell was covered within NEAR_MS of it; known after NEAR_MS. */
  near?: Uint8Array;
}

/** Learnt scene, for a picture of its size. */
export interface LearntScene {
  readonly planes: YuvPlanes;
  /** 1 where a cell is known. */
  readonly cells: Uint8Array;
  /** Media time when each cell was last seen, in ms. */
  readonly seenMs: Float64Array;
  /** Means of its cells, and the light that corrects them and its pixels. */
  readonly means: Means;
  readonly light: Light;
}

export class CleanPlate {
  #state: CleanPlateState | undefined;
  #pending: Pending[] = [];
  #before: Means | undefined;
  /** Reused buffers, because memory outside V8's heap triggers garbage collection. */
  #spare: Means[] = [];
  #sparePlanes: YuvPlanes[] = [];
  #beforeMs = 0;
  #pictures = 0;

  /** The learnt scene; undefined before the first picture. */
  get learntScene(): LearntScene | undefined {
    const state = this.#state;
    if (state === undefined) return undefined;
    const { planes, cells, seenMs, means, light } = state;
    return { planes, cells, seenMs, means, light };
  }

  /** Takes the next frame and its boxes. */
  take(frame: SeenFrame, planes: YuvPlanes | undefined): void {
    const { atMs } = frame;
    if (this.#state !== undefined) markOccluded(this.#state, frame);
    for (const pending of this.#pending) {
      if (pending.near !== undefined || atMs < pending.atMs + NEAR_MS) continue;
      pending.near = occludedSince(this.#state, pending.atMs - NEAR_MS);
    }
    this.#learnDue(atMs);
    if (planes !== undefined) this.#wait(frame, planes);
  }

  #learnDue(atMs: number): void {
    for (;;) {
      const [first, next] = this.#pending;
      if (first === undefined || next === undefined || first.atMs + HOLD_MS > atMs) return;
      this.#pending.shift();
      this.#learn(first, next);
      this.#sparePlanes.push(first.planes);
      if (this.#before !== undefined) this.#spare.push(this.#before);
      this.#before = first.means;
      this.#beforeMs = first.atMs;
    }
  }

  /** Forgets everything, because the view has changed. */
  drop(): void {
    this.#state = undefined;
    this.#pending = [];
    this.#before = undefined;
    this.#spare = [];
    this.#sparePlanes = [];
  }

  #wait(frame: SeenFrame, planes: YuvPlanes): void {
    const { atMs } = frame;
    if (!sameSize(this.#state?.planes.size, planes.size)) this.drop();
    if (this.#state === undefined) {
      this.#state = new CleanPlateState(planes, atMs);
      markOccluded(this.#state, frame);
    }
    const means = meansOfPlanes(planes, this.#state.grid, this.#spare.pop());
    const copy = this.#sparePlanes.pop() ?? emptyPlanes(planes);
    copyPlanes(copy, planes);
    this.#pending.push({ atMs, planes: copy, means });
    if (this.#pending.length <= PENDING_MAX) return;
    const [oldest] = this.#pending.splice(0, 1);
    if (oldest === undefined) return;
    this.#spare.push(oldest.means);
    this.#sparePlanes.push(oldest.planes);
  }

  #learn({ atMs, planes, means: own, near }: Pending, next: Pending): void {
    const state = this.#state as CleanPlateState;
    const before = this.#before;
    if (before === undefined || atMs - this.#beforeMs > NEIGHBOUR_MS_MAX) return;
    const use = cellUses(state, atMs, near, [before, own, next.means]);
    const means = withVehicles(state, own, atMs, use);
    this.#pictures += 1;
    if (this.#pictures % LIGHT_EVERY === 0 && !this.#followLight(state, atMs, means, use)) return;
    const { means: now, cells, matches, doubts, differenceFlags, seenMs } = state;
    for (let cell = 0; cell < use.length; cell += 1) {
      const agrees = matches[cell] !== 0 && same(now, means, cell);
      if (matches[cell] !== 0 && !agrees) differenceFlags[cell] = 1;
      if (use[cell] === OCCUPIED && agrees) forget(state, cell);
      if (use[cell] !== FREE && use[cell] !== PASSED) continue;
      if (agrees) {
        const blends = agree(state, cell) && use[cell] === FREE && !isDoubtful(state, cell, atMs);
        // A sliver of a person changes a cell's mean no more than light does, so a cell with a possible person is not
        // blended.
        if (blends) this.#blend(state, cell, planes, means);
      } else if (use[cell] === PASSED) continue;
      else if (matches[cell] === 0) this.#put(state, cell, atMs, planes, means);
      else if (cells[cell] === 0) matches[cell] = Math.floor(FADE * (matches[cell] as number));
      else {
        doubts[cell] = (doubts[cell] as number) + 1;
        if ((doubts[cell] as number) < doubtsWanted(state, cell, atMs)) continue;
        this.#put(state, cell, atMs, planes, means);
      }
      if (cells[cell] === 1 && doubts[cell] === 0) seenMs[cell] = atMs;
      if (cells[cell] === 0 && (matches[cell] as number) >= matchesRequired(state, cell, atMs)) {
        cells[cell] = 1;
        seenMs[cell] = atMs;
      }
    }
  }

  /** Updates the clean plate to the light of a picture; returns false if the picture shows another view. */
  #followLight(state: CleanPlateState, atMs: number, seenMeans: Means, use: Uint8Array): boolean {
    // A standing object that may be a vehicle is not a change of light.
    const comparable = new Uint8Array(use.length);
    for (let cell = 0; cell < use.length; cell += 1) {
      if (use[cell] === FREE && !isDoubtful(state, cell, atMs))
        comparable[cell] = state.cells[cell] as number;
    }
    const learntMeans = state.means;
    const light = lightBetween(learntMeans, seenMeans, comparable, state.grid, false);
    if (light === undefined) return true;
    if (isOtherView(learntMeans, seenMeans, comparable, light)) {
      this.drop();
      return false;
    }
    const { gain, u, v } = state.light;
    for (let cell = 0; cell < gain.length; cell += 1) {
      const factor = light.gain[cell] as number;
      learntMeans.y[cell] = (learntMeans.y[cell] as number) * factor;
      learntMeans.u[cell] = (learntMeans.u[cell] as number) * factor + (light.u[cell] as number);
      learntMeans.v[cell] = (learntMeans.v[cell] as number) * factor + (light.v[cell] as number);
      gain[cell] = (gain[cell] as number) * factor;
      u[cell] = (u[cell] as number) * factor + (light.u[cell] as number);
      v[cell] = (v[cell] as number) * factor + (light.v[cell] as number);
    }
    return true;
  }

  #put(state: CleanPlateState, cell: number, atMs: number, planes: YuvPlanes, means: Means): void {
    copyCell(state.planes, planes, cell, state.grid);
    if (isVehicle(state, cell, atMs)) flattenCell(state.planes, cell, state.grid, means);
    this.#settle(state, cell, means, 1);
    state.matches[cell] = Math.max(1, state.matches[cell] as number);
    state.differenceFlags[cell] = 0;
    state.returns[cell] = 0;
  }

  #blend(state: CleanPlateState, cell: number, planes: YuvPlanes, means: Means): void {
    blendCell(state.planes, planes, cell, state.grid, BLEND_RATIO, state.light);
    this.#settle(state, cell, means, BLEND_RATIO);
  }

  /** Updates the means after blending in a picture at the given ratio; the cell's light is then the picture's. */
  #settle(
    { means: learntMeans, light, doubts }: CleanPlateState,
    cell: number,
    seenMeans: Means,
    ratio: number,
  ): void {
    learntMeans.y[cell] =
      (1 - ratio) * (learntMeans.y[cell] as number) + ratio * (seenMeans.y[cell] as number);
    learntMeans.u[cell] =
      (1 - ratio) * (learntMeans.u[cell] as number) + ratio * (seenMeans.u[cell] as number);
    learntMeans.v[cell] =
      (1 - ratio) * (learntMeans.v[cell] as number) + ratio * (seenMeans.v[cell] as number);
    light.gain[cell] = 1;
    light.u[cell] = 0;
    light.v[cell] = 0;
    doubts[cell] = 0;
  }
}

/** Counts a matching picture; returns true if it is to be blended in. */
function agree({ matches, cells, doubts, returns, differenceFlags }: CleanPlateState, cell: number): boolean {
  const count = matches[cell] as number;
  matches[cell] = count === 255 ? 256 - BLEND_EVERY : count + 1;
  doubts[cell] = 0;
  returns[cell] = Math.min(255, (returns[cell] as number) + (differenceFlags[cell] as number));
  differenceFlags[cell] = 0;
  return cells[cell] === 0 || count % BLEND_EVERY === 0;
}

/** Reports whether most comparable cells differ after the light is corrected. */
export function isOtherView(learntMeans: Means, seenMeans: Means, use: Uint8Array, light: Light): boolean {
  let [compared, other] = [0, 0];
  for (let cell = 0; cell < use.length; cell += 1) {
    if (use[cell] === 0) continue;
    compared += 1;
    const level = (learntMeans.y[cell] as number) * (light.gain[cell] as number);
    if (Math.abs(level - (seenMeans.y[cell] as number)) > OTHER_VIEW_LEVELS) other += 1;
  }
  return compared >= COMPARED_MIN && other > OTHER_VIEW_RATIO * compared;
}
