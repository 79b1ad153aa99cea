/**
 * Finds the track associated with a changed place, and reports whether it is still nearby.
 *
 * Stores the positions of all tracks for the last minute: boxes and track numbers only, no appearance data.
 *
 * LIMITS: `SLOTS` samples of `TRACKS_MAX` tracks. Further tracks are dropped and counted.
 */
import { iou, ratioInside, type SizePx, type XyxyPx } from '../../contract/geometry.ts';
import { type Group, groupOf, type Label } from '../../contract/label.ts';
import type { AssociatedTrack } from '../../contract/observation.ts';
import type { Frame, Track } from '../../contract/picture.ts';

const SLOTS = 300;
const TRACKS_MAX = 48;
/** id, x1, y1, x2, y2 */
const FIELDS = 5;

/**
 * Reach, in heights of a person's box: an arm with its load (0.7 m of 1.7 m) and a step. For a vehicle, the same ratio
 * of its box's shorter side: a door or a tail-lift.
 */
const REACH = 0.5;
/** Distance from which a track has left, in heights: 1.7 m for a person. */
const LEFT_DISTANCE = 1;
/**
 * Time before a change within which a person nearby may have left the object, in ms. It becomes visible only when the
 * person has stepped aside.
 */
const LEAD_MS = 5000;
/**
 * Time within which a track lost beside the place may continue under a new number, in ms: the tracker's memory and a
 * second.
 */
const SUCCESSOR_MS = 3000;

/**
 * Limits for a track that is the object itself, mistaken for a person. It starts at most this long before the change
 * (ms), with at least this ratio of its boxes inside the changed place.
 */
const BEGAN_MS = 2000;
const THING_INSIDE = 0.5;
/** Time from which a person who left and comes near again is present, in ms; a shorter time is only passing by. */
const BACK_MS = 3000;
/**
 * Distance between two box centres from which a track has moved, in its own sizes.
 *
 * A step is 0.5 of a person's height. The box of a parked car jumps by half of its shorter side when the car beside it
 * is joined to it or not. It jumps by the complete side when a car came or left.
 */
const MOVED_PERSON = 0.5;
const MOVED_VEHICLE = 1;
/** Distance within which the frame's edge cuts off a box side, as a ratio of the frame's size. */
const EDGE_NORM = 0.02;
/**
 * Delay until a resting cell is noticed at 3 frames a second, in ms. Anyone who had left before that did not bring the
 * object.
 */
const DEPOSIT_SLACK_MS = 1000;
/** Time for which an undetected track may still cover its place, in ms: half of the tracker's memory. */
export const OCCLUDES_MS = 1000;
/**
 * Time of detections at the spot of a lost track, in ms. From there on it has not left, or is an object that looks like
 * a person.
 */
const AGAIN_MS = 1500;
const AGAIN_IOU = 0.5;
/** Differences of distance below this are box jitter, in heights. */
const SAME_DISTANCE = 0.05;

/** Minimum overlap (IoU) of a new track with the last box of a lost one: someone who stays keeps to the same spot. */
const SUCCESSOR_IOU = 0.2;

/** Bystander: a track that was beside the place when it changed. */
export interface Bystander {
  readonly track: number;
  readonly label: Label;
  readonly group: Group;
  besideMs: number;
  lastBesideMs: number;
  /** Distance at the moment nearest to the change, in heights. */
  nearest: number;
  /** True if seen beyond `LEFT_DISTANCE` since. */
  hasLeft: boolean;
  /**
   * True if its box was seen in another place, so it is neither a parked car nor an object that looks like a person.
   */
  hasChangedPlace: boolean;
  /** Duration of detections at the spot where its track was lost, in ms. */
  againMs: number;
  /** Time since which it is near again after leaving. */
  backMs: number | undefined;
  /** First and last known boxes and times of its track. */
  readonly firstBox: XyxyPx;
  readonly firstSeenMs: number;
  lastBox: XyxyPx;
  lastSeenMs: number;
}

