/** Cells of a picture in which motion is looked for (vision/native/gst/motion.h). */
import type { SizePx } from '../../contract/geometry.ts';
import { isMasked } from '../../contract/masked.ts';
import { isNearWatched, type WatchedPlaces } from './wanted-rate.ts';

/** Minimum side of a cell in px. A person 10 px tall covers five cells of the detector's input. */
const CELL_PX = 4;
/** Maximum number of cells of a camera's picture. */
const CELLS_MAX = 2000;

export interface Grid {
  readonly columns: number;
  readonly sidePx: number;
  /** 1 for a cell that a mask touches. */
  readonly isBlack: Uint8Array;
}

/**
 * Divides a picture into at most `cellsMax` square cells.
 * @param isBlack whether a mask touches the square at a place
 */
export function gridOf(
  { widthPx, heightPx }: SizePx,
  cellsMax: number,
  isBlack: (leftPx: number, topPx: number, sidePx: number) => boolean,
): Grid {
  const sidePx = Math.max(CELL_PX, Math.ceil(Math.sqrt((widthPx * heightPx) / cellsMax)));
  const columns = Math.floor(widthPx / sidePx);
  const cells = Uint8Array.from({ length: columns * Math.floor(heightPx / sidePx) }, (_, cell) =>
    isBlack((cell % columns) * sidePx, Math.floor(cell / columns) * sidePx, sidePx) ? 1 : 0,
  );
  return { columns, sidePx, isBlack: cells };
}

/** Returns the cells of a camera's picture, with those marked that are at or near a watched place. */
export function watchedCells(places: WatchedPlaces, slowEveryMs: number) {
  return (size: SizePx, masked: Uint8Array | undefined) => {
    const grid = gridOf(size, CELLS_MAX, (leftPx, topPx, sidePx) =>
      isMasked({ masked, input: size }, leftPx, topPx, sidePx, sidePx),
    );
    const { columns, sidePx, isBlack } = grid;
    const isWatched = isBlack.map((_, cell) => {
      const xPx = ((cell % columns) + 0.5) * sidePx;
      const yPx = (Math.floor(cell / columns) + 0.5) * sidePx;
      return isNearWatched(places, [xPx / size.widthPx, yPx / size.heightPx]) ? 1 : 0;
    });
    return { ...grid, isWatched, slowEveryMs };
  };
}
