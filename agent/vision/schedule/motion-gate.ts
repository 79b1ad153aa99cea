/**
 * Decides whether the detector must run on a frame, or its last result still holds because nothing has moved since.
 *
 * It runs during motion and for a moment after it, every two seconds in any case, and while an object is awaited
 * (docs/design/015-load.md). An awaited object is uncertain, out of sight or moving, or a vehicle that may have
 * stopped. Only the scene decides: rules and their results have no effect, so no rule changes the input of another.
 *
 * INVARIANTS: two runs are at most `CHECK_MS` apart, as far as the frames allow; time is media time.
 */
import type { Frame } from '../../contract/picture.ts';
import { Motion } from './motion.ts';

const CHECK_MS = 2000;
/** Time of runs after motion, in ms, in which the tracker settles. A flicker of one frame is not motion. */
const SETTLE_MS = 600;

export class MotionGate {
  readonly #everyFrame: boolean;
  readonly #motion = new Motion();
  #lastRunMs: number | undefined;
  #atMs: number | undefined;
  #movedMs = Number.NEGATIVE_INFINITY;
  #hasMoved = false;

  /** `everyFrame` makes the detector run on every frame. */
  constructor({ everyFrame }: { readonly everyFrame: boolean }) {
    this.#everyFrame = everyFrame;
  }

  /** Takes the next frame. `awaited` states that an object is awaited. */
  mustDetect(frame: Frame, awaited: boolean): boolean {
    if (this.#everyFrame) return true;
    const { atMs } = frame;
    const stepMs = atMs - (this.#atMs ?? atMs);
    this.#atMs = atMs;
    const before = this.#hasMoved;
    this.#hasMoved = this.#motion.update(frame);
    if (before && this.#hasMoved) this.#movedMs = atMs;
    const check = this.#lastRunMs === undefined || atMs + stepMs - this.#lastRunMs > CHECK_MS;
    const isDue = this.#hasMoved || awaited || check || atMs - this.#movedMs < SETTLE_MS;
    if (!isDue) return false;
    this.#lastRunMs = atMs;
    this.#motion.noteDetectorRun();
    return true;
  }
}
