/**
 * Tests which moving parts have passed through the picture: codec noise at their border makes none of them a wanderer.
 */
import t from 'tap';
import { type Foreground, MOVING } from '../../agent/contract/picture.ts';
import { UnclassifiedMotion } from '../../agent/vision/observe/unclassified-motion.ts';
import { randomOf } from '../lib/random.ts';

const SOURCE = { widthPx: 832, heightPx: 512 };
const [COLUMNS, ROWS] = [64, 40];
const EVERY_MS = 200;

interface Cells {
  readonly left: number;
  readonly top: number;
  readonly wide: number;
  readonly high: number;
}

/** Shows one part in each picture; returns the number of passages. */
function passed(parts: readonly Cells[]): number {
  const unclassifiedMotion = new UnclassifiedMotion();
  let count = 0;
  // Nothing moves at the end for as long as it takes to forget the part.
  for (let k = 0; k < parts.length + 5; k += 1) {
    const cells = new Uint8Array(COLUMNS * ROWS);
    const part = parts[k];
    if (part !== undefined) {
      for (let y = part.top; y < part.top + part.high; y += 1)
        cells.fill(MOVING, y * COLUMNS + part.left, y * COLUMNS + part.left + part.wide);
    }
    const foreground: Foreground = { columns: COLUMNS, rows: ROWS, cellNorm: [1 / COLUMNS, 1 / ROWS], cells };
    count += unclassifiedMotion.update(foreground, [], SOURCE, k * EVERY_MS).length;
  }
  return count;
}

/**
 * A part that goes right by a cell in `looks` pictures; with `noise` a column or row at each side comes or goes at
 * random.
 */
function slowVehicle(picturesPerCell: number, noise: boolean, seed: number): Cells[] {
  const random = randomOf(seed);
  const flicker = (): number => (noise && random() < 0.5 ? 1 : 0);
  return Array.from({ length: 5 * picturesPerCell }, (_, k) => {
    const [left, top, right, bottom] = [flicker(), flicker(), flicker(), flicker()];
    return {
      left: 10 + Math.floor(k / picturesPerCell) - left,
      top: 15 - top,
      wide: 4 + left + right,
      high: 4 + top + bottom,
    };
  });
}

t.test('a slow vehicle passes, with or without noise at its border', async (t) => {
  const wide = (vehicle: Cells[]): Cells[] =>
    vehicle.map((part, k) => ({ ...part, left: part.left + Math.floor(k / 4) }));
  t.equal(passed(wide(slowVehicle(5, false, 1))), 1, 'a clean picture');
  for (let seed = 1; seed <= 20; seed += 1)
    t.equal(passed(wide(slowVehicle(5, true, seed))), 1, `noise, seed ${seed}`);
});

t.test('a part whose border wanders by more than its own size passes nowhere', async (t) => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = randomOf(seed);
    let [left, top] = [30, 18];
    const parts = Array.from({ length: 25 }, () => {
      left += random() < 0.5 ? -3 : 3;
      top += random() < 0.5 ? -3 : 3;
      left = Math.max(20, Math.min(40, left));
      top = Math.max(10, Math.min(28, top));
      return { left, top, wide: 5, high: 5 };
    });
    t.equal(passed(parts), 0, `seed ${seed}`);
  }
});
