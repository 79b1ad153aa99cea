/**
 * Finds moving regions: areas that differ from the background and move, independent of the detector.
 *
 * Touching cells form one region, including settled foreground beside them, because the head of a waiting person moves
 * and the feet do not. A region without motion is an object that was put down and stays visible.
 */
import { type Foreground, MOVING } from '../../contract/picture.ts';

/**
 * Moving cells required for a region. Single cells are leaves, rain and codec noise; a person of 40 px moves in more.
 */
const MOVING_CELLS_MIN = 2;

/**
 * Returns 1 for the cells of the foreground's grid in a moving region. Each region reaches one cell beyond the measured
 * difference, which also closes gaps of two cells.
 */
export function movingCells(foreground: Foreground): Uint8Array {
  const { columns, rows, cells } = foreground;
  const hidden = new Uint8Array(columns * rows);
  // 1 marks cells to visit, 2 those in a region.
  const grown = widened(foreground);
  const region = new Uint16Array(columns * rows);
  for (let start = grown.indexOf(1); start >= 0; start = grown.indexOf(1, start)) {
    let [length, moving] = [1, 0];
    region[0] = start;
    grown[start] = 2;
    for (let head = 0; head < length; head += 1) {
      const cell = region[head] as number;
      if (cells[cell] === MOVING) moving += 1;
      const [x, y] = [cell % columns, Math.floor(cell / columns)];
      for (let row = Math.max(0, y - 1); row < Math.min(rows, y + 2); row += 1) {
        for (
          let next = row * columns + Math.max(0, x - 1);
          next < row * columns + Math.min(columns, x + 2);
          next += 1
        ) {
          if (grown[next] !== 1) continue;
          grown[next] = 2;
          region[length] = next;
          length += 1;
        }
      }
    }
    if (moving < MOVING_CELLS_MIN) continue;
    for (let i = 0; i < length; i += 1) hidden[region[i] as number] = 1;
  }
  return hidden;
}

/** Returns 1 for foreground cells, moving or settled, and their neighbours. */
function widened({ columns, rows, cells }: Foreground): Uint8Array {
  const grown = new Uint8Array(cells.length);
  for (let y = 0; y < rows; y += 1) {
    for (let x = 0; x < columns; x += 1) {
      if (cells[y * columns + x] === 0) continue;
      const [left, right] = [Math.max(0, x - 1), Math.min(columns, x + 2)];
      for (let row = Math.max(0, y - 1); row < Math.min(rows, y + 2); row += 1) {
        grown.fill(1, row * columns + left, row * columns + right);
      }
    }
  }
  return grown;
}
