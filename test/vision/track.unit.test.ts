/** Tests the tracker: assignment, Kalman filter, colour prints and tracks. */
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { iou, type XyxyPx } from '../../agent/contract/geometry.ts';
import { groupOf, LABELS, type Label } from '../../agent/contract/label.ts';
import type { Detection, Frame, Track } from '../../agent/contract/picture.ts';
import { heaviestMatching } from '../../agent/vision/track/assignment.ts';
import { blend, type ColourPrint, colourPrint, likeness } from '../../agent/vision/track/colour.ts';
import { BoxFilter } from '../../agent/vision/track/kalman.ts';
import { SETTINGS } from '../../agent/vision/track/settings.ts';
import { Tracker } from '../../agent/vision/track/tracker.ts';
import { detectionOf, masking } from '../lib/pictures.ts';
import { rectangle } from '../lib/shapes.ts';

const SOURCE = { widthPx: 832, heightPx: 512 };
const INPUT = { widthPx: 416, heightPx: 256 };
const GREY = new Uint8Array(INPUT.widthPx * INPUT.heightPx * 3).fill(128);
const UNCUT = { width: false, height: false };

/** Checks a property as one assertion. */
function holds<T>(t: Test, property: fc.IProperty<T>): void {
  fc.assert(property);
  t.pass('for all');
}

function frameAt(atMs: number, rgb: Uint8Array = GREY): Frame {
  return { index: 1, ptsNs: 0n, atMs, wallMs: atMs, source: SOURCE, input: INPUT, rgb };
}

const hit = (xyxyPx: XyxyPx, score = 0.8, label: Label = 'person'): Detection =>
  detectionOf(label, xyxyPx, score);

/** A person of 40 × 100 px around x, standing at y. */
const personAt = (x: number, y = 300, score = 0.8): Detection => hit([x - 20, y - 100, x + 20, y], score);

/** Feeds one list of detections a step; returns the tracks after each. */
function follow(
  steps: readonly (readonly Detection[])[],
  stepMs: number,
  tracker = new Tracker(),
): (readonly Track[])[] {
  return steps.map((detections, i) => tracker.update(frameAt(i * stepMs), detections));
}

const idsOf = (tracks: readonly (readonly Track[])[]): number[] => [
  ...new Set(tracks.flat().map(({ id }) => id)),
];

/** The best total, by trial of all assignments. */
function bestByTrial(weights: readonly (readonly number[])[], row = 0, takenColumns = 0): number {
  const own = weights[row];
  if (own === undefined) return 0;
  let best = bestByTrial(weights, row + 1, takenColumns);
  for (const [c, weight] of own.entries()) {
    if (weight === 0 || takenColumns & (1 << c)) continue;
    best = Math.max(best, weight + bestByTrial(weights, row + 1, takenColumns | (1 << c)));
  }
  return best;
}

const matrix = fc
  .tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 6 }))
  .chain(([rows, columns]) =>
    fc.array(
      fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 50 })), {
        minLength: columns,
        maxLength: columns,
      }),
      { minLength: rows, maxLength: rows },
    ),
  );

t.test('assignment: it is as good as trying everything, without pairs of weight 0', async (t) => {
  holds(
    t,
    fc.property(matrix, (weights) => {
      const columns = weights[0]?.length ?? 0;
      const matched = [...heaviestMatching(Float64Array.from(weights.flat()), weights.length, columns)];
      const pairs = matched.map((c, r) => [r, c] as const).filter(([, c]) => c >= 0);
      const total = pairs.reduce((sum, [r, c]) => sum + (weights[r]?.[c] ?? 0), 0);
      return (
        matched.length === weights.length &&
        new Set(pairs.map(([, c]) => c)).size === pairs.length &&
        pairs.every(([r, c]) => (weights[r]?.[c] ?? 0) > 0) &&
        total === bestByTrial(weights)
      );
    }),
  );
});

