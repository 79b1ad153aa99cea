/**
 * Whether the detector must look at a frame, or what it said last still holds because nothing has moved since.
 *
 * It looks while anything moves and a moment longer, while an object is waited for (one that is not sure yet, is out of
 * sight or moves, a vehicle that may have come to stand), while an incident is open, and every two seconds in any
 * case (docs/design/015-load.md).
 *
 * INVARIANTS: no two looks are further apart than `CHECK_MS`, as far as the frames allow; time is media time.
 */
import type { Frame } from '../contract/picture.ts';

const CHECK_MS = 2000;
/** What has come to rest is looked at for so long: the tracker settles in it. A flicker of one frame is no motion. */
const SETTLE_MS = 600;

export interface GateOptions {
  /** Something has moved in this frame since the last look (observe/motion.ts). */
  moved(frame: Frame): boolean;
  looked(): void;
  /** False: every frame is looked at. */
  readonly gating: boolean;
}

export class Gate {
  readonly #options: GateOptions;
  #lookMs: number | undefined;
  #atMs: number | undefined;
  #movedMs = Number.NEGATIVE_INFINITY;
  #moved = false;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** `awaited`: an object is waited for, or an incident is open. */
  mustLook(frame: Frame, awaited: boolean): boolean {
    const { moved, looked, gating } = this.#options;
    if (!gating) return true;
    const { atMs } = frame;
    const stepMs = atMs - (this.#atMs ?? atMs);
    this.#atMs = atMs;
    const before = this.#moved;
    this.#moved = moved(frame);
    if (before && this.#moved) this.#movedMs = atMs;
    const check = this.#lookMs === undefined || atMs + stepMs - this.#lookMs > CHECK_MS;
    const look = this.#moved || awaited || check || atMs - this.#movedMs < SETTLE_MS;
    if (!look) return false;
    this.#lookMs = atMs;
    looked();
    return true;
  }
}
