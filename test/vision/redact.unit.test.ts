/** Tests the parts drawn into a still, piece by piece: blocks, masks and signs. */
import fc from 'fast-check';
import t from 'tap';
import type { PointNorm, SizePx, XyxyPx } from '../../agent/contract/geometry.ts';
import { PrivacyMasks } from '../../agent/vision/camera/mask.ts';
import { Canvas, type Colour } from '../../agent/vision/redact/canvas.ts';
import { CELL_PX, COARSE, type Grid, gridOf, HIDDEN, LIVE } from '../../agent/vision/redact/cells.ts';
import { drawFigure } from '../../agent/vision/redact/figures.ts';
import { drawLegend } from '../../agent/vision/redact/legend.ts';
import { type CoarseBox, coarsen, fillUnknown, vehicleBlockPx } from '../../agent/vision/redact/mosaic.ts';
import { isTouched } from '../lib/pictures.ts';
import { ALL } from '../lib/run.ts';
import { noiseBytes } from '../lib/stills.ts';

/** Number of scenes that each property is tried on. */
const RUNS = ALL ? 200 : 50;

const side = fc.integer({ min: 1, max: 300 });
const anySize: fc.Arbitrary<SizePx> = fc.record({ widthPx: side, heightPx: side });
const at = fc.double({ min: -100, max: 400, noNaN: true });
const length = fc.double({ min: 0.1, max: 350, noNaN: true });
const anyBox: fc.Arbitrary<XyxyPx> = fc
  .tuple(at, at, length, length)
  .map(([x, y, width, height]) => [x, y, x + width, y + height]);
interface Scene {
  readonly size: SizePx;
  readonly boxes: XyxyPx[];
  readonly seed: number;
  readonly openRatio: number;
}
const anyScene: fc.Arbitrary<Scene> = fc.record({
  size: anySize,
  boxes: fc.array(anyBox, { minLength: 1, maxLength: 6 }),
  seed: fc.nat(),
  openRatio: fc.constantFrom(0, 0.02, 0.5, 1),
});

function forEachPixel(size: SizePx, visit: (x: number, y: number, index: number) => void): void {
  for (let y = 0; y < size.heightPx; y += 1) {
    for (let x = 0; x < size.widthPx; x += 1) visit(x, y, (y * size.widthPx + x) * 3);
  }
}

function cellAt({ columns }: Grid, x: number, y: number): number {
  return Math.floor(y / CELL_PX) * columns + Math.floor(x / CELL_PX);
}

/** 1 for the cells of which any part lies in a box. */
const cellsIn = (box: XyxyPx, grid: Grid): Uint8Array =>
  Uint8Array.from({ length: grid.columns * grid.rows }, (_, cell) => (isTouched(grid, cell, box) ? 1 : 0));

/** A scene in which the cells in a box show nothing, and some of the others neither. */
function sceneOf({ size, boxes, seed, openRatio }: Scene) {
  const grid = gridOf(size);
  const inBoxes = boxes.map((box) => cellsIn(box, grid));
  const unknown = Uint8Array.from({ length: grid.columns * grid.rows }, (_, cell) =>
    inBoxes.some((cells) => cells[cell] === 1) ? 1 : 0,
  );
  const chance = noiseBytes(unknown.length, seed + 1);
  const open = unknown.map((hidden, cell) => (hidden === 0 && (chance[cell] ?? 0) / 256 < openRatio ? 1 : 0));
  return { grid, inBoxes, unknown, open };
}

t.test('hiding blocks: no hidden pixel affects them, and public pixels stay', async (t) => {
  fc.assert(
    fc.property(anyScene, (scene) => {
      const { size, boxes, seed } = scene;
      const { grid, unknown, open } = sceneOf(scene);
      const before = noiseBytes(size.widthPx * size.heightPx * 3, seed);
      const other = before.slice();
      const altered = noiseBytes(before.length, seed + 2);
      forEachPixel(size, (x, y, index) => {
        if (open[cellAt(grid, x, y)] === 0) other.set(altered.subarray(index, index + 3), index);
      });
      const one = before.slice();
      fillUnknown(one, grid, unknown, open, boxes);
      fillUnknown(other, grid, unknown, open, boxes);
      let good = true;
      forEachPixel(size, (x, y, index) => {
        const cell = cellAt(grid, x, y);
        const same = unknown[cell] === 1 ? other : before;
        if (Buffer.compare(one.subarray(index, index + 3), same.subarray(index, index + 3)) !== 0)
          good = false;
      });
      return good;
    }),
    { numRuns: RUNS },
  );
  t.pass('holds for every scene tried');
});

