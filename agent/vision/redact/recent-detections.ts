/**
 * Stores the detections of the last detector runs.
 *
 * A small detector finds a person in some frames only, and a still is redacted by the detections within two seconds of
 * it. Where the detector rests because nothing moves, these detections replace those of the skipped frames.
 *
 * LIMITS: `RUNS_MAX` runs; a box that nearly repeats another is stored once.
 */
import { iou } from '../../contract/geometry.ts';
import type { Detection } from '../../contract/picture.ts';

/** Number of runs: two seconds at the usual five frames a second, the redactor's own memory (history.ts). */
const RUNS_MAX = 10;
const SAME_IOU = 0.85;

export class RecentDetections {
  #runs: (readonly Detection[])[] = [];
  #places: readonly Detection[] | undefined;

  add(detections: readonly Detection[]): void {
    this.#runs = [...this.#runs.slice(1 - RUNS_MAX), detections];
    this.#places = undefined;
  }

  /** All stored detections, the newest first. */
  get places(): readonly Detection[] {
    this.#places ??= distinct(this.#runs.toReversed().flat());
    return this.#places;
  }
}

function distinct(detections: readonly Detection[]): Detection[] {
  const remaining: Detection[] = [];
  for (const one of detections) {
    const isDuplicate = remaining.some(
      (other) => other.label === one.label && iou(other.xyxyPx, one.xyxyPx) >= SAME_IOU,
    );
    if (!isDuplicate) remaining.push(one);
  }
  return remaining;
}