t.test('Kalman filter: it learns a steady velocity at any frame rate', async (t) => {
  const speed = fc.double({ min: -150, max: 150, noNaN: true });
  holds(
    t,
    fc.property(fc.integer({ min: 3, max: 30 }), speed, (fps, pxPerS) => {
      const filter = new BoxFilter([300, 100, 340, 200], 0.7, UNCUT, SETTINGS.groups.person.noise);
      for (let i = 1; i <= 4 * fps; i += 1) {
        const x = 300 + (pxPerS * i) / fps;
        filter.predict(1 / fps);
        filter.correct([x, 100, x + 40, 200], 0.7, UNCUT, 1 / fps);
      }
      return Math.abs(filter.velocityPxPerS[0] - pxPerS) < 0.05 * Math.abs(pxPerS) + 1;
    }),
  );
});

/** The box in source pixels filled with a colour, upper and lower half. */
function paint(
  rgb: Uint8Array,
  [x1, y1, x2, y2]: XyxyPx,
  upper: readonly number[],
  lower: readonly number[],
): void {
  for (let y = Math.max(0, Math.floor(y1 / 2)); y < Math.min(INPUT.heightPx, y2 / 2); y += 1) {
    for (let x = Math.max(0, Math.floor(x1 / 2)); x < Math.min(INPUT.widthPx, x2 / 2); x += 1) {
      rgb.set(y < (y1 + y2) / 4 ? upper : lower, (y * INPUT.widthPx + x) * 3);
    }
  }
}

const RED = [200, 30, 30];
const BLUE = [30, 30, 200];

function printOf(upper: readonly number[], lower: readonly number[]): ColourPrint {
  const rgb = GREY.slice();
  const box: XyxyPx = [100, 100, 180, 300];
  paint(rgb, box, upper, lower);
  return colourPrint(frameAt(0, rgb), box) as ColourPrint;
}

t.test('colour print: same colours give 1, others 0, halves are separate', async (t) => {
  const close = (a: number, b: number): boolean => Math.abs(a - b) < 1e-6;
  t.ok(close(likeness(printOf(RED, BLUE), printOf(RED, BLUE)), 1));
  t.ok(close(likeness(printOf(RED, RED), printOf(BLUE, BLUE)), 0));
  t.ok(close(likeness(printOf(RED, BLUE), printOf(RED, RED)), 0.5), 'one half alike');
  t.equal(colourPrint(frameAt(0), [900, 100, 950, 200]), undefined, 'a box beside the picture has none');
  const mixed = printOf(RED, RED);
  for (let i = 0; i < 50; i += 1) blend(mixed, printOf(BLUE, BLUE), 0.2);
  t.ok(likeness(mixed, printOf(BLUE, BLUE)) > 0.999, 'it follows what is seen');
  t.ok(mixed.length <= 72, 'and stays coarse');
});

t.test('colour print: a masked area has no colour', async (t) => {
  const rgb = GREY.slice();
  const box: XyxyPx = [100, 100, 180, 300];
  paint(rgb, box, RED, BLUE);
  const plain = frameAt(0, rgb);
  const masked = (right: number): Frame =>
    masking([{ id: 'left', polygon: rectangle(0, 0, right / plain.source.widthPx, 1) }])({
      ...plain,
      rgb: rgb.slice(),
    });
  const half = colourPrint(masked(140), box) as ColourPrint;
  t.ok(likeness(half, printOf(RED, BLUE)) > 0.999, 'of the half beside it he looks the same');
  t.equal(colourPrint(masked(200), box), undefined, 'wholly under it he has none');
});

t.test('one walker is one track at any frame rate', async (t) => {
  holds(
    t,
    fc.property(fc.integer({ min: 3, max: 30 }), fc.integer({ min: -80, max: 80 }), (fps, pxPerS) => {
      const steps = Array.from({ length: 3 * fps }, (_, i) => [personAt(400 + (pxPerS * i) / fps)]);
      const tracks = follow(steps, 1000 / fps);
      return idsOf(tracks).length === 1 && tracks.every((one, i) => one.length === (i === 0 ? 0 : 1));
    }),
  );
});

