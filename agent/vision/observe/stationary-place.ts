/** State of a place at which a vehicle is parked or may stop, and the test for two places of one vehicle. */
import { iou, isPartOf, ratioInside, type XyxyPx } from '../../contract/geometry.ts';
import type { Label } from '../../contract/label.ts';
import type { StationaryVehicle } from '../../contract/observation.ts';
import type { Detection, Track } from '../../contract/picture.ts';
import type { Visit } from '../../contract/zone-visit.ts';
import type { Patch } from './patch.ts';

/**
 * Minimum overlap (IoU) of boxes of the same parked car. They differ by jitter only; half leaves room for a cut-off
 * corner.
 */
export const SAME_BOX_IOU_MIN = 0.4;
/** Minimum overlap (IoU) of a parked vehicle's jittering box; one that rolls by a tenth of its length has less. */
const IN_PLACE_IOU_MIN = 0.7;
/** Time of a changed picture after which a candidate has driven on, in ms. */
const CANDIDATE_ABSENT_MAX_MS = 1500;
/** Time without detection after which an uncertain candidate is forgotten, in ms. */
const CANDIDATE_UNSEEN_MAX_MS = 15_000;
/**
 * Time until a vehicle counts as parked, in ms. Stops at a kerb and manoeuvres are shorter; every parking rule waits
 * longer.
 */
const CONFIRM_AFTER_MS = 3000;
/** Start threshold of the detector for vehicles (its model card); below it a box alone proves nothing. */
export const SURE_SCORE_MIN = 0.3;
/**
 * Ratio of a box inside another from which it is part of it. Hidden parts of a vehicle have no box. Boxes of neighbours
 * in a queue overlap by up to a third of the smaller one (docs/design/009-rules.md), halves of one car by a half and
 * more.
 */
const PART_INSIDE_MIN = 0.5;
/**
 * Largest distance of the centres (in sizes), at about the same size, of one vehicle that crept or was boxed
 * differently. Half a car's length is less than the width of a car and a gap.
 */
const SAME_CENTRE_SIZES = 0.5;
const SAME_SIZE_RATIO_MIN = 0.6;
/** Largest overlap (IoU) of boxes beside each other; parts of one vehicle that are boxed at once overlap more. */
const BESIDE_IOU_MAX = 0.1;
/**
 * Largest difference of the arrivals of a part and its vehicle, in ms. A vehicle that was there before is another, now
 * behind it.
 */
const SAME_ARRIVAL_MS = 5000;
/** Longest absence in ms: longer than a detector's lapse or a passing cloud edge, too short for the next car. */
const ABSENT_MAX_MS = 5000;
/** Ratio of the place that a foreground object must cover to hide the car. */
const OCCLUSION_RATIO_MIN = 0.2;

export interface Place {
  readonly id: number;
  /** Box and start of the stop. Both move on while the vehicle still rolls, and are fixed once confirmed. */
  box: XyxyPx;
  sinceMs: number;
  /** Time when a vehicle was first detected there, rolling or not. */
  readonly bornMs: number;
  /** Last box that was detected there. */
  foundBox: XyxyPx;
  readonly visits: readonly Visit[];
  readonly votes: Map<Label, number>;
  /** Arrival of the vehicle, once its stop is confirmed. */
  confirmed: StationaryVehicle['arrival'] | undefined;
  evaluatedMs: number;
  /** Time of the next attempt to confirm it. */
  confirmDueMs: number;
  /** Number of the track last seen there; 0 = none yet. */
  track: number;
  /** Best score there since the last evaluation. */
  score: number;
  /** Best score with the present appearance, or of the track that stopped there. */
  scoreMax: number;
  hits: number;
  seenMs: number;
  presentMs: number;
  hiddenSinceMs: number | undefined;
  patch: Patch | undefined;
  /**
   * Time in which two vehicles were detected side by side in it but it was not, minus the time in which it was, in ms.
   */
  groupMs: number;
}

export function newPlace(id: number, { xyxyPx }: Detection, visits: readonly Visit[], atMs: number): Place {
  return {
    id,
    box: xyxyPx,
    sinceMs: atMs,
    bornMs: atMs,
    foundBox: xyxyPx,
    visits,
    votes: new Map(),
    confirmed: undefined,
    evaluatedMs: Number.NEGATIVE_INFINITY,
    confirmDueMs: atMs + CONFIRM_AFTER_MS,
    track: 0,
    score: 0,
    scoreMax: 0,
    hits: 0,
    seenMs: atMs,
    presentMs: atMs,
    hiddenSinceMs: undefined,
    patch: undefined,
    groupMs: 0,
  };
}

/** Restarts the stop at the place where the vehicle was last detected. */
export function restart(place: Place, atMs: number): void {
  place.box = place.foundBox;
  place.sinceMs = atMs;
  place.confirmDueMs = atMs + CONFIRM_AFTER_MS;
}

/**
 * Reports whether the place has a track or a sufficient score. The tracker also starts vehicles only with a confident
 * or a steady detection.
 */
export function isLikely({ track, scoreMax }: Place): boolean {
  return track !== 0 || scoreMax >= SURE_SCORE_MIN;
}