t.test('hiding blocks: their side is a fifth of the box’s, in the mean colour around', async (t) => {
  fc.assert(
    fc.property(anyScene, (scene) => {
      const { size, boxes, seed } = scene;
      const { grid, inBoxes, unknown, open } = sceneOf(scene);
      // Cells of one colour each: their means are known.
      const colours = noiseBytes(unknown.length * 3, seed);
      const rgb = new Uint8Array(size.widthPx * size.heightPx * 3);
      forEachPixel(size, (x, y, index) => {
        const cell = cellAt(grid, x, y);
        rgb.set(colours.subarray(cell * 3, cell * 3 + 3), index);
      });
      fillUnknown(rgb, grid, unknown, open, boxes);
      const expected = Array.from(unknown, (hidden, cell) => {
        const wide = boxes.map(([x1, y1, x2, y2], i) =>
          inBoxes[i]?.[cell] === 1 ? Math.max(x2 - x1, y2 - y1) : 0,
        );
        return hidden === 1 ? colourAround(grid, open, colours, cell, Math.max(...wide) / 5) : undefined;
      });
      let good = true;
      forEachPixel(size, (x, y, index) => {
        const colour = expected[cellAt(grid, x, y)];
        if (colour?.some((value, channel) => rgb[index + channel] !== value)) good = false;
      });
      return good;
    }),
    { numRuns: RUNS },
  );
  t.pass('holds for every scene tried');
});

/** The mean of the open cells in the smallest square of at least `leastPx` around a cell that has any, or grey. */
function colourAround(
  { columns, rows }: Grid,
  open: Uint8Array,
  colours: Uint8Array,
  cell: number,
  leastPx: number,
): number[] {
  let cells = 1;
  while (cells * CELL_PX < leastPx) cells *= 2;
  const square = (one: number): string =>
    `${Math.floor((one % columns) / cells)} ${Math.floor(Math.floor(one / columns) / cells)}`;
  for (; ; cells *= 2) {
    const own = square(cell);
    const openCells = [...open.keys()].filter((one) => open[one] === 1 && square(one) === own);
    const sum = (channel: number): number =>
      openCells.reduce((s, one) => s + (colours[one * 3 + channel] ?? 0), 0);
    if (openCells.length > 0) return [0, 1, 2].map((channel) => Math.round(sum(channel) / openCells.length));
    if (cells >= Math.max(columns, rows)) return [128, 128, 128];
  }
}

/** A box of whole cells. */
const coarseBox: fc.Arbitrary<CoarseBox> = fc.record({
  box: anyBox.map(([x1, y1, x2, y2]) => [x1 & -8, y1 & -8, (x2 & -8) + 8, (y2 & -8) + 8]),
  sidePx: fc.constantFrom(1, 2, 4, 8, 16, 32, 64),
});

t.test('coarse blocks: each is the mean of its own pixels, and nothing finer', async (t) => {
  fc.assert(
    fc.property(anyScene, coarseBox, ({ size, seed }, one) => {
      const grid = gridOf(size);
      const cells = cellsIn(one.box, grid).map((inside) => (inside === 1 ? COARSE : LIVE));
      const after = noiseBytes(size.widthPx * size.heightPx * 3, seed);
      const [expected, turned] = [after.slice(), after.slice()];
      for (const pixels of blocksOf(size, grid, cells, one)) {
        const sum = (channel: number): number =>
          pixels.reduce((s, index) => s + (after[index + channel] ?? 0), 0);
        const mean = [0, 1, 2].map((channel) => Math.round(sum(channel) / pixels.length));
        pixels.forEach((index, i) => {
          expected.set(mean, index);
          const from = pixels.at(-1 - i) ?? index;
          turned.set(after.subarray(from, from + 3), index);
        });
      }
      for (const rgb of [after, turned]) coarsen(rgb, grid, cells, [one]);
      return Buffer.compare(after, expected) === 0 && Buffer.compare(turned, expected) === 0;
    }),
    { numRuns: RUNS },
  );
  t.pass('holds for every scene tried');
});