t.test('the number of tracks is that of the people', async (t) => {
  const present = [personAt(300)];
  const steps = <T>(count: number, at: (i: number) => T): T[] =>
    Array.from({ length: count }, (_, i) => at(i));
  const grows = (i: number): Detection[] => {
    const top = Math.max(120, 480 - 80 * i);
    return [hit([300, top, 400, Math.min(512, top + 320)])];
  };
  const cases: [string, Detection[][], stepMs: number, tracks: number][] = [
    ['a box that comes once', [[personAt(100)], [], [], [personAt(600)], []], 200, 0],
    ['a missed frame at one in five seconds', [present, present, [], present, present], 5000, 1],
    [
      'two boxes on one person',
      steps(10, (i) => [personAt(300 + 8 * i), personAt(308 + 8 * i, 310, 0.7)]),
      200,
      1,
    ],
    ['a person who enters over the frame’s edge and grows', steps(15, grows), 200, 1],
  ];
  for (const [name, detections, stepMs, tracks] of cases)
    t.equal(idsOf(follow(detections, stepMs)).length, tracks, name);
});

t.test('a track stays the same and unseen behind a pole for a second and a half', async (t) => {
  const steps = Array.from({ length: 20 }, (_, i) => (i >= 6 && i < 13 ? [] : [personAt(200 + 16 * i)]));
  const tracks = follow(steps, 200);
  t.equal(idsOf(tracks).length, 1);
  t.same(
    tracks.map(([track]) => track?.seen),
    steps.map(([detection], i) => (i === 0 ? undefined : detection !== undefined)),
  );
  t.equal(tracks[12]?.[0]?.lastMs, 1000);
  t.ok((tracks[12]?.[0]?.xyxyPx[0] ?? 0) > (tracks[6]?.[0]?.xyxyPx[0] ?? 0), 'it is thought to walk on');
});

t.test('a track is forgotten after two seconds, and its number is not reused', async (t) => {
  const present = [personAt(300)];
  const tracks = follow(
    [present, present, present, ...Array.from({ length: 12 }, () => []), present, present],
    200,
  );
  t.equal(tracks[12]?.length, 1, 'two seconds after the last sight');
  t.equal(tracks[13]?.length, 0);
  t.equal(idsOf(tracks).length, 2);
});

t.test('a gap in the stream ends a track', async (t) => {
  const tracker = new Tracker();
  for (const atMs of [0, 200, 400]) tracker.update(frameAt(atMs), [personAt(300)]);
  t.same(tracker.update(frameAt(60_400), []), []);
});

t.test('a track that leaves the frame ends immediately', async (t) => {
  const steps = Array.from({ length: 12 }, (_, i) =>
    i < 8 ? [hit([800 - 120 + 16 * i, 200, 840 - 120 + 16 * i, 300])] : [],
  );
  t.equal(follow(steps, 200).at(-1)?.length, 0);
});

t.test('tracks of different groups never mix', async (t) => {
  const labels: Label[] = ['person', 'car', 'bicycle', 'dog', 'suitcase'];
  const all = labels.map((label) => hit([300, 200, 380, 300], 0.9, label));
  const tracks = follow([all, all, all, all, all.slice(0, 1), all], 200);
  t.equal(idsOf(tracks).length, 5, 'one box, five groups, five tracks');
  for (const { group, label } of tracks.at(-1) ?? []) t.equal(group, groupOf(label));
});

t.test('labels of one group share a track, which has the most frequent label', async (t) => {
  const labels: Label[] = ['truck', 'car', 'car', 'bus', 'car', 'car', 'truck'];
  const tracks = follow(
    labels.map((label, i) => [hit([100 + 20 * i, 200, 250 + 20 * i, 300], 0.6, label)]),
    200,
  );
  t.equal(idsOf(tracks).length, 1);
  t.equal(tracks.at(-1)?.[0]?.label, 'car');
});

