/**
 * Finds cells of the complete picture in which an object rests or moves in front of the learnt background. The redactor
 * hides them in addition to the boxes of the detector, which may have missed a person.
 *
 * The detector is not involved: its results have no effect on this background.
 *
 * INVARIANTS: time is media time; a returned result never changes.
 * LIMITS: CELLS_MAX cells; updated at most every TICK_MS.
 */
import { type SizePx, sameSize } from '../../contract/geometry.ts';
import type { Foreground, Frame } from '../../contract/picture.ts';
import type { Polygon } from '../../contract/plane.ts';
import { Background } from './background.ts';
import { CHANGED } from './background-state.ts';
import { SmallPicture } from './small-picture.ts';

/**
 * Maximum number of cells. A person of 40 px in a still of 576 lines is three of them high. Four times as many cells
 * found fewer people on their own.
 */
const CELLS_MAX = 3000;
/** Interval of the updates: 5 Hz of media time, as for the static regions (scene.ts). */
const TICK_MS = 190;
/** Time after which a resting object belongs to the street, in ms: a parked car, or the place of one that left. */
const ABSORBED_MS = 600_000;

const EVERYWHERE: Polygon = [
  [0, 0],
  [1, 0],
  [1, 1],
  [0, 1],
];

export class MovingCells {
  #source: SizePx | undefined;
  #background: Background | undefined;
  #tickMs = 0;
  #foreground: Foreground | undefined;

  /** Takes the next frame; returns the result of the frame's tick. */
  update(frame: Frame): Foreground {
    const { atMs, source } = frame;
    const same = sameSize(this.#source, source);
    if (same && this.#foreground !== undefined && atMs - this.#tickMs < TICK_MS) return this.#foreground;
    this.#tickMs = atMs;
    const background =
      same && this.#background !== undefined ? this.#background : this.#makeBackground(frame);
    background.picture.read(frame);
    background.update(atMs);
    this.#absorb(background, atMs);
    const { columns, rows, sourcePxPerCell } = background.picture.grid;
    const cells = new Uint8Array(columns * rows);
    background.foreground(cells);
    const cellNorm = [sourcePxPerCell[0] / source.widthPx, sourcePxPerCell[1] / source.heightPx] as const;
    this.#foreground = { columns, rows, cellNorm, cells };
    return this.#foreground;
  }

  /** Creates the background for a source of another size, to which the old one does not apply. */
  #makeBackground(frame: Frame): Background {
    this.#source = frame.source;
    const picture = new SmallPicture(frame, [EVERYWHERE], CELLS_MAX);
    this.#background = new Background(picture);
    return this.#background;
  }

  #absorb(background: Background, atMs: number): void {
    if (background.changedCells === 0) return;
    const { state, changedMs, picture } = background;
    for (const i of picture.grid.usedCells) {
      if (state[i] === CHANGED && atMs - (changedMs[i] as number) > ABSORBED_MS) background.absorb(i);
    }
  }
}