t.test('coarse blocks: every block of every box has one colour, however boxes overlap', async (t) => {
  fc.assert(
    fc.property(anyScene, fc.array(coarseBox, { maxLength: 6 }), ({ size, seed }, boxes) => {
      const grid = gridOf(size);
      const inBoxes = boxes.map(({ box }) => cellsIn(box, grid));
      const cells = new Uint8Array(grid.columns * grid.rows).map((_, cell) =>
        inBoxes.some((inside) => inside[cell] === 1) ? (cell % 7 === 0 ? HIDDEN : COARSE) : LIVE,
      );
      const before = noiseBytes(size.widthPx * size.heightPx * 3, seed);
      const after = before.slice();
      coarsen(after, grid, cells, boxes);
      let good = boxes.every((one) =>
        blocksOf(size, grid, cells, one).every((pixels) =>
          pixels.every((at) => [0, 1, 2].every((i) => after[at + i] === after[(pixels[0] ?? at) + i])),
        ),
      );
      forEachPixel(size, (x, y, index) => {
        if (cells[cellAt(grid, x, y)] !== COARSE && after[index] !== before[index]) good = false;
      });
      return good;
    }),
    { numRuns: RUNS },
  );
  t.pass('holds for every scene tried');
});

/** The coarse pixels of each block of a box, by their indices. */
function blocksOf(size: SizePx, grid: Grid, cells: Uint8Array, { box, sidePx }: CoarseBox): number[][] {
  const [left, top, right, bottom] = box.map((px) => px / sidePx) as [number, number, number, number];
  const blocks = new Map<string, number[]>();
  forEachPixel(size, (x, y, index) => {
    const [column, row] = [Math.floor(x / sidePx), Math.floor(y / sidePx)];
    const inside = column + 1 > left && column < right && row + 1 > top && row < bottom;
    if (!inside || cells[cellAt(grid, x, y)] !== COARSE) return;
    const key = `${column} ${row}`;
    blocks.set(key, [...(blocks.get(key) ?? []), index]);
  });
  return [...blocks.values()];
}

t.test('coarse blocks: a vehicle’s short side has at most twelve, and mostly more than six', async (t) => {
  fc.assert(
    fc.property(anyBox, (box) => {
      const blockPx = vehicleBlockPx(box);
      const blocks = Math.min(box[2] - box[0], box[3] - box[1]) / blockPx;
      return Number.isInteger(Math.log2(blockPx)) && blocks <= 12 && (blocks > 6 || blockPx === 1);
    }),
  );
  t.pass('holds for every box tried');
});

const corner: fc.Arbitrary<PointNorm> = fc.tuple(
  fc.double({ min: 0, max: 1, noNaN: true }),
  fc.double({ min: 0, max: 1, noNaN: true }),
);
const polygon = fc.array(corner, { minLength: 3, maxLength: 8 });
const smallSize: fc.Arbitrary<SizePx> = fc.record({
  widthPx: fc.integer({ min: 4, max: 40 }),
  heightPx: fc.integer({ min: 4, max: 40 }),
});

/** Winding number of a point by the sum of the angles: another method than the one under test. */
function inside(corners: readonly PointNorm[], { widthPx, heightPx }: SizePx, x: number, y: number): boolean {
  let angle = 0;
  corners.forEach(([ax, ay], i) => {
    const [bx, by] = corners[(i + 1) % corners.length] ?? [ax, ay];
    const from = Math.atan2(ay * heightPx - y, ax * widthPx - x);
    const to = Math.atan2(by * heightPx - y, bx * widthPx - x);
    let turn = to - from;
    if (turn > Math.PI) turn -= 2 * Math.PI;
    if (turn < -Math.PI) turn += 2 * Math.PI;
    angle += turn;
  });
  return Math.abs(angle) > Math.PI;
}

/** Distance of a point to the polygon's edges, px. */
function toEdge(corners: readonly PointNorm[], { widthPx, heightPx }: SizePx, x: number, y: number): number {
  const distances = corners.map(([ax, ay], i) => {
    const [bx, by] = corners[(i + 1) % corners.length] ?? [ax, ay];
    const dx = (bx - ax) * widthPx;
    const dy = (by - ay) * heightPx;
    const px = x - ax * widthPx;
    const py = y - ay * heightPx;
    const along = Math.min(1, Math.max(0, (px * dx + py * dy) / (dx * dx + dy * dy || 1)));
    return Math.hypot(px - along * dx, py - along * dy);
  });
  return Math.min(...distances);
}

