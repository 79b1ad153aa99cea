/** What moves before the background, and how it is pixelated beside the detector's boxes. */
import fc from 'fast-check';
import t from 'tap';
import type { SizePx } from '../../agent/contract/geometry.ts';
import { type Foreground, type Frame, MOVING, SETTLED } from '../../agent/contract/picture.ts';
import { MovingCells } from '../../agent/vision/observe/moving.ts';
import { type Mosaic, type MosaicBox, planMosaic } from '../../agent/vision/redact/mosaic.ts';
import { mosaicShapeOf, movingRegions } from '../../agent/vision/redact/moving.ts';
import { masking, paintGrey } from '../lib/pictures.ts';

const SOURCE: SizePx = { widthPx: 832, heightPx: 512 };
const INPUT: SizePx = { widthPx: 416, heightPx: 256 };

interface Thing {
  /** Left and top, shares of the frame; a tenth wide, a quarter high. */
  readonly at: readonly [number, number];
  readonly level: number;
}

/** A patterned ground with a sensor's noise, brighter by `light`, and things before it. */
function frame(atMs: number, things: readonly Thing[], light = 0): Frame {
  const { widthPx, heightPx } = INPUT;
  const rgb = new Uint8Array(widthPx * heightPx * 3);
  let noise = atMs + 1;
  for (let y = 0; y < heightPx; y += 1) {
    for (let x = 0; x < widthPx; x += 1) {
      noise = (Math.imul(noise, 1664525) + 1013904223) >>> 0;
      const [u, v] = [x / widthPx, y / heightPx];
      const thing = things.find(({ at: [a, b] }) => u >= a && u < a + 0.1 && v >= b && v < b + 0.25);
      const level = thing?.level ?? 110 + 12 * Math.sin(x / 5) * Math.cos(y / 7);
      paintGrey(rgb, y * widthPx + x, level + light + (noise >>> 29) - 3);
    }
  }
  return { index: 1, ptsNs: 0n, atMs, wallMs: 0, source: SOURCE, input: INPUT, rgb };
}

const STEP_MS = 200;
const count = ({ cells }: Foreground, value: number): number => cells.filter((cell) => cell === value).length;
/** The values that a place of the picture shows. */
const shownAt = ({ columns, rows, cells }: Foreground, [u, v]: readonly [number, number]): number =>
  cells[Math.min(rows - 1, Math.floor(v * rows)) * columns + Math.floor(u * columns)] ?? Number.NaN;

t.test('an empty street shows nothing, in another light neither', async (t) => {
  const cells = new MovingCells();
  let worst = 0;
  for (let s = 0; s < 60; s += 1) {
    const seen = cells.update(frame(s * STEP_MS, [], s < 30 ? 0 : Math.min(30, (s - 30) * 3)));
    worst = Math.max(worst, count(seen, MOVING));
  }
  t.ok(worst < 8, `${worst} of 2,600 cells`);
});

t.test('who walks is seen, and stays seen where he stands; what lies there alone is no region', async (t) => {
  const cells = new MovingCells();
  let atMs = 0;
  const see = (things: readonly Thing[]): Foreground => {
    atMs += STEP_MS;
    return cells.update(frame(atMs, things));
  };
  for (let i = 0; i < 20; i += 1) see([]);
  for (let i = 0; i < 15; i += 1) {
    const at = [0.2 + i * 0.02, 0.5] as const;
    const seen = see([{ at, level: 30 }]);
    t.equal(shownAt(seen, [at[0] + 0.05, 0.6]), MOVING, `step ${i}`);
    if (i === 14) t.not(shownAt(seen, [0.21, 0.6]), MOVING, 'he leaves no trail');
  }
  const still: Thing = { at: [0.48, 0.5], level: 30 };
  let seen = see([still]);
  for (let i = 0; i < 20; i += 1) seen = see([still]);
  t.equal(shownAt(seen, [0.53, 0.6]), SETTLED);
  t.same(movingRegions(seen), [], 'nothing of it moves');
  const head: Thing = { at: [0.48, 0.5], level: 200 };
  for (let i = 0; i < 4; i += 1) seen = see([i % 2 === 0 ? head : still]);
  for (let i = 0; i < 20; i += 1) seen = see([still]);
  // A second one comes beside it: both are one region.
  seen = see([still, { at: [0.58, 0.45], level: 220 }]);
  const [region, ...more] = movingRegions(seen);
  t.same(more, []);
  const { columns } = seen;
  t.ok((region?.box[0] ?? columns) <= 0.48 * columns && (region?.box[2] ?? 0) >= 0.67 * columns);
});

t.test('what has stood for ten minutes belongs to the street', async (t) => {
  const cells = new MovingCells();
  let atMs = 0;
  for (; atMs < 4000; atMs += STEP_MS) cells.update(frame(atMs, []));
  const car: Thing = { at: [0.3, 0.3], level: 220 };
  let seen = cells.update(frame(atMs, [car]));
  for (; atMs < 500_000; atMs += 10_000) seen = cells.update(frame(atMs, [car]));
  t.equal(shownAt(seen, [0.35, 0.4]), SETTLED);
  for (; atMs < 640_000; atMs += 10_000) seen = cells.update(frame(atMs, [car]));
  t.equal(shownAt(seen, [0.35, 0.4]), 0);
});

