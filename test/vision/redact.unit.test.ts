import fc from 'fast-check';
import t from 'tap';
import type { PointNorm, SizePx, XyxyPx } from '../../agent/contract/geometry.ts';
import type { Group, Label } from '../../agent/contract/label.ts';
import type { Detection, Track } from '../../agent/contract/picture.ts';
import { PrivacyMasks } from '../../agent/vision/camera/mask.ts';
import { DetectionHistory } from '../../agent/vision/redact/history.ts';
import { type Mosaic, type MosaicBox, pixelate, planMosaic } from '../../agent/vision/redact/mosaic.ts';
import { drawOutline } from '../../agent/vision/redact/outline.ts';
import { mosaicBoxOf, type Regions, regionsOf } from '../../agent/vision/redact/regions.ts';

const side = fc.integer({ min: 1, max: 300 });
const anySize: fc.Arbitrary<SizePx> = fc.record({ widthPx: side, heightPx: side });
const at = fc.double({ min: -100, max: 400, noNaN: true });
const length = fc.double({ min: 0.1, max: 350, noNaN: true });
const anyBox: fc.Arbitrary<MosaicBox> = fc
  .tuple(at, at, length, length, fc.double({ min: 0, max: 60, noNaN: true }))
  .map(([x, y, width, height, cellPxMin]) => ({ xyxyPx: [x, y, x + width, y + height], cellPxMin }));
const anyScene = fc.record({ size: anySize, boxes: fc.array(anyBox, { maxLength: 12 }), seed: fc.nat() });

/** The same picture for the same seed: every pixel another colour (xorshift32). */
function noise({ widthPx, heightPx }: SizePx, seed: number): Uint8Array {
  let state = seed | 1;
  return Uint8Array.from({ length: widthPx * heightPx * 3 }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 255;
  });
}

/** The samples that a box shows, by pixels: every pixel that it touches. */
function samplesSeen({ xyxyPx: [x1, y1, x2, y2] }: MosaicBox, size: SizePx, mosaic: Mosaic): Set<number> {
  const seen = new Set<number>();
  for (let y = Math.max(0, Math.floor(y1)); y < Math.min(size.heightPx, Math.ceil(y2)); y += 1) {
    for (let x = Math.max(0, Math.floor(x1)); x < Math.min(size.widthPx, Math.ceil(x2)); x += 1) {
      seen.add(sampleAt(mosaic, x, y));
    }
  }
  return seen;
}

function sampleAt({ sampleOf, columns }: Mosaic, x: number, y: number): number {
  return sampleOf[(y >> 3) * columns + (x >> 3)] ?? Number.NaN;
}

t.test('mosaic: every box is covered, and shows at most 8 × 8 samples, whatever overlaps it', async (t) => {
  fc.assert(
    fc.property(anyScene, ({ size, boxes }) => {
      const mosaic = planMosaic(size, boxes);
      for (const box of boxes) {
        const seen = samplesSeen(box, size, mosaic);
        if (seen.has(-1)) return false;
        if (seen.size > 64) return false;
      }
      return true;
    }),
    { numRuns: 400 },
  );
  t.pass('holds for every scene tried');
});

t.test('mosaic: one box alone is drawn as finely as 8 × 8 samples allow', async (t) => {
  const size: SizePx = { widthPx: 1280, heightPx: 720 };
  fc.assert(
    fc.property(fc.integer({ min: 60, max: 600 }), fc.nat({ max: 100 }), (heightPx, top) => {
      const box: MosaicBox = { xyxyPx: [100, top, 100 + heightPx / 2, top + heightPx], cellPxMin: 0 };
      const seen = samplesSeen(box, size, planMosaic(size, [box]));
      // Half the length that would need the next larger cells, on both axes.
      return seen.size >= 4 * 4 && seen.size <= 64;
    }),
  );
  const face: MosaicBox = { xyxyPx: [96, 96, 224, 224], cellPxMin: 32 };
  t.equal(samplesSeen(face, size, planMosaic(size, [face])).size, 16, 'a lower limit of the cells holds');
});