t.test('mask: every touched pixel is black, and none farther than requested', async (t) => {
  fc.assert(
    fc.property(polygon, smallSize, fc.nat({ max: 2 }), (corners, size, reachPx) => {
      const rgb = new Uint8Array(size.widthPx * size.heightPx * 3).fill(255);
      new PrivacyMasks([{ id: 'mask', polygon: corners }]).blackenPicture(rgb, size, reachPx);
      let good = true;
      forEachPixel(size, (x, y, index) => {
        const black = rgb[index] === 0;
        const points = [0.02, 0.26, 0.5, 0.74, 0.98].flatMap((dx) =>
          [0.02, 0.26, 0.5, 0.74, 0.98].map((dy) => [x + dx, y + dy] as const),
        );
        const touched = points.some(([px, py]) => inside(corners, size, px, py));
        const distancePx = inside(corners, size, x + 0.5, y + 0.5)
          ? 0
          : toEdge(corners, size, x + 0.5, y + 0.5);
        if (touched && !black) good = false;
        // A pixel's centre is at most 0.71 px from a touching edge; the reach goes along rows and columns.
        if (black && distancePx > (reachPx + 1) * Math.SQRT2) good = false;
        if (!black && distancePx < reachPx) good = false;
      });
      return good;
    }),
    { numRuns: RUNS },
  );
  t.pass('holds for every polygon tried');
});

const INK: Colour = [250, 0, 0];

/** A grey picture, and the pixels that are no longer so, as [x, y]. */
function canvasOf(size: SizePx, grey = 0) {
  const rgb = new Uint8Array(size.widthPx * size.heightPx * 3).fill(grey);
  const paintedPixels = (): [number, number][] => {
    const pixels: [number, number][] = [];
    forEachPixel(size, (x, y, index) => {
      if (rgb.subarray(index, index + 3).some((value) => value !== grey)) pixels.push([x, y]);
    });
    return pixels;
  };
  return { rgb, canvas: new Canvas(rgb, size), paintedPixels };
}

t.test('signs: a figure fills its box, in two colours as bright as its ground', async (t) => {
  const size: SizePx = { widthPx: 120, heightPx: 200 };
  const luma = (rgb: Uint8Array): number =>
    rgb.reduce((sum, value, i) => sum + value * ([0.299, 0.587, 0.114][i % 3] ?? 0), 0) / (rgb.length / 3);
  for (const grey of [80, 120, 175]) {
    const [subject, other] = [canvasOf(size, grey), canvasOf(size, grey)];
    drawFigure(subject.rgb, size, subject.canvas, { xyxyPx: [30, 30, 90, 180], number: 3 }, 1);
    drawFigure(other.rgb, size, other.canvas, { xyxyPx: [30, 30, 90, 180] }, 1);
    const own = other.paintedPixels();
    t.ok(
      own.length > 2000 && own.every(([x, y]) => x >= 29 && x < 91 && y >= 29 && y < 181),
      `${grey}: in the box`,
    );
    t.ok(Math.abs(luma(other.rgb) - grey) < 4, `${grey}: ${luma(other.rgb)} with it`);
    const colourAt = ({ rgb }: typeof other, x: number, y: number) => [
      ...rgb.subarray((y * 120 + x) * 3, (y * 120 + x) * 3 + 3),
    ];
    const [[r = 0, , b = 0], [r2 = 0, , b2 = 0]] = [colourAt(subject, 60, 80), colourAt(other, 60, 80)];
    t.ok(r > b + 100 && b2 > r2 + 100, `${grey}: orange and blue`);
    for (const [x, y] of [
      [32, 32],
      [60, 170],
      [35, 170],
    ] as const) {
      t.same(colourAt(other, x, y), [grey, grey, grey], `${grey}: nothing beside head and legs`);
    }
    t.ok(
      subject.paintedPixels().some(([, y]) => y < 29),
      `${grey}: the number is above`,
    );
  }
});

t.test('signs: the legend is a band of lines at the lower or upper edge', async (t) => {
  const size: SizePx = { widthPx: 200, heightPx: 100 };
  const bandOf = (texts: string[], focus: XyxyPx[]): [number, number] | undefined => {
    const { canvas, paintedPixels } = canvasOf(size, 99);
    const sign = (box: XyxyPx): void => canvas.rectangle(box, INK);
    drawLegend(
      canvas,
      texts.map((text) => ({ text, sign })),
      1,
      focus,
    );
    const ys = paintedPixels().map(([, y]) => y);
    return ys.length === 0 ? undefined : [Math.min(...ys), Math.max(...ys) + 1];
  };
  t.equal(bandOf([], []), undefined, 'nothing to say');
  t.same(bandOf(['zone'], []), [87, 100]);
  t.same(bandOf(['place as at 12:00', 'zone', 'object', 'person'], []), [77, 100], 'two lines');
  t.same(bandOf(['zone'], [[10, 50, 20, 95]]), [0, 13], 'away from what the event is about');
  t.same(bandOf(['zone'], [[10, 5, 20, 95]]), [87, 100], 'where that is everywhere, it is below');
});