/**
 * Records a detector run: whether a confirmed place is one vehicle, or a box around several. A queue sometimes looks
 * like a bus, but its cars are detected for longer.
 */
export function noteGroup(
  place: Place,
  vehicles: readonly Detection[],
  isFound: boolean,
  elapsedMs: number,
): void {
  if (isFound) place.groupMs = Math.max(0, place.groupMs - elapsedMs);
  else if (isGroup(place, sureBoxesOf(vehicles))) place.groupMs += elapsedMs;
}

function sureBoxesOf(vehicles: readonly Detection[]): XyxyPx[] {
  const boxes: XyxyPx[] = [];
  for (const { score, xyxyPx } of vehicles) if (score >= SURE_SCORE_MIN) boxes.push(xyxyPx);
  return boxes;
}

/** Reports whether two of the boxes lie side by side in it. */
export function isGroup({ box }: Place, boxes: readonly XyxyPx[]): boolean {
  const inside: XyxyPx[] = [];
  for (const other of boxes) {
    if (!isPartOf(other, box, PART_INSIDE_MIN)) continue;
    for (const one of inside) if (iou(one, other) <= BESIDE_IOU_MAX) return true;
    inside.push(other);
  }
  return false;
}

/** Reports whether it was last detected where it was first detected. */
export function isInPlace({ box, foundBox }: Place): boolean {
  return iou(box, foundBox) >= IN_PLACE_IOU_MIN;
}

export function stays({ confirmed, presentMs, seenMs, groupMs }: Place, atMs: number): boolean {
  // The doubt takes as long as the confirmation did.
  if (confirmed !== undefined) return atMs - presentMs < ABSENT_MAX_MS && groupMs < CONFIRM_AFTER_MS;
  return atMs - presentMs < CANDIDATE_ABSENT_MAX_MS && atMs - seenMs < CANDIDATE_UNSEEN_MAX_MS;
}

export function bestTrack(tracks: readonly Track[], box: XyxyPx): Track | undefined {
  let best: Track | undefined;
  let maxOverlap = 0;
  for (const track of tracks) {
    const overlap = iou(track.xyxyPx, box);
    if (overlap < SAME_BOX_IOU_MIN || overlap <= maxOverlap) continue;
    maxOverlap = overlap;
    best = track;
  }
  return best;
}

/**
 * Reports whether two places are one vehicle. Detectors also box its parts, and a place may remain from when it rolled;
 * a track has only one place.
 */
export function isSameVehicle(place: Place, other: Place): boolean {
  if (other.track !== 0 && other.track === place.track) return true;
  if (iou(other.box, place.box) >= SAME_BOX_IOU_MIN || isPartOf(place.box, other.box, PART_INSIDE_MIN))
    return true;
  if (isBesideItself(place.box, other.box)) return true;
  return (
    isPartOf(other.box, place.box, PART_INSIDE_MIN) &&
    Math.abs(other.sinceMs - place.sinceMs) <= SAME_ARRIVAL_MS
  );
}

function isBesideItself(a: XyxyPx, b: XyxyPx): boolean {
  const ratio = area(a) / area(b);
  return Math.min(ratio, 1 / ratio) >= SAME_SIZE_RATIO_MIN && distanceSizes(a, b) < SAME_CENTRE_SIZES;
}

/**
 * Reports whether another object covers much of the place. The vehicle's own detections would count as seen. Other
 * detections hide it only if they are certain, since a false box hides nothing.
 */
export function isOccluded(place: Place, tracks: readonly Track[], vehicles: readonly Detection[]): boolean {
  // No overlap excludes a box here.
  return hasObjectInFront(place, tracks, vehicles, Number.POSITIVE_INFINITY);
}

/** Reports the same while the vehicle itself is detected; boxes that match it are its own. */
export function isPartlyOccluded(
  place: Place,
  tracks: readonly Track[],
  vehicles: readonly Detection[],
): boolean {
  return hasObjectInFront(place, tracks, vehicles, SAME_BOX_IOU_MIN);
}

/** Ignores objects that overlap the place by `iouMax` and more. */
function hasObjectInFront(
  { box, track }: Place,
  tracks: readonly Track[],
  vehicles: readonly Detection[],
  iouMax: number,
): boolean {
  for (const { id, xyxyPx } of tracks) if (id !== track && isBefore(box, xyxyPx, iouMax)) return true;
  for (const { score, xyxyPx } of vehicles)
    if (score >= SURE_SCORE_MIN && isBefore(box, xyxyPx, iouMax)) return true;
  return false;
}

function isBefore(box: XyxyPx, other: XyxyPx, iouMax: number): boolean {
  return iou(other, box) < iouMax && ratioInside(box, other) >= OCCLUSION_RATIO_MIN;
}

function area(box: XyxyPx): number {
  return (box[2] - box[0]) * (box[3] - box[1]);
}

/** Returns the distance of two boxes' centres in sizes (root of the area) of the first. */
export function distanceSizes(a: XyxyPx, b: XyxyPx): number {
  return Math.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2 / Math.sqrt(area(a));
}