t.test('mosaic: a sample is the mean of what it hides; public pixels stay', async (t) => {
  fc.assert(
    fc.property(anyScene, ({ size, boxes, seed }) => {
      const mosaic = planMosaic(size, boxes);
      const before = noise(size, seed);
      const after = before.slice();
      pixelate(after, size, mosaic);
      const means = new Map<number, { sum: number[]; count: number }>();
      forEachPixel(size, (x, y, index) => {
        const sample = sampleAt(mosaic, x, y);
        const mean = means.get(sample) ?? { sum: [0, 0, 0], count: 0 };
        means.set(sample, mean);
        mean.count += 1;
        mean.sum = mean.sum.map((value, channel) => value + (before[index + channel] ?? 0));
      });
      let good = true;
      forEachPixel(size, (x, y, index) => {
        const sample = sampleAt(mosaic, x, y);
        for (let channel = 0; channel < 3; channel += 1) {
          const { sum, count } = means.get(sample) ?? { sum: [], count: 1 };
          const want = sample === -1 ? before[index + channel] : Math.round((sum[channel] ?? 0) / count);
          if (after[index + channel] !== want) good = false;
        }
      });
      return good;
    }),
    { numRuns: 60 },
  );
  t.pass('holds for every scene tried');
});

t.test(
  'mosaic: pictures that differ only in how a sample’s pixels lie become the same picture',
  async (t) => {
    fc.assert(
      fc.property(anyScene, ({ size, boxes, seed }) => {
        const mosaic = planMosaic(size, boxes);
        const one = noise(size, seed);
        const other = one.slice();
        reversePixelsWithinSamples(other, size, mosaic);
        pixelate(one, size, mosaic);
        pixelate(other, size, mosaic);
        return Buffer.compare(one, other) === 0;
      }),
      { numRuns: 60 },
    );
    t.pass('holds for every scene tried');
    const size: SizePx = { widthPx: 64, heightPx: 64 };
    const mosaic = planMosaic(size, [{ xyxyPx: [8, 8, 56, 56], cellPxMin: 0 }]);
    const one = noise(size, 7);
    const moved = one.slice();
    moved.fill(255, (20 * 64 + 16) * 3, (20 * 64 + 24) * 3);
    pixelate(one, size, mosaic);
    pixelate(moved, size, mosaic);
    t.not(Buffer.compare(one, moved), 0, 'while another mean is seen');
  },
);

function forEachPixel(size: SizePx, visit: (x: number, y: number, index: number) => void): void {
  for (let y = 0; y < size.heightPx; y += 1) {
    for (let x = 0; x < size.widthPx; x += 1) visit(x, y, (y * size.widthPx + x) * 3);
  }
}

function reversePixelsWithinSamples(rgb: Uint8Array, size: SizePx, mosaic: Mosaic): void {
  const pixelsOf = new Map<number, number[]>();
  forEachPixel(size, (x, y, index) => {
    const sample = sampleAt(mosaic, x, y);
    if (sample !== -1) pixelsOf.set(sample, [...(pixelsOf.get(sample) ?? []), index]);
  });
  const before = rgb.slice();
  for (const pixels of pixelsOf.values()) {
    const reversed = pixels.toReversed();
    pixels.forEach((index, i) => {
      const from = reversed[i] ?? index;
      rgb.set(before.subarray(from, from + 3), index);
    });
  }
}