t.test('vehicles: weak boxes become a track with time, if one of them is good enough', async (t) => {
  const drive = (scores: readonly number[]): (readonly Track[])[] =>
    follow(
      scores.map((score, i) => [hit([100 + 20 * i, 200, 250 + 20 * i, 300], score, 'car')]),
      200,
    );
  const tracks = drive([0.2, 0.32, 0.22, 0.25, 0.2]);
  t.same(
    tracks.map((one) => one.length),
    [0, 0, 1, 1, 1],
  );
  t.same(drive([0.2, 0.25, 0.22, 0.28, 0.2]).flat(), [], 'never above 0.3');
  const flicker = [0.32, 0, 0, 0.25, 0, 0, 0.3, 0, 0].map((s) =>
    s === 0 ? [] : [hit([300, 200, 450, 300], s, 'car')],
  );
  t.same(follow(flicker, 200).flat(), [], 'seen in one frame of three');
});

t.test('people: a low score continues a track and never begins one', async (t) => {
  const scores = [0.8, 0.8, 0.8, 0.2, 0.2, 0.8];
  const tracks = follow(
    scores.map((score, i) => [personAt(300 + 8 * i, 300, score)]),
    200,
  );
  t.ok(tracks.slice(1).every(([track]) => track?.seen === true));
  t.same(
    follow(
      Array.from({ length: 10 }, () => [personAt(300, 300, 0.5)]),
      200,
    ).flat(),
    [],
  );
});

t.test('a person is never as wide as the picture, but a bus may be', async (t) => {
  const frameBox: XyxyPx = [4, 60, SOURCE.widthPx, SOURCE.heightPx];
  const tracker = new Tracker();
  t.same(idsOf(follow(Array(8).fill([hit(frameBox), hit(frameBox, 0.8, 'bus')]), 200, tracker)).length, 1);
  t.equal(tracker.impossible, 8, 'counted');
});

t.test('colours distinguish two people who meet out of sight and turn back', async (t) => {
  const tracker = new Tracker();
  let atMs = 0;
  const see = (redX: number, blueX: number): readonly Track[] => {
    const rgb = GREY.slice();
    paint(rgb, personAt(redX).xyxyPx, RED, RED);
    paint(rgb, personAt(blueX).xyxyPx, BLUE, BLUE);
    atMs += 200;
    return tracker.update(frameAt(atMs, rgb), [personAt(redX), personAt(blueX)]);
  };
  const idAt = (tracks: readonly Track[], x: number): number | undefined =>
    tracks.find(({ xyxyPx, seen }) => seen && iou(xyxyPx, personAt(x).xyxyPx) > 0.3)?.id;
  for (let i = 0; i < 7; i += 1) see(242 + 6 * i, 358 - 6 * i);
  const before = see(284, 316);
  for (let i = 0; i < 4; i += 1) {
    atMs += 200;
    tracker.update(frameAt(atMs), []);
  }
  see(275, 325);
  const after = see(270, 330);
  t.ok(idAt(before, 284) !== undefined && idAt(before, 316) !== undefined);
  t.equal(idAt(after, 270), idAt(before, 284), 'the one in red');
  t.equal(idAt(after, 330), idAt(before, 316), 'the one in blue');
});

t.test('there is room for 256 tracks; further ones are counted', async (t) => {
  const tracker = new Tracker();
  const crowd = Array.from({ length: 300 }, (_, i) =>
    hit([(i % 30) * 27, Math.floor(i / 30) * 50, (i % 30) * 27 + 18, Math.floor(i / 30) * 50 + 45]),
  );
  tracker.update(frameAt(0), crowd);
  t.equal(tracker.refusedTracks, 44);
  t.equal(tracker.update(frameAt(200), crowd).length, 256);
});

const anyLabel = fc.constantFrom(...Object.values(LABELS));
const anyDetection = fc
  .record({
    x: fc.integer({ min: 0, max: 800 }),
    y: fc.integer({ min: 0, max: 480 }),
    w: fc.integer({ min: 1, max: 400 }),
    h: fc.integer({ min: 1, max: 400 }),
    score: fc.integer({ min: 0, max: 100 }).map((n) => n / 100),
    label: anyLabel,
  })
  .map(({ x, y, w, h, score, label }) =>
    hit([x, y, Math.min(SOURCE.widthPx, x + w), Math.min(SOURCE.heightPx, y + h)], score, label),
  );
