/**
 * Motion in the small pictures of the camera's second stream, and whether it can be trusted to show what the main stream
 * would: while it has shown what that saw begin to move.
 *
 * Pictures are compared with each other (onset.ts), each with the one before and once a second with that of a second ago.
 *
 * INVARIANTS: times are media times, which both streams count on one clock; whatever is not positively so is not quiet.
 * LIMITS: the last STARTS starts are compared.
 */
import { assert } from '../../base/errors.ts';
import { type SizePx, sameSize } from '../../contract/geometry.ts';
import type { Glimpse } from '../../contract/picture.ts';
import { Onset } from './onset.ts';
import { SETTLE_MS } from './wanted-rate.ts';

/** What moves by less than a cell's noise in a tenth of a second adds up in this. */
const SLOW_MS = 1000;
/** Ten pictures; then the second stream can wake nobody. */
export const SILENT_MS = 1000;
/** One start in twenty may be noise that only one of two encoders keeps; fewer seen: another view, or a frozen stream. */
const STARTS = 20;
const STARTS_SEEN_MIN = 19;
/** The main stream's delay behind the second or before it, and what is slow. */
const SAME_START_MS = 1000;

const nothingKnown = (): boolean => false;

export class SecondView {
  readonly #quick = new Onset(nothingKnown);
  readonly #slow = new Onset(nothingKnown);
  #slowMs = Number.NEGATIVE_INFINITY;
  /** Of the second stream: when its last picture was, when something last moved in it, and since when it does. */
  #pictureMs = Number.NEGATIVE_INFINITY;
  #beganMs = Number.NEGATIVE_INFINITY;
  #movedMs = Number.NEGATIVE_INFINITY;
  #secondSize: SizePx | undefined;
  #mainSize: SizePx | undefined;
  #mainStill = false;
  /** A start of the main stream that the second has not shown yet. */
  #awaitedMs: number | undefined;
  #starts: boolean[] = [];

  /** Beginnings of motion that the main stream saw and that were compared, the last ones; true where it showed them. */
  get starts(): readonly boolean[] {
    return this.#starts;
  }

  /** Takes each picture of the second stream; true where something moves in it. */
  watchSecond({ atMs, small }: Pick<Glimpse, 'atMs' | 'small'>): boolean {
    assert(small !== undefined, 'the second stream gives small pictures');
    // After a gap, and of a new size, nothing is known: Onset tells motion of its first picture.
    let moved = this.#quick.update(small, atMs, nothingKnown).any || atMs - this.#pictureMs > SILENT_MS;
    if (atMs - this.#slowMs >= SLOW_MS) {
      this.#slowMs = atMs;
      moved = this.#slow.update(small, atMs, nothingKnown).any || moved;
    }
    this.#secondSize = small.size;
    this.#pictureMs = atMs;
    if (!moved) return false;
    if (this.isStill(atMs)) this.#beganMs = atMs;
    this.#movedMs = atMs;
    if (this.#awaitedMs !== undefined && this.#shows(this.#awaitedMs)) this.#noteStart(true);
    return true;
  }

  /** Takes each picture of the main stream, and whether nothing has moved there for a while. */
  watchMain({ atMs, small }: Pick<Glimpse, 'atMs' | 'small'>, isStill: boolean): void {
    this.#mainSize = small?.size;
    const begins = this.#mainStill && !isStill;
    this.#mainStill = isStill;
    if (this.#awaitedMs !== undefined && this.#pictureMs - this.#awaitedMs > SAME_START_MS)
      this.#noteStart(false);
    if (!begins) return;
    if (this.#shows(atMs)) this.#noteStart(true);
    else this.#awaitedMs ??= atMs;
  }

  /** Why the second stream cannot be trusted; undefined where it can. */
  fault(nowMs: number): string | undefined {
    if (nowMs - this.#pictureMs > SILENT_MS) return 'the second stream gives no pictures';
    if (!sameSize(this.#secondSize, this.#mainSize)) return 'the second stream shows another shape';
    if (this.#starts.length < STARTS)
      return `${this.#starts.length} of ${STARTS} beginnings of motion are compared`;
    const seen = this.#starts.filter(Boolean).length;
    if (seen < STARTS_SEEN_MIN) return `the second stream showed ${seen} of ${STARTS} beginnings of motion`;
    return undefined;
  }

  /** Whether nothing has moved in the second stream for a while. */
  isStill(nowMs: number): boolean {
    return nowMs - this.#movedMs >= SETTLE_MS;
  }

  /** A main stream that catches up tells of a start when the second has shown the motion for a while. */
  #shows(startMs: number): boolean {
    return startMs >= this.#beganMs - SAME_START_MS && startMs <= this.#movedMs + SAME_START_MS;
  }

  #noteStart(seen: boolean): void {
    this.#awaitedMs = undefined;
    this.#starts = [...this.#starts, seen].slice(-STARTS);
  }
}