t.test('mosaic: a box without coordinates stops the snapshot', async (t) => {
  const size: SizePx = { widthPx: 64, heightPx: 64 };
  t.throws(() => planMosaic(size, [{ xyxyPx: [0, Number.NaN, 1, 1], cellPxMin: 0 }]), /has coordinates/);
  const huge: MosaicBox = { xyxyPx: [-1e9, -1e9, 1e9, 1e9], cellPxMin: 1e9 };
  t.same(new Set(planMosaic(size, [huge]).sampleOf), new Set([0]), 'a box around everything is one sample');
  const outside: MosaicBox = { xyxyPx: [70, 0, 90, 30], cellPxMin: 0 };
  t.same(new Set(planMosaic(size, [outside]).sampleOf), new Set([-1]), 'a box outside hides nothing');
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

t.test(
  'mask: every pixel that the polygon touches is black, and none that is farther than asked',
  async (t) => {
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
      { numRuns: 300 },
    );
    t.pass('holds for every polygon tried');
  },
);

t.test('mask: known pixels', async (t) => {
  const size: SizePx = { widthPx: 8, heightPx: 4 };
  const blackOf = (corners: PointNorm[], reachPx = 0): string[] => {
    const rgb = new Uint8Array(8 * 4 * 3).fill(255);
    new PrivacyMasks([{ id: 'mask', polygon: corners }]).blackenPicture(rgb, size, reachPx);
    return Array.from({ length: 4 }, (_, y) =>
      Array.from({ length: 8 }, (_, x) => (rgb[(y * 8 + x) * 3] === 0 ? '#' : '.')).join(''),
    );
  };
  // x from 2.4 to 4.8, y from 1.2 to 2.2
  const partial: PointNorm[] = [
    [0.3, 0.3],
    [0.6, 0.3],
    [0.6, 0.55],
    [0.3, 0.55],
  ];
  t.same(blackOf(partial), ['........', '..###...', '..###...', '........'], 'partly covered pixels count');
  t.same(blackOf(partial, 1), ['.#####..', '.#####..', '.#####..', '.#####..']);
  const everything: PointNorm[] = [
    [0, 0],
    [1, 0],
    [1, 1],
    [0, 1],
  ];
  t.same(blackOf(everything), Array(4).fill('########'));
});

t.test('outline: a thin line around the box, nothing inside, nothing outside the picture', async (t) => {
  const size: SizePx = { widthPx: 40, heightPx: 30 };
  const rgb = new Uint8Array(40 * 30 * 3);
  drawOutline(rgb, size, [10, 10, 20, 20]);
  const drawn: [number, number][] = [];
  forEachPixel(size, (x, y, index) => {
    if (rgb[index] !== 0) drawn.push([x, y]);
  });
  t.equal(drawn.length, 14 * 14 - 10 * 10);
  t.ok(drawn.every(([x, y]) => x < 10 || x >= 20 || y < 10 || y >= 20));
  const before = rgb.slice();
  drawOutline(rgb, size, [60, 60, 70, 70]);
  t.same(rgb, before, 'a box outside is not drawn');
  drawOutline(rgb, size, [-50, -50, 100, 100]);
  t.equal(rgb[0], 249, 'a box larger than the picture is framed at its edge');
});

const SOURCE: SizePx = { widthPx: 1000, heightPx: 1000 };

function detection(group: Group, label: Label, xyxyPx: XyxyPx, score = 0.15): Detection {
  return { group, label, xyxyPx, score };
}
const person = (x: number, y = 100): Detection => detection('person', 'person', [x, y, x + 40, y + 100]);

function track(xyxyPx: XyxyPx): Track {
  const still = { velocityPxPerS: [0, 0], firstMs: 0, lastMs: 0, seen: false, id: 1, score: 0.5 } as const;
  return { ...still, group: 'person', label: 'person', xyxyPx };
}

/** What is redacted at `atMs` when frames of the given times showed the given boxes. */
function regionsAt(frames: Readonly<Record<number, readonly Detection[]>>, atMs: number): Regions {
  const history = new DetectionHistory();
  for (const [time, detections] of Object.entries(frames)) {
    history.add({ atMs: Number(time), source: SOURCE }, detections, []);
  }
  const around = history.around(atMs);
  if (around === undefined) throw new Error(`no frame at ${atMs} ms`);
  return regionsOf(around);
}
const leftsOf = ({ boxes }: Regions): number[] =>
  boxes.map(({ xyxyNorm }) => Math.round(xyxyNorm[0] * 1000)).sort((a, b) => a - b);

t.test('regions: a box is kept for two seconds after and before its detection', async (t) => {
  const frames = { 1000: [person(500)], 2000: [], 3000: [], 3001: [], 5000: [person(200)], 6000: [] };
  t.same(leftsOf(regionsAt(frames, 2000)), [500]);
  t.same(leftsOf(regionsAt(frames, 3000)), [200, 500], 'two seconds on either side');
  t.same(leftsOf(regionsAt(frames, 3001)), [200], 'and no longer');
  t.same(leftsOf(regionsAt(frames, 6000)), [200]);
});

t.test('regions: a person who is still seen leaves no trail, one who is missed stays', async (t) => {
  const walking = { 0: [person(100)], 200: [person(115)], 400: [person(130)] };
  t.same(leftsOf(regionsAt(walking, 400)), [130]);
  t.equal(regionsAt(walking, 400).persons, 1);
  const apart = { 0: [person(100), person(300)], 200: [person(110)], 400: [person(120)] };
  t.same(leftsOf(regionsAt(apart, 400)), [120, 300], 'one box continues one chain');
  const passing = {
    0: [person(100), person(140)],
    200: [person(115), person(140)],
    400: [person(132)],
    600: [person(150)],
  };
  t.same(leftsOf(regionsAt(passing, 600)), [140, 150], 'who passes does not take the other’s box along');
  const jump = { 0: [person(100)], 200: [person(400)] };
  t.same(leftsOf(regionsAt(jump, 200)), [100, 400], 'a chain that breaks redacts more');
});

t.test('regions: groups, predicted boxes and counts', async (t) => {
  const history = new DetectionHistory();
  const found = [
    person(100),
    person(105),
    detection('cycle', 'bicycle', [300, 500, 400, 600]),
    detection('vehicle', 'motorcycle', [500, 500, 600, 600]),
    detection('vehicle', 'car', [700, 500, 900, 600]),
    detection('animal', 'dog', [10, 10, 40, 40]),
    detection('bag', 'handbag', [50, 10, 60, 20]),
  ];
  history.add({ atMs: 0, source: SOURCE }, found, [track([600, 100, 640, 200]), track([101, 100, 141, 200])]);
  const around = history.around(0.4);
  if (around === undefined) throw new Error('the frame is known');
  const regions = regionsOf(around);
  t.same(
    regions.boxes.map(({ treatment }) => treatment),
    ['person', 'person', 'rider', 'rider', 'vehicle', 'person', 'person'],
    'dogs and bags are nobody; predicted boxes are redacted too',
  );
  t.equal(regions.persons, 4, 'boxes of one object count once: two persons, two riders');
  t.equal(regions.vehicles, 1);
});

t.test('regions: where a box is redacted', async (t) => {
  const size: SizePx = { widthPx: 500, heightPx: 500 };
  const placed = (treatment: 'person' | 'rider' | 'vehicle', reachPx = 0): XyxyPx =>
    mosaicBoxOf({ treatment, xyxyNorm: [0.4, 0.4, 0.5, 0.7] }, size, reachPx).xyxyPx;
  t.same(placed('person'), [185, 185, 265, 365], 'a tenth of the long side on every side');
  t.same(placed('vehicle', 4), [181, 181, 269, 369], 'and what the kernel has spread');
  t.match(placed('rider'), [173, 53, 277, 377], 'and a rider above the wheels');
});

t.test('history: bounded in time and number, and safe from what others do to their arrays', async (t) => {
  const history = new DetectionHistory();
  for (let i = 0; i < 3000; i += 1) history.add({ atMs: i * 100, source: SOURCE }, [], []);
  t.equal(history.length, 171, 'seventeen seconds at 10 frames a second');
  t.equal(history.forgotten, 0);
  t.equal(history.around(299_900 - 17_100), undefined, 'older frames are gone');
  for (let i = 0; i < 3000; i += 1) history.add({ atMs: 400_000 + i, source: SOURCE }, [], []);
  t.equal(history.length, 600);
  t.equal(history.forgotten, 2400, 'the others had their time');
  t.equal(history.around(402_999.4)?.own.atMs, 402_999, 'half a millisecond is the same frame');
  t.equal(history.around(402_999.6), undefined, 'another moment is not');

  const detections = [person(100)];
  history.add({ atMs: 500_000, source: SOURCE }, detections, []);
  detections.pop();
  t.equal(history.around(500_000)?.own.detections.length, 1);
  history.add({ atMs: 500_100, source: { widthPx: 2000, heightPx: 2000 } }, [person(200)], []);
  t.same(history.around(500_100)?.own.detections[0]?.xyxyNorm[0], 0.1, 'normalised to the frame’s own size');
});
