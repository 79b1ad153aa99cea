/**
 * Where the detector has found something in its last looks. A small detector finds a person in some frames and not in
 * others, and a still is redacted by what was found within two seconds of it: where the detector rests because nothing
 * moves, what it found in as many looks before stands for the frames that it did not look at.
 *
 * LIMITS: `LOOKS_MAX` looks; a box that nearly repeats another is kept once.
 */
import { iou } from '../../contract/geometry.ts';
import type { Detection } from '../../contract/picture.ts';

/** Two seconds at the usual five frames a second: the redactor's own memory (history.ts). */
const LOOKS_MAX = 10;
const SAME_IOU = 0.85;

export class RecentLooks {
  #looks: (readonly Detection[])[] = [];
  #places: readonly Detection[] | undefined;

  add(found: readonly Detection[]): void {
    this.#looks = [...this.#looks.slice(1 - LOOKS_MAX), found];
    this.#places = undefined;
  }

  /** All of them, the newest first. */
  get places(): readonly Detection[] {
    this.#places ??= distinct(this.#looks.toReversed().flat());
    return this.#places;
  }
}

function distinct(found: readonly Detection[]): Detection[] {
  const kept: Detection[] = [];
  for (const one of found) {
    const again = kept.some(
      (other) => other.label === one.label && iou(other.xyxyPx, one.xyxyPx) >= SAME_IOU,
    );
    if (!again) kept.push(one);
  }
  return kept;
}
