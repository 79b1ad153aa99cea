/**
 * Tests what moves before the background, and the hidden areas of a still: moving parts, and people known to detector
 * and tracker.
 */
import fc from 'fast-check';
import t from 'tap';
import type { SizePx, XyxyPx } from '../../agent/contract/geometry.ts';
import { type Foreground, type Frame, MOVING, SETTLED } from '../../agent/contract/picture.ts';
import { MovingCells } from '../../agent/vision/observe/moving.ts';
import { fillTouched, gridOf } from '../../agent/vision/redact/cells.ts';
import { movingCells } from '../../agent/vision/redact/moving.ts';
import { isTouched, masking, paintGrey } from '../lib/pictures.ts';
import { rectangle } from '../lib/shapes.ts';

const CAMERA: SizePx = { widthPx: 832, heightPx: 512 };
const INPUT: SizePx = { widthPx: 416, heightPx: 256 };

interface Thing {
  /** Left and top, ratios of the frame; the thing is a tenth wide and a quarter high. */
  readonly at: readonly [number, number];
  readonly level: number;
}

/** A patterned ground with a sensor's noise, brighter by `light`, and things in front of it. */
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
  return { index: 1, ptsNs: 0n, atMs, wallMs: 0, source: CAMERA, input: INPUT, rgb };
}

const STEP_MS = 200;
const count = ({ cells }: Foreground, value: number): number => cells.filter((cell) => cell === value).length;
/** The values that a place of the picture shows. */
const shownAt = ({ columns, rows, cells }: Foreground, [u, v]: readonly [number, number]): number =>
  cells[Math.min(rows - 1, Math.floor(v * rows)) * columns + Math.floor(u * columns)] ?? Number.NaN;

t.test('an empty street shows no foreground, nor in another light', async (t) => {
  const cells = new MovingCells();
  let worst = 0;
  for (let s = 0; s < 60; s += 1) {
    const foreground = cells.update(frame(s * STEP_MS, [], s < 30 ? 0 : Math.min(30, (s - 30) * 3)));
    worst = Math.max(worst, count(foreground, MOVING));
  }
  t.ok(worst < 8, `${worst} of 2,600 cells`);
});

t.test('a walker is foreground, also after stopping; an object lying alone does not move', async (t) => {
  const cells = new MovingCells();
  let atMs = 0;
  const see = (things: readonly Thing[]): Foreground => {
    atMs += STEP_MS;
    return cells.update(frame(atMs, things));
  };
  for (let i = 0; i < 20; i += 1) see([]);
  for (let i = 0; i < 15; i += 1) {
    const at = [0.2 + i * 0.02, 0.5] as const;
    const foreground = see([{ at, level: 30 }]);
    t.equal(shownAt(foreground, [at[0] + 0.05, 0.6]), MOVING, `step ${i}`);
    if (i === 14) t.not(shownAt(foreground, [0.21, 0.6]), MOVING, 'the walker leaves no trail');
  }
  const still: Thing = { at: [0.48, 0.5], level: 30 };
  let latest = see([still]);
  for (let i = 0; i < 20; i += 1) latest = see([still]);
  t.equal(shownAt(latest, [0.53, 0.6]), SETTLED);
  t.notOk(movingCells(latest).includes(1), 'no part of it moves');
  const head: Thing = { at: [0.48, 0.5], level: 200 };
  for (let i = 0; i < 4; i += 1) latest = see([i % 2 === 0 ? head : still]);
  for (let i = 0; i < 20; i += 1) latest = see([still]);
  // A second one comes beside it: both are one region.
  latest = see([still, { at: [0.58, 0.45], level: 220 }]);
  const region: Foreground = { ...latest, cells: movingCells(latest) };
  t.equal(shownAt(latest, [0.5, 0.7]), SETTLED);
  t.same([shownAt(region, [0.5, 0.7]), shownAt(region, [0.63, 0.6]), shownAt(region, [0.2, 0.6])], [1, 1, 0]);
});

t.test('an object that has stood for ten minutes belongs to the street', async (t) => {
  const cells = new MovingCells();
  let atMs = 0;
  for (; atMs < 4000; atMs += STEP_MS) cells.update(frame(atMs, []));
  const car: Thing = { at: [0.3, 0.3], level: 220 };
  let foreground = cells.update(frame(atMs, [car]));
  for (; atMs < 500_000; atMs += 10_000) foreground = cells.update(frame(atMs, [car]));
  t.equal(shownAt(foreground, [0.35, 0.4]), SETTLED);
  for (; atMs < 640_000; atMs += 10_000) foreground = cells.update(frame(atMs, [car]));
  t.equal(shownAt(foreground, [0.35, 0.4]), 0);
});