t.test('nothing is looked at below a mask, and a source of another size begins anew', async (t) => {
  const polygon: [number, number][] = [
    [0.5, 0],
    [1, 0],
    [1, 1],
    [0.5, 1],
  ];
  const cells = new MovingCells();
  const mask = masking([{ id: 'house', polygon }]);
  for (let i = 0; i < 20; i += 1) cells.update(mask(frame(i * STEP_MS, [])));
  const things: Thing[] = [0.1, 0.7].map((u) => ({ at: [u, 0.4], level: 230 }));
  const seen = cells.update(mask(frame(4200, things)));
  t.equal(shownAt(seen, [0.15, 0.5]), MOVING);
  t.equal(shownAt(seen, [0.75, 0.5]), 0);
  const other = cells.update(mask({ ...frame(4400, []), source: { widthPx: 416, heightPx: 256 } }));
  t.equal(count(other, MOVING), 0);
});

const SIZE: SizePx = { widthPx: 333, heightPx: 250 };

/** A foreground of rectangles, on a grid that does not divide the picture. */
const anyForeground: fc.Arbitrary<Foreground> = fc
  .array(
    fc.tuple(
      fc.nat(19),
      fc.nat(14),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 9 }),
      fc.boolean(),
    ),
    {
      minLength: 1,
      maxLength: 6,
    },
  )
  .map((rectangles) => {
    const [columns, rows] = [20, 15];
    const cells = new Uint8Array(columns * rows);
    for (const [left, top, width, height, moves] of rectangles) {
      for (let y = top; y < Math.min(rows, top + height); y += 1) {
        cells.fill(
          moves ? MOVING : SETTLED,
          y * columns + left,
          y * columns + Math.min(columns, left + width),
        );
      }
    }
    return { columns, rows, cellNorm: [1 / 20.4, 1 / 15.3], cells };
  });
const anyBox: fc.Arbitrary<MosaicBox> = fc
  .tuple(fc.nat(300), fc.nat(220), fc.integer({ min: 1, max: 150 }), fc.integer({ min: 1, max: 150 }))
  .map(([x, y, width, height]) => ({ xyxyPx: [x, y, x + width, y + height], cellPxMin: 0 }));

function blocksOf({ sampleOf }: Mosaic, takes: (block: number) => boolean): number[] {
  return [...sampleOf.keys()].filter(takes);
}

t.test(
  'a moving region is covered, each from at most 8 × 8 samples, and boxes stay as they were',
  async (t) => {
    fc.assert(
      fc.property(anyForeground, fc.array(anyBox, { maxLength: 4 }), (foreground, boxes) => {
        const without = planMosaic(SIZE, boxes);
        const shapes = movingRegions(foreground).map((region) => mosaicShapeOf(region, SIZE, 0));
        const mosaic = planMosaic(SIZE, boxes, shapes);
        const { columns, sampleOf } = mosaic;
        const boxed = blocksOf(without, (block) => without.sampleOf[block] !== -1);
        if (boxed.some((block) => sampleOf[block] !== without.sampleOf[block])) return false;
        let drawn = 0;
        for (const shape of shapes) {
          const own = blocksOf(mosaic, (block) => shape.covers(block % columns, Math.floor(block / columns)));
          if (own.some((block) => sampleOf[block] === -1)) return false;
          const samples = new Set(
            own.filter((block) => without.sampleOf[block] === -1).map((block) => sampleOf[block]),
          );
          if (samples.size > 64) return false;
          if (samples.size > 0) drawn += 1;
        }
        return mosaic.shapesDrawn <= drawn;
      }),
      { numRuns: 400 },
    );
    t.pass('holds for every scene tried');
  },
);

t.test('every pixel of a moving cell lies in its region, with a margin of a cell', async (t) => {
  fc.assert(
    fc.property(anyForeground, fc.nat({ max: 4 }), (foreground, reachPx) => {
      const shapes = movingRegions(foreground).map((region) => mosaicShapeOf(region, SIZE, reachPx));
      const mosaic = planMosaic(SIZE, [], shapes);
      const { columns, rows, cells, cellNorm } = foreground;
      const regions = movingRegions(foreground);
      for (let y = 0; y < SIZE.heightPx; y += 1) {
        for (let x = 0; x < SIZE.widthPx; x += 1) {
          const column = Math.min(columns - 1, Math.floor(x / SIZE.widthPx / cellNorm[0]));
          const row = Math.min(rows - 1, Math.floor(y / SIZE.heightPx / cellNorm[1]));
          const cell = row * columns + column;
          const inside = regions.some(({ regionOf, region }) => regionOf[cell] === region);
          // One cell alone does not count; two beside each other do.
          const counts = cells[cell] === MOVING && column > 0 && cells[cell - 1] === MOVING;
          if (counts && !inside) return false;
          if (inside && mosaic.sampleOf[(y >> 3) * mosaic.columns + (x >> 3)] === -1) return false;
        }
      }
      return true;
    }),
    { numRuns: 60 },
  );
  t.pass('holds for every scene tried');
});

t.test('single cells that flicker are no region', async (t) => {
  const cells = new Uint8Array(300);
  cells[150] = MOVING;
  const foreground: Foreground = { columns: 20, rows: 15, cellNorm: [0.05, 1 / 15], cells };
  t.same(movingRegions(foreground), []);
  cells[151] = MOVING;
  t.match(movingRegions(foreground), [{ box: [9, 6, 13, 9] }]);
});
