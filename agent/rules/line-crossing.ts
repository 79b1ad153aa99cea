/**
 * An object's ground point passes a line towards a watched side.
 *
 * A vehicle must have been sure once, and its pixels must move with its box: it may have been seen in three frames only
 * when it passes, so that this is waited for. One thing that has two boxes, or is lost and found again under another
 * number while it passes, passes once.
 * LIMITS: pairs of the vehicles of an observation, a second long.
 */
import { iou, isPartOf, type XyxyPx } from '../contract/geometry.ts';
import type { Crossing, Observation, ObservedTrack } from '../contract/observation.ts';
import type { LineCrossing } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import type { Rule } from './rule.ts';
import { isSure } from './sure.ts';

/** Three further looks at 5 frames a second; the pixels of a real vehicle move in two looks of three. */
const PROOF_MS = 700;
/** Pixels that moved with the box so short a time ago are proof of the passage. */
const MOVED_MS = 1000;
/** A number that is lost on the line and found again is so within the time in which a person is lost for another. */
const SAME_PASSAGE_MS = 1000;
/** The tracker takes what overlaps a track more for the same object again. */
const SAME_OBJECT_IOU = 0.4;
/** A vehicle's cab, or its front, is boxed as a vehicle once more. */
const PART_INSIDE = 0.7;
/**
 * Two boxes that lay upon each other so short a time ago are of one thing: behind a pole its box breaks and mends, and the
 * overlap at the one look of the passage hangs on a pixel.
 */
const TOGETHER_MS = 1000;
/** Of the longer side: so far off its predicted place a lost object is found again; the next in the lane is further. */
const FOUND_AGAIN_SIZES = 1;

interface Passage {
  readonly track: number;
  readonly direction: Crossing['direction'];
  readonly atMs: number;
  /** As it was followed last, and when that was. */
  last: ObservedTrack;
  lastMs: number;
  raised: boolean;
}

export class LineCrossingRule implements Rule {
  readonly config: LineCrossing;
  #passages: Passage[] = [];
  #movedMs = new Map<number, number>();
  /** When two vehicles' boxes lay upon each other last, by their numbers. */
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

  /** Vehicles are followed in twos: whoever walks beside somebody passes as well. */
  #pairUp(tracks: readonly ObservedTrack[], atMs: number): void {
    for (const [pair, ms] of this.#togetherMs) if (atMs - ms > TOGETHER_MS) this.#togetherMs.delete(pair);
    const vehicles = tracks.filter(({ group, seen }) => group === 'vehicle' && seen);
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
    // The same thing under another number: whichever of the two is proven is told.
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

/** Is what passes now the thing that has passed already? Two that were seen beside each other are two. */
function isSame({ last, lastMs }: Passage, now: ObservedTrack, atMs: number, aspect: number): boolean {
  if (last.id === now.id || last.group !== now.group) return false;
  const there = movedOn(last, (atMs - lastMs) / 1000);
  if (now.firstMs <= last.lastMs) {
    return now.group === 'vehicle' ? isUpon(there, now.xyxyNorm) : iou(there, now.xyxyNorm) > SAME_OBJECT_IOU;
  }
  const [x1, y1, x2, y2] = now.xyxyNorm;
  const size = Math.max((x2 - x1) * aspect, y2 - y1);
  return (
    Math.hypot(((x1 + x2 - there[0] - there[2]) / 2) * aspect, y2 - there[3]) <= FOUND_AGAIN_SIZES * size
  );
}

function pairOf(a: number, b: number): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

/** Two boxes of vehicles are of one, or one is a part of the other. */
function isUpon(a: XyxyPx, b: XyxyPx): boolean {
  return iou(a, b) > SAME_OBJECT_IOU || isPartOf(a, b, PART_INSIDE) || isPartOf(b, a, PART_INSIDE);
}

/** The box so much later, if it goes on as it went. */
function movedOn({ xyxyNorm, velocityNormPerS: [vx, vy] }: ObservedTrack, seconds: number): XyxyPx {
  const [x1, y1, x2, y2] = xyxyNorm;
  return [x1 + vx * seconds, y1 + vy * seconds, x2 + vx * seconds, y2 + vy * seconds];
}
