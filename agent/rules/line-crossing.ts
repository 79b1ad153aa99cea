/**
 * Raises an event when an object's ground point crosses a line towards a watched side.
 *
 * A vehicle must have reached a sufficient score once, and its pixels must move with its box. The rule waits for this
 * proof, because a vehicle may have been seen in only three frames when it crosses. One object counts once if it has
 * two boxes, or if it is lost while it crosses and detected again under another number.
 * LIMITS: pairs of the vehicles in one observation, for a second.
 */
import { iou, isPartOf, type XyxyPx } from '../contract/geometry.ts';
import type { Crossing, Observation, ObservedTrack } from '../contract/observation.ts';
import type { LineCrossing } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import type { Rule } from './rule.ts';
import { isSure } from './sure.ts';

/** Three further detector runs at 5 frames a second. The pixels of a real vehicle move in two of three. */
const PROOF_MS = 700;
/** Pixels that moved with the box within this time prove the crossing. */
const MOVED_MS = 1000;
/**
 * A track lost on the line is continued under a new number within the time in which a person's track is taken up by
 * another.
 */
const SAME_PASSAGE_MS = 1000;
/** The tracker treats boxes that overlap a track more than this as the same object. */
const SAME_OBJECT_IOU = 0.4;
/** Overlap for a vehicle's cab or front, which is detected as a second vehicle. */
const PART_INSIDE = 0.7;
/**
 * Time after an overlap in which two boxes still count as one object. Behind a pole a box splits and merges, and the
 * overlap at the moment of crossing depends on single pixels.
 */
const TOGETHER_MS = 1000;
/**
 * Maximum distance from its predicted place at which a lost object counts as the same, in longer sides of the box. The
 * next vehicle in the lane is further away.
 */
const FOUND_AGAIN_SIZES = 1;

interface LinePassage {
  readonly track: number;
  readonly direction: Crossing['direction'];
  readonly atMs: number;
  /** Last followed state, and its time. */
  last: ObservedTrack;
  lastMs: number;
  raised: boolean;
}

export class LineCrossingRule implements Rule {
  readonly config: LineCrossing;
  #passages: LinePassage[] = [];
  #movedMs = new Map<number, number>();
  /** Time of the last overlap of two vehicles' boxes, by their numbers. */
  #togetherMs = new Map<string, number>();

  constructor(config: LineCrossing) {
    this.config = config;
  }

  observe({ frame, tracks, crossings, atMs, source }: Observation): Situation[] {
    const aspect = source.widthPx / source.heightPx;
    this.#follow(tracks, atMs);
    this.#pairUp(tracks, atMs);
    for (const crossing of crossings) this.#add(crossing, tracks, atMs, aspect);
    const situations: Situation[] = [];
    for (const passage of this.#passages) {
      if (passage.raised || !this.#isProven(passage.last, atMs)) continue;
      passage.raised = true;
      const { track, last, direction } = passage;
      const key = `track-${track}-frame-${frame}`;
      situations.push({ key, objects: [last], cause: { direction }, momentary: true });
    }
    return situations;
  }

  #follow(tracks: readonly ObservedTrack[], atMs: number): void {
    const before = this.#movedMs;
    const movedMs = new Map<number, number>();
    for (let i = 0; i < tracks.length; i++) {
      const { id, pixelsMove } = tracks[i] as ObservedTrack;
      const at = pixelsMove ? atMs : before.get(id);
      if (at !== undefined) movedMs.set(id, at);
    }
    this.#movedMs = movedMs;
    if (this.#passages.length === 0) return;
    this.#passages = this.#passages.filter(
      (passage) => atMs - passage.atMs <= (passage.raised ? SAME_PASSAGE_MS : PROOF_MS),
    );
    for (const passage of this.#passages) {
      const now = tracks.find(({ id }) => id === passage.track);
      if (now === undefined) continue;
      passage.last = now;
      passage.lastMs = atMs;
    }
  }

  /** Tracks overlaps of vehicles only: two people who walk side by side both cross. */
  #pairUp(tracks: readonly ObservedTrack[], atMs: number): void {
    for (const [pair, ms] of this.#togetherMs) if (atMs - ms > TOGETHER_MS) this.#togetherMs.delete(pair);
    const vehicles = tracks.filter(({ group, seen: isSeen }) => group === 'vehicle' && isSeen);
    for (let i = 1; i < vehicles.length; i++) {
      const one = vehicles[i] as ObservedTrack;
      for (let j = 0; j < i; j++) {
        const other = vehicles[j] as ObservedTrack;
        if (isUpon(one.xyxyNorm, other.xyxyNorm)) this.#togetherMs.set(pairOf(one.id, other.id), atMs);
      }
    }
  }

  #add(crossing: Crossing, tracks: readonly ObservedTrack[], atMs: number, aspect: number): void {
    const { line, classes, direction } = this.config;
    if (crossing.line !== line || (direction !== 'both' && crossing.direction !== direction)) return;
    const last = tracks.find(({ id }) => id === crossing.track);
    const labels: readonly string[] = classes;
    if (last === undefined || !labels.includes(last.label)) return;
    const before = this.#passages.find(
      (passage) =>
        passage.direction === crossing.direction &&
        (isSame(passage, last, atMs, aspect) || this.#togetherMs.has(pairOf(passage.track, last.id))),
    );
    // Same object under another number: the first proven of the two is reported.
    if (before?.raised) return;
    if (before !== undefined) this.#passages = this.#passages.filter((passage) => passage !== before);
    this.#passages.push({
      track: last.id,
      direction: crossing.direction,
      atMs,
      last,
      lastMs: atMs,
      raised: false,
    });
  }

  #isProven(track: ObservedTrack, atMs: number): boolean {
    if (track.group !== 'vehicle') return true;
    const movedMs = this.#movedMs.get(track.id);
    return isSure(track) && movedMs !== undefined && atMs - movedMs <= MOVED_MS;
  }
}

/** True if the crossing track is the object that has already crossed. Two tracks seen side by side are two objects. */
function isSame({ last, lastMs }: LinePassage, now: ObservedTrack, atMs: number, aspect: number): boolean {
  if (last.id === now.id || last.group !== now.group) return false;
  const predictedBox = movedOn(last, (atMs - lastMs) / 1000);
  if (now.firstMs <= last.lastMs) {
    return now.group === 'vehicle'
      ? isUpon(predictedBox, now.xyxyNorm)
      : iou(predictedBox, now.xyxyNorm) > SAME_OBJECT_IOU;
  }
  const [x1, y1, x2, y2] = now.xyxyNorm;
  const size = Math.max((x2 - x1) * aspect, y2 - y1);
  return (
    Math.hypot(((x1 + x2 - predictedBox[0] - predictedBox[2]) / 2) * aspect, y2 - predictedBox[3]) <=
    FOUND_AGAIN_SIZES * size
  );
}

function pairOf(a: number, b: number): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

/** True if two vehicle boxes show one vehicle, or a vehicle and a part of it. */
function isUpon(a: XyxyPx, b: XyxyPx): boolean {
  return iou(a, b) > SAME_OBJECT_IOU || isPartOf(a, b, PART_INSIDE) || isPartOf(b, a, PART_INSIDE);
}

/** Returns the box after the given time, at constant velocity. */
function movedOn({ xyxyNorm, velocityNormPerS: [vx, vy] }: ObservedTrack, seconds: number): XyxyPx {
  const [x1, y1, x2, y2] = xyxyNorm;
  return [x1 + vx * seconds, y1 + vy * seconds, x2 + vx * seconds, y2 + vy * seconds];
}