t.test('masked areas are ignored, and a source of another size starts again', async (t) => {
  const polygon = rectangle(0.5, 0, 1, 1);
  const cells = new MovingCells();
  const mask = masking([{ id: 'house', polygon }]);
  for (let i = 0; i < 20; i += 1) cells.update(mask(frame(i * STEP_MS, [])));
  const things: Thing[] = [0.1, 0.7].map((u) => ({ at: [u, 0.4], level: 230 }));
  const foreground = cells.update(mask(frame(4200, things)));
  t.equal(shownAt(foreground, [0.15, 0.5]), MOVING);
  t.equal(shownAt(foreground, [0.75, 0.5]), 0);
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

/** The foreground's cells and their neighbours, by regions that touch: found by passing on the least number. */
function regionsOf({ columns, cells }: Foreground): number[][] {
  const all = [...cells.keys()];
  const neighboursOf = (cell: number): number[] =>
    all.filter((other) => {
      const [x, y] = [
        (cell % columns) - (other % columns),
        Math.floor(cell / columns) - Math.floor(other / columns),
      ];
      return Math.abs(x) <= 1 && Math.abs(y) <= 1;
    });
  const neighbours = all.map(neighboursOf);
  const region = all.map((cell) => (neighbours[cell]?.some((next) => cells[next] !== 0) ? cell : -1));
  for (let hasChanged = true; hasChanged; ) {
    hasChanged = false;
    for (const cell of all) {
      const near = (neighbours[cell] ?? []).map((next) => region[next] ?? -1).filter((number) => number >= 0);
      const least = Math.min(...near);
      if (region[cell] === -1 || least >= (region[cell] ?? -1)) continue;
      region[cell] = least;
      hasChanged = true;
    }
  }
  return [...new Set(region)]
    .filter((number) => number !== -1)
    .map((number) => all.filter((cell) => region[cell] === number));
}

t.test(
  'moving regions reach one cell beyond the difference, and put-down things are not moving',
  async (t) => {
    fc.assert(
      fc.property(anyForeground, (foreground) => {
        const expected = new Uint8Array(foreground.cells.length);
        for (const region of regionsOf(foreground)) {
          // One cell alone does not count; two do.
          const moves = region.filter((cell) => foreground.cells[cell] === MOVING).length >= 2;
          for (const cell of region) expected[cell] = moves ? 1 : 0;
        }
        return Buffer.compare(movingCells(foreground), expected) === 0;
      }),
      { numRuns: 100 },
    );
    t.pass('holds for every scene tried');
    const cells = new Uint8Array(300);
    cells[150] = MOVING;
    const foreground: Foreground = { columns: 20, rows: 15, cellNorm: [0.05, 1 / 15], cells };
    t.notOk(movingCells(foreground).includes(1), 'a single cell that flickers');
    cells[151] = MOVING;
    t.equal(movingCells(foreground).filter((cell) => cell === 1).length, 4 * 3);
  },
);

/** True if any part of a cell lies in a box. */

t.test('the cells of a picture that the foreground touches are exact on any grid', async (t) => {
  const grid = gridOf(SIZE);
  fc.assert(
    fc.property(anyForeground, fc.nat({ max: 4 }), (foreground, reachPx) => {
      const { columns, rows, cells, cellNorm } = foreground;
      const touched = new Uint8Array(grid.columns * grid.rows);
      fillTouched(touched, foreground, cells, grid, 1, reachPx);
      const [widthPx, down] = [cellNorm[0] * SIZE.widthPx, cellNorm[1] * SIZE.heightPx];
      const boxes = [...cells.keys()]
        .filter((cell) => cells[cell] !== 0)
        .map((cell): XyxyPx => {
          const [x, y] = [cell % columns, Math.floor(cell / columns)];
          // The last cells reach to the edge of the picture.
          const [right, bottom] = [
            x + 1 === columns ? SIZE.widthPx : (x + 1) * widthPx,
            y + 1 === rows ? SIZE.heightPx : (y + 1) * down,
          ];
          return [x * widthPx - reachPx, y * down - reachPx, right + reachPx, bottom + reachPx];
        });
      return touched.every(
        (value, cell) => (value === 1) === boxes.some((box) => isTouched(grid, cell, box)),
      );
    }),
    { numRuns: 100 },
  );
  t.pass('holds for every scene tried');
});
