/**
 * Follows the motion in the camera's second stream. It also decides whether that stream shows the same as the main one:
 * it must have shown the starts of motion that the main one saw.
 *
 * INVARIANTS: times are media times, which both streams count on one clock; any doubt counts as motion.
 * LIMITS: the last STARTS starts are compared.
 */
import { assert } from '../../base/errors.ts';
import { type SizePx, sameSize } from '../../contract/geometry.ts';
import type { Glimpse } from '../../contract/picture.ts';
import { SETTLE_MS } from './wanted-rate.ts';

/** Interval of the slow comparison, in ms. Motion below a cell's noise in a tenth of a second adds up in it. */
export const SLOW_MS = 1000;
/** Time without pictures after which the second stream cannot wake, in ms: ten pictures. */
export const SILENT_MS = 1000;
/**
 * Number of compared starts, and minimum number shown. One start in twenty may be noise that only one of two encoders
 * keeps. Fewer shown ones mean another view, or a frozen stream.
 */
const STARTS = 20;
const STARTS_SEEN_MIN = 19;
/** Tolerance for the same start, in ms: the delay between the streams, and slow motion. */
const SAME_START_MS = 1000;

export class SecondView {
  /** State of the second stream: time of the last picture, start of the present motion, and time of the last motion. */
  #pictureMs = Number.NEGATIVE_INFINITY;
  #beganMs = Number.NEGATIVE_INFINITY;
  #movedMs = Number.NEGATIVE_INFINITY;
  #secondSize: SizePx | undefined;
  #mainSize: SizePx | undefined;
  #mainStill = false;
  /** Start of the main stream that the second has not shown yet. */
  #awaitedMs: number | undefined;
  #starts: boolean[] = [];

  /** The last compared starts of motion in the main stream; true if the second stream showed them. */
  get starts(): readonly boolean[] {
    return this.#starts;
  }

  /** Takes each picture of the second stream; returns true if something moves in it. */
  watchSecond({ atMs, motion }: Pick<Glimpse, 'atMs' | 'motion'>): boolean {
    assert(motion !== undefined, 'the second stream states its motion');
    // After a gap the past is unknown; the camera reports motion for the first picture of an opening or size.
    const hasMotion = motion.any || atMs - this.#pictureMs > SILENT_MS;
    this.#secondSize = motion.size;
    this.#pictureMs = atMs;
    if (!hasMotion) return false;
    if (this.isStill(atMs)) this.#beganMs = atMs;
    this.#movedMs = atMs;
    if (this.#awaitedMs !== undefined && this.#shows(this.#awaitedMs)) this.#noteStart(true);
    return true;
  }

  /** Takes each picture of the main stream, and whether it has been still for a while. */
  watchMain({ atMs, motion }: Pick<Glimpse, 'atMs' | 'motion'>, isStill: boolean): void {
    this.#mainSize = motion?.size;
    const isStart = this.#mainStill && !isStill;
    this.#mainStill = isStill;
    if (this.#awaitedMs !== undefined && this.#pictureMs - this.#awaitedMs > SAME_START_MS)
      this.#noteStart(false);
    if (!isStart) return;
    if (this.#shows(atMs)) this.#noteStart(true);
    else this.#awaitedMs ??= atMs;
  }

  /** Returns why the second stream cannot be trusted; undefined if it can. */
  problem(nowMs: number): string | undefined {
    if (nowMs - this.#pictureMs > SILENT_MS) return 'the second stream gives no pictures';
    if (!sameSize(this.#secondSize, this.#mainSize)) return 'the second stream shows another shape';
    if (this.#starts.length < STARTS)
      return `${this.#starts.length} of ${STARTS} beginnings of motion are compared`;
    const seenStarts = this.#starts.filter(Boolean).length;
    if (seenStarts < STARTS_SEEN_MIN)
      return `the second stream showed ${seenStarts} of ${STARTS} beginnings of motion`;
    return undefined;
  }

  /** Reports whether the second stream has been still for a while. */
  isStill(nowMs: number): boolean {
    return nowMs - this.#movedMs >= SETTLE_MS;
  }

  /**
   * Reports whether the second stream shows this start. A main stream that catches up reports it late, when the second
   * has shown the motion for a while.
   */
  #shows(startMs: number): boolean {
    return startMs >= this.#beganMs - SAME_START_MS && startMs <= this.#movedMs + SAME_START_MS;
  }

  #noteStart(wasSeen: boolean): void {
    this.#awaitedMs = undefined;
    this.#starts = [...this.#starts, wasSeen].slice(-STARTS);
  }
}