export class Presence {
  #source: SizePx | undefined;
  readonly #boxes = new Float64Array(SLOTS * TRACKS_MAX * FIELDS);
  readonly #counts = new Uint8Array(SLOTS);
  readonly #times = new Float64Array(SLOTS);
  readonly #labels = new Map<number, { label: Label; lastMs: number }>();
  #slot = -1;
  #filled = 0;
  #droppedPositions = 0;

  /** Positions that were not stored because there were too many tracks. */
  get droppedPositions(): number {
    return this.#droppedPositions;
  }

  /** Stores the positions of the detected tracks. */
  remember({ atMs, source }: Pick<Frame, 'atMs' | 'source'>, tracks: readonly Track[]): void {
    this.#source = source;
    this.#slot = (this.#slot + 1) % SLOTS;
    this.#filled = Math.min(SLOTS, this.#filled + 1);
    this.#times[this.#slot] = atMs;
    let count = 0;
    for (const { id, label, xyxyPx, seen: isSeen, group } of tracks) {
      if (!isSeen || group === 'bag') continue;
      if (count >= TRACKS_MAX) {
        this.#droppedPositions += 1;
        continue;
      }
      const at = (this.#slot * TRACKS_MAX + count) * FIELDS;
      this.#boxes[at] = id;
      for (let side = 0; side < 4; side += 1) this.#boxes[at + 1 + side] = xyxyPx[side] as number;
      count += 1;
      this.#labels.set(id, { label, lastMs: atMs });
    }
    this.#counts[this.#slot] = count;
    if (this.#slot === 0) this.#forget(this.#times[(this.#slot + 1) % SLOTS] as number);
  }

  /**
   * Returns the tracks that were within reach of a place between `LEAD_MS` before `firstMs` and `untilMs`. The time
   * that they spent there is counted until `grownMs`.
   */
  bystandersAt(placePx: XyxyPx, firstMs: number, grownMs: number, untilMs: number): Bystander[] {
    const bystanders = new Map<number, Bystander>();
    const totals = new Map<number, number>();
    const firsts = new Map<number, { atMs: number; box: XyxyPx }>();
    let lastMs: number | undefined;
    for (let slotsBack = this.#filled - 1; slotsBack >= 0; slotsBack -= 1) {
      const slot = (this.#slot - slotsBack + SLOTS) % SLOTS;
      const atMs = this.#times[slot] as number;
      const stepMs = Math.min(1000, atMs - (lastMs ?? atMs));
      lastMs = atMs;
      for (let k = 0; k < (this.#counts[slot] as number); k += 1) {
        const at = (slot * TRACKS_MAX + k) * FIELDS;
        const id = this.#boxes[at] as number;
        const box = boxAt(this.#boxes, at + 1);
        const first = firsts.get(id) ?? { atMs, box };
        firsts.set(id, first);
        const entry = bystanders.get(id);
        if (entry !== undefined) {
          entry.lastBox = box;
          entry.lastSeenMs = atMs;
          entry.hasChangedPlace ||= hasMoved(entry.group, first.box, box, this.#source);
        }
        const placeDistance = distance(placePx, box);
        if (entry !== undefined && placeDistance <= LEFT_DISTANCE) entry.lastBesideMs = atMs;
        if (entry !== undefined && atMs > firstMs) entry.hasLeft = placeDistance > LEFT_DISTANCE;
        if (placeDistance > REACH) continue;
        totals.set(id, (totals.get(id) ?? 0) + (atMs <= grownMs ? stepMs : 0));
        if (entry !== undefined) {
          if (Math.abs(atMs - firstMs) <= 1000) entry.nearest = Math.min(entry.nearest, placeDistance);
        } else if (atMs >= firstMs - LEAD_MS && atMs <= untilMs) {
          const label = this.#labels.get(id)?.label ?? 'person';
          const group = groupOf(label);
          const nearest = placeDistance + Math.max(0, firstMs - 1000 - atMs) / LEAD_MS;
          bystanders.set(id, {
            track: id,
            label,
            group,
            besideMs: 0,
            lastBesideMs: atMs,
            nearest,
            hasLeft: false,
            hasChangedPlace: hasMoved(group, first.box, box, this.#source),
            againMs: 0,
            backMs: undefined,
            firstBox: first.box,
            firstSeenMs: first.atMs,
            lastBox: box,
            lastSeenMs: atMs,
          });
        }
      }
    }
    for (const bystander of bystanders.values()) bystander.besideMs = totals.get(bystander.track) ?? 0;
    return [...bystanders.values()];
  }

  #forget(beforeMs: number): void {
    for (const [id, { lastMs }] of this.#labels) if (lastMs < beforeMs) this.#labels.delete(id);
  }
}

/** Follows the bystanders of a place. A track that continues where one was lost replaces it. */
export function follow(
  bystanders: Bystander[],
  placePx: XyxyPx,
  tracks: readonly Track[],
  { atMs, source }: Pick<Frame, 'atMs' | 'source'>,
  elapsedMs: number,
): void {
  for (const bystander of bystanders) {
    const track = tracks.find(({ id }) => id === bystander.track);
    if (track?.seen !== true) {
      const isDetectedAgain = tracks.some(
        ({ seen: isSeen, group, xyxyPx }) =>
          isSeen && group === bystander.group && iou(xyxyPx, bystander.lastBox) >= AGAIN_IOU,
      );
      if (isDetectedAgain && atMs - bystander.lastSeenMs > SUCCESSOR_MS) bystander.againMs += elapsedMs;
      continue;
    }
    bystander.lastBox = track.xyxyPx;
    bystander.lastSeenMs = atMs;
    bystander.hasChangedPlace ||= hasMoved(bystander.group, bystander.firstBox, track.xyxyPx, source);
    const placeDistance = distance(placePx, track.xyxyPx);
    if (placeDistance > LEFT_DISTANCE) {
      bystander.hasLeft = true;
      bystander.backMs = undefined;
      continue;
    }
    bystander.backMs ??= atMs;
    if (bystander.hasLeft && atMs - bystander.backMs < BACK_MS) continue;
    bystander.hasLeft = false;
    bystander.lastBesideMs = atMs;
  }
  for (const track of tracks) {
    if (!track.seen || track.group === 'bag' || bystanders.some(({ track: id }) => id === track.id)) continue;
    if (distance(placePx, track.xyxyPx) > LEFT_DISTANCE) continue;
    const predecessor = bystanders.find(
      ({ hasLeft, lastSeenMs, lastBox }) =>
        !hasLeft &&
        track.firstMs >= lastSeenMs - 500 &&
        track.firstMs <= lastSeenMs + SUCCESSOR_MS &&
        iou(lastBox, track.xyxyPx) >= SUCCESSOR_IOU,
    );
    if (predecessor === undefined) continue;
    predecessor.hasLeft = true;
    bystanders.push({
      ...predecessor,
      track: track.id,
      label: track.label,
      group: track.group,
      lastBesideMs: atMs,
      hasLeft: false,
      backMs: undefined,
      lastBox: track.xyxyPx,
      lastSeenMs: atMs,
    });
  }
}

/** Merges the bystanders of two regions: those of the part were also beside the whole. */
export function mergeBystanders(bystanders: Bystander[], part: readonly Bystander[]): void {
  for (const bystander of part) {
    const entry = bystanders.find(({ track }) => track === bystander.track);
    if (entry === undefined) bystanders.push(bystander);
    else entry.besideMs = Math.max(entry.besideMs, bystander.besideMs);
  }
}

/** Returns the bystanders that are not the object itself, mistaken for a person. */
export function people(bystanders: readonly Bystander[], placePx: XyxyPx, firstMs: number): Bystander[] {
  return bystanders.filter(
    ({ firstSeenMs, firstBox, lastBox }) =>
      firstSeenMs < firstMs - BEGAN_MS ||
      ratioInside(firstBox, placePx) < THING_INSIDE ||
      ratioInside(lastBox, placePx) < THING_INSIDE,
  );
}

/** Reports whether a person is still there or was lost there a moment ago. Vehicles do not count. */
export function hasBystander(bystanders: readonly Bystander[], atMs: number): boolean {
  return bystanders.some(
    ({ hasLeft, lastSeenMs, group }) => group !== 'vehicle' && !hasLeft && atMs - lastSeenMs <= SUCCESSOR_MS,
  );
}

/** Returns the media time at which the last of them was still there. A vehicle that stays does not count. */
function lastLeftMs(bystanders: readonly Bystander[]): number {
  const counted = bystanders.filter(({ group, hasLeft }) => group !== 'vehicle' || hasLeft);
  return Math.max(0, ...counted.map(({ lastBesideMs }) => lastBesideMs));
}

/**
 * Returns the tracks that can have brought the object: they moved, and had not left when it was put down. A vehicle
 * must have been seen to do both. A person whose track broke on the spot has left if the spot shows no more detections.
 */
export function associatedTracks(bystanders: readonly Bystander[], firstMs: number): Bystander[] {
  return bystanders.filter(({ hasChangedPlace, hasLeft, lastBesideMs, againMs, group }) => {
    const slackMs = DEPOSIT_SLACK_MS + (hasLeft ? 0 : OCCLUDES_MS);
    if (lastBesideMs < firstMs - slackMs) return false;
    return group === 'vehicle' ? hasChangedPlace && hasLeft : hasChangedPlace || againMs < AGAIN_MS;
  });
}

/** Returns the associated track: the nearest at the change, preferably one that has left. Undefined if there is none. */
export function associatedTrackOf(
  bystanders: readonly Bystander[],
  firstMs: number,
  atMs: number,
): AssociatedTrack | undefined {
  const possible = associatedTracks(bystanders, firstMs);
  const goneBystanders = possible.filter(
    ({ hasLeft, lastSeenMs }) => hasLeft || atMs - lastSeenMs > SUCCESSOR_MS,
  );
  let best: Bystander | undefined;
  for (const bystander of goneBystanders.length > 0 ? goneBystanders : possible) {
    if (best === undefined || bystander.nearest < best.nearest - SAME_DISTANCE) best = bystander;
    else if (bystander.nearest < best.nearest + SAME_DISTANCE && bystander.besideMs > best.besideMs)
      best = bystander;
  }
  if (best === undefined) return undefined;
  const { track, label, besideMs } = best;
  return { track, label, besideMs, leftMs: lastLeftMs(bystanders) };
}

function hasMoved(group: Group, from: XyxyPx, to: XyxyPx, source: SizePx | undefined): boolean {
  const wayX = wayOf([from[0], from[2]], [to[0], to[2]], source?.widthPx);
  const wayY = wayOf([from[1], from[3]], [to[1], to[3]], source?.heightPx);
  const way = Math.hypot(wayX, wayY);
  if (group !== 'vehicle') return way >= MOVED_PERSON * Math.max(sizeOf(from), sizeOf(to));
  return way >= MOVED_VEHICLE * Math.max(shorterOf(from), shorterOf(to));
}

/** Returns the movement of the centre along one axis; of the free side if the frame's edge cuts the other off. */
function wayOf(from: readonly [number, number], to: readonly [number, number], sidePx = 0): number {
  const slack = EDGE_NORM * sidePx;
  const low = Math.min(from[0], to[0]) <= slack;
  const high = Math.max(from[1], to[1]) >= sidePx - slack;
  const [first, second] = [to[0] - from[0], to[1] - from[1]];
  if (sidePx === 0 || low === high) return (first + second) / 2;
  return low ? second : first;
}

function shorterOf([x1, y1, x2, y2]: XyxyPx): number {
  return Math.min(x2 - x1, y2 - y1);
}

/** Returns the distance between a place and a track's box, in heights of a person; 0 if they overlap. */
function distance(place: XyxyPx, box: XyxyPx): number {
  const dx = Math.max(0, place[0] - box[2], box[0] - place[2]);
  const dy = Math.max(0, place[1] - box[3], box[1] - place[3]);
  return Math.hypot(dx, dy) / sizeOf(box);
}

/** Returns the size of a box: the height if it is higher than wide, otherwise the shorter side. */
function sizeOf(box: XyxyPx): number {
  const height = box[3] - box[1];
  return Math.max(1, height > box[2] - box[0] ? height : shorterOf(box));
}

function boxAt(boxes: Float64Array, at: number): XyxyPx {
  return [boxes[at] as number, boxes[at + 1] as number, boxes[at + 2] as number, boxes[at + 3] as number];
}
