/**
 * Whether the detector must look at a frame, or what it said last still holds because nothing has moved since.
 *
 * It looks while anything moves and a moment longer, while an object is waited for (one that is not sure yet, is out of
 * sight or moves, a vehicle that may have come to stand), and every two seconds in any case (docs/design/015-load.md).
 * The scene alone decides: what rules there are, and what they have found, changes nothing that another rule sees.
 *
 * INVARIANTS: no two looks are further apart than `CHECK_MS`, as far as the frames allow; time is media time.
 */
import type { Frame } from '../../contract/picture.ts';
import { Motion } from './motion.ts';

const CHECK_MS = 2000;
/** What has come to rest is looked at for so long: the tracker settles in it. A flicker of one frame is no motion. */
const SETTLE_MS = 600;

export class MotionGate {
  readonly #everyFrame: boolean;
  readonly #motion = new Motion();
  #lookMs: number | undefined;
  #atMs: number | undefined;
  #movedMs = Number.NEGATIVE_INFINITY;
  #moved = false;

  /** `everyFrame`: there is nothing to decide. */
  constructor({ everyFrame }: { readonly everyFrame: boolean }) {
    this.#everyFrame = everyFrame;
  }

  /** Takes the next frame. `awaited`: an object is waited for. */
  mustLook(frame: Frame, awaited: boolean): boolean {
    if (this.#everyFrame) return true;
    const { atMs } = frame;
    const stepMs = atMs - (this.#atMs ?? atMs);
    this.#atMs = atMs;
    const before = this.#moved;
    this.#moved = this.#motion.update(frame);
    if (before && this.#moved) this.#movedMs = atMs;
    const check = this.#lookMs === undefined || atMs + stepMs - this.#lookMs > CHECK_MS;
    const look = this.#moved || awaited || check || atMs - this.#movedMs < SETTLE_MS;
    if (!look) return false;
    this.#lookMs = atMs;
    this.#motion.looked();
    return true;
  }
}
