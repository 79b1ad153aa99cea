/** A place at which a vehicle stands, or may come to stand: what is remembered of it, and which places are one. */
import { iou, isPartOf, shareInside, type XyxyPx } from '../../contract/geometry.ts';
import type { Label } from '../../contract/label.ts';
import type { StandingVehicle } from '../../contract/observation.ts';
import type { Detection, Track } from '../../contract/picture.ts';
import type { Visit } from '../../contract/zone-visit.ts';
import type { Patch } from './patch.ts';

/** Two boxes of the same standing car differ by jitter only: half overlap leaves room for a cut-off corner. */
export const SAME_BOX_IOU_MIN = 0.4;
/** The jitter of a standing vehicle's box; one that rolls by a tenth of its length has less. */
const IN_PLACE_IOU_MIN = 0.7;
/** A candidate whose picture changes for so long has driven on. */
const CANDIDATE_ABSENT_MAX_MS = 1500;
/** A candidate that is no longer detected and was never sure is forgotten. */
const CANDIDATE_UNSEEN_MAX_MS = 15_000;
/** A stop at a crossing's kerb or a manoeuvre is shorter; every parking rule's own time is longer. */
const CONFIRM_AFTER_MS = 3000;
/** The detector's start threshold for vehicles (its model card): below it a box alone proves nothing. */
export const SURE_SCORE_MIN = 0.3;
/**
 * So much of a box inside of another is a part of it. What is hidden of a vehicle is not boxed: boxes of neighbours in
 * a queue share up to a third of the smaller one (docs/design/009-rules.md), halves of one car a half and more.
 */
const PART_INSIDE_MIN = 0.5;
/**
 * Two of about the same size whose centres lie nearer than this (in sizes) are one that has crept or was boxed
 * differently: half a car's length is less than the width of a car and a gap.
 */
const SAME_CENTRE_SIZES = 0.5;
const SAME_SIZE_RATIO_MIN = 0.6;
/** Two boxes that share so little lie beside each other: parts of one vehicle that are boxed at once share more. */
const BESIDE_IOU_MAX = 0.1;
/** A part that was found first came with its vehicle; what was there before is another, now behind it. */
const SAME_ARRIVAL_MS = 5000;
/** Longer than a detector's lapse or a cloud's edge passing; short enough that the next car is another. */
const ABSENT_MAX_MS = 5000;
/** A foreground object covers so much of the place when it can hide the car. */
const COVER_SHARE_MIN = 0.2;

export interface Place {
  readonly id: number;
  /** Where and since when: both move on while the vehicle still rolls, and are fixed once confirmed. */
  box: XyxyPx;
  sinceMs: number;
  /** When a vehicle was first found there, rolling or not. */
  readonly bornMs: number;
  /** The last box that was found there. */
  foundBox: XyxyPx;
  readonly visits: readonly Visit[];
  readonly votes: Map<Label, number>;
  /** Its arrival, once it is confirmed that a vehicle stands there. */
  confirmed: StandingVehicle['arrival'] | undefined;
  judgedMs: number;
  /** When to look next whether it can be confirmed. */
  lookMs: number;
  /** Number of the track last seen there; 0 = none yet. */
  track: number;
  /** The best that was found there since the place was judged last. */
  score: number;
  /** The best while the place looked as it does, or of the track that stopped there. */
  scoreMax: number;
  hits: number;
  seenMs: number;
  presentMs: number;
  hiddenSinceMs: number | undefined;
  patch: Patch | undefined;
  /** For how long two vehicles were found beside each other in it and it was not; less the time in which it was found. */
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
    judgedMs: Number.NEGATIVE_INFINITY,
    lookMs: atMs + CONFIRM_AFTER_MS,
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

/** It stands from now on, where it was found last. */
export function restart(place: Place, atMs: number): void {
  place.box = place.foundBox;
  place.sinceMs = atMs;
  place.lookMs = atMs + CONFIRM_AFTER_MS;
}

/** The tracker starts no vehicle lightly either: what it follows has been sure once, or steady. */
export function isLikely({ track, scoreMax }: Place): boolean {
  return track !== 0 || scoreMax >= SURE_SCORE_MIN;
}

/**
 * Takes note of a look: whether a confirmed place is one vehicle, or a box that was drawn round several. A queue looks like
 * a bus now and then; its cars are found for longer.
 */
export function noteGroup(
  place: Place,
  vehicles: readonly Detection[],
  found: boolean,
  elapsedMs: number,
): void {
  if (found) place.groupMs = Math.max(0, place.groupMs - elapsedMs);
  else if (isGroup(place, sureBoxesOf(vehicles))) place.groupMs += elapsedMs;
}

function sureBoxesOf(vehicles: readonly Detection[]): XyxyPx[] {
  const boxes: XyxyPx[] = [];
  for (const { score, xyxyPx } of vehicles) if (score >= SURE_SCORE_MIN) boxes.push(xyxyPx);
  return boxes;
}

/** Two of the boxes lie in it beside each other. */
export function isGroup({ box }: Place, others: readonly XyxyPx[]): boolean {
  const inside: XyxyPx[] = [];
  for (const other of others) {
    if (!isPartOf(other, box, PART_INSIDE_MIN)) continue;
    for (const one of inside) if (iou(one, other) <= BESIDE_IOU_MAX) return true;
    inside.push(other);
  }
  return false;
}

/** It was found last where it was found first. */
export function isInPlace({ box, foundBox }: Place): boolean {
  return iou(box, foundBox) >= IN_PLACE_IOU_MIN;
}

export function stays({ confirmed, presentMs, seenMs, groupMs }: Place, atMs: number): boolean {
  // What took so long to be believed takes as long to be doubted.
  if (confirmed !== undefined) return atMs - presentMs < ABSENT_MAX_MS && groupMs < CONFIRM_AFTER_MS;
  return atMs - presentMs < CANDIDATE_ABSENT_MAX_MS && atMs - seenMs < CANDIDATE_UNSEEN_MAX_MS;
}

export function bestTrack(tracks: readonly Track[], box: XyxyPx): Track | undefined {
  let best: Track | undefined;
  let most = 0;
  for (const track of tracks) {
    const overlap = iou(track.xyxyPx, box);
    if (overlap < SAME_BOX_IOU_MIN || overlap <= most) continue;
    most = overlap;
    best = track;
  }
  return best;
}

/** Detectors box a vehicle's parts as well, and a place may remain from when it rolled: one track stands at one place. */
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
 * Does another object lie over a good part of the place? Its own detections would have been counted as seen;
 * of the others only sure ones hide it, since a false box hides nothing.
 */
export function covered(place: Place, tracks: readonly Track[], vehicles: readonly Detection[]): boolean {
  // No box is more like it than it is like itself.
  return isCovered(place, tracks, vehicles, Number.POSITIVE_INFINITY);
}

/** The same while the vehicle itself is found: what is boxed as it is, is it. */
export function partlyCovered(
  place: Place,
  tracks: readonly Track[],
  vehicles: readonly Detection[],
): boolean {
  return isCovered(place, tracks, vehicles, SAME_BOX_IOU_MIN);
}

/** Of objects that overlap the place by `iouMax` and more nothing is asked. */
function isCovered(
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
  return iou(other, box) < iouMax && shareInside(box, other) >= COVER_SHARE_MIN;
}

function area(box: XyxyPx): number {
  return (box[2] - box[0]) * (box[3] - box[1]);
}

/** Distance of two boxes' centres in sizes (root of the area) of the first. */
export function distanceSizes(a: XyxyPx, b: XyxyPx): number {
  return Math.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2 / Math.sqrt(area(a));
}