// A camera never gives two frames with the same time.
const anyStream = fc.array(
  fc.record({
    gapMs: fc.integer({ min: 1, max: 4000 }),
    detections: fc.array(anyDetection, { maxLength: 12 }),
  }),
  {
    maxLength: 25,
  },
);
t.test('any detections at any times give valid and reproducible tracks', async (t) => {
  holds(
    t,
    fc.property(anyStream, (stream) => {
      const one = new Tracker();
      const other = new Tracker();
      let atMs = 0;
      return stream.every(({ gapMs, detections }) => {
        atMs += gapMs;
        const tracks = one.update(frameAt(atMs), detections);
        const sane = tracks.every(
          ({ xyxyPx: [x1, y1, x2, y2], velocityPxPerS, firstMs, lastMs, seen, group, label }) =>
            x2 > x1 &&
            y2 > y1 &&
            [x1, y1, x2, y2, ...velocityPxPerS].every(Number.isFinite) &&
            firstMs <= lastMs &&
            seen === (lastMs === atMs) &&
            group === groupOf(label),
        );
        const seenCount = tracks.filter((track) => track.seen).length;
        return (
          sane &&
          seenCount <= detections.length &&
          new Set(tracks.map(({ id }) => id)).size === tracks.length &&
          JSON.stringify(tracks) === JSON.stringify(other.update(frameAt(atMs), detections))
        );
      });
    }),
  );
});

t.test('vehicles on a fast road stay separate tracks, and a standing one is found', async (t) => {
  const carAt = (x: number): Detection => hit([x, 200, x + 60, 240], 0.7, 'car');
  const tracker = new Tracker();
  let atMs = 0;
  const detect = (detections: readonly Detection[]): readonly Track[] => {
    atMs += 400;
    return tracker.update(frameAt(atMs), detections);
  };
  /** Vehicles that are a length further at each detector run, at 2.5 runs a second. */
  const drive = (offsets: readonly number[]): (readonly Track[])[] =>
    Array.from({ length: 10 }, (_, k) => {
      const places = offsets.map((lengths) => 20 + 60 * (k - lengths)).filter((x) => x >= 20 && x < 560);
      return detect(places.map(carAt));
    });
  const pause = (): void => {
    for (let k = 0; k < 8; k += 1) detect([]);
  };
  for (let k = 0; k < 3; k += 1) {
    drive([0]);
    pause();
  }
  const platoon = drive([0, 1, 2]);
  t.equal(idsOf(platoon).length, 3);
  const ways = new Map<number, number[]>();
  for (const { id, seen, xyxyPx } of platoon.flat()) {
    if (seen) ways.set(id, [...(ways.get(id) ?? []), xyxyPx[0]]);
  }
  for (const [id, xs] of ways)
    t.ok(
      xs.every((x, i) => i === 0 || x > (xs[i - 1] as number)),
      `${id}: ${xs}`,
    );
  pause();
  const stationary = Array.from({ length: 6 }, () => detect([carAt(200)]));
  t.equal(idsOf(stationary).length, 1, 'a standing vehicle is one track');
  t.match(stationary.at(-1)?.[0], { seen: true });
});

t.test('only the frame that confirms a track reports its earlier places', async (t) => {
  const at = (k: number): Detection => hit([100 + 40 * k, 200, 160 + 40 * k, 240], 0.7, 'car');
  const tracks = follow([[at(0)], [at(1)], [at(2)], [at(3)]], 200).map(([track]) => track);
  t.same(
    tracks.map((track) => track?.before?.map(({ atMs, xyxyPx }) => [atMs, xyxyPx[0]])),
    [
      undefined,
      undefined,
      [
        [0, 100],
        [200, 140],
      ],
      undefined,
    ],
  );
});
