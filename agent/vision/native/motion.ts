/** Cells in which the addon sees motion (native/gst/motion.h), and the motion between frames of the detector. */
import type { FrameMotion, Grid } from 'vigie-native';
import type { SizePx } from '../../contract/geometry.ts';
import { addon } from './addon.ts';

export type { FrameMotion };

/** Minimum side of a cell in px. A person 10 px tall covers five cells of the detector's input. */
const CELL_PX = 4;

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

/** Compares frames of `widthPx` in a grid that lies at a place in them. */
export function frameMotion(
  grid: Grid,
  widthPx: number,
  { leftPx, topPx }: { leftPx: number; topPx: number },
): FrameMotion {
  return new addon.FrameMotion(grid, widthPx, leftPx, topPx);
}
