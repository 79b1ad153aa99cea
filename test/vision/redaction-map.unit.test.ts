/** Tests which parts of a still are hidden or shown coarsely, and from which memory of boxes. */
import fc from 'fast-check';
import t from 'tap';
import type { SizePx, XyxyNorm, XyxyPx } from '../../agent/contract/geometry.ts';
import type { Group } from '../../agent/contract/label.ts';
import { type Detection, type Foreground, MOVING, type Track } from '../../agent/contract/picture.ts';
import { CELL_PX, COARSE, HIDDEN, LIVE } from '../../agent/vision/redact/cells.ts';
import { DetectionHistory } from '../../agent/vision/redact/history.ts';
import { coarsen } from '../../agent/vision/redact/mosaic.ts';
import { grownBox, type RedactionMap, redactionMapOf } from '../../agent/vision/redact/redaction-map.ts';
import { detectionOf, isTouched, trackOf } from '../lib/pictures.ts';

const PLACE = fc.double({ min: -300, max: 1200, noNaN: true });
const LENGTH = fc.double({ min: 0.3, max: 1050, noNaN: true });
const anyBox: fc.Arbitrary<XyxyPx> = fc
  .tuple(PLACE, PLACE, LENGTH, LENGTH)
  .map(([x, y, width, height]) => [x, y, x + width, y + height]);

const SOURCE: SizePx = { widthPx: 1000, heightPx: 1000 };

const person = (x: number, y = 100): Detection => detectionOf('person', [x, y, x + 40, y + 100], 0.15);
const car = (xyxyPx: XyxyPx, score = 0.6): Detection => detectionOf('car', xyxyPx, score);

const track = (xyxyPx: XyxyPx, velocityPxPerS: [number, number] = [0, 0], id = 1): Track =>
  trackOf(xyxyPx, { id, velocityPxPerS, seen: false, score: 0.2, bestScore: 0.2 });

interface FrameContent {
  readonly detections?: readonly Detection[];
  readonly tracks?: readonly Track[];
  readonly foreground?: Foreground;
}

/** Visible parts of a still at `atMs` when frames of the given times showed these objects. */
function redactionAt(
  frames: Readonly<Record<number, FrameContent>>,
  atMs: number,
  thing?: XyxyNorm,
): RedactionMap {
  const history = new DetectionHistory();
  for (const [time, { detections = [], tracks = [], foreground }] of Object.entries(frames)) {
    history.add({ atMs: Number(time), wallMs: 0, source: SOURCE }, detections, tracks, foreground);
  }
  const neighbours = history.framesAround(atMs);
  if (neighbours === undefined) throw new Error(`no frame at ${atMs} ms`);
  return redactionMapOf(neighbours, SOURCE, 0, thing && [thing]);
}
/** Left edges of the hidden areas, of people of the usual size, without their margin of 10 px. */
const leftsOf = ({ hidden }: RedactionMap): number[] =>
  hidden.map(([x]) => Math.round(x + 10)).sort((a, b) => a - b);
const valuesAt = ({ grid, cells }: RedactionMap, ...points: [number, number][]): (number | undefined)[] =>
  points.map(([x, y]) => cells[Math.floor(y / CELL_PX) * grid.columns + Math.floor(x / CELL_PX)]);

t.test('cover: a box stays hidden for two seconds before and after its detection', async (t) => {
  const frames = {
    1000: { detections: [person(500)] },
    2000: {},
    3000: {},
    3001: {},
    6000: {},
    5000: { detections: [person(200)] },
  };
  t.same(leftsOf(redactionAt(frames, 2000)), [500]);
  t.same(leftsOf(redactionAt(frames, 3000)), [200, 500], 'two seconds on either side');
  t.same(leftsOf(redactionAt(frames, 3001)), [200], 'and no longer');
  t.same(leftsOf(redactionAt(frames, 6000)), [200]);
});

t.test('cover: a detected person leaves no trail, and a missed one stays hidden', async (t) => {
  const at = (...lefts: number[][]): Record<number, FrameContent> =>
    Object.fromEntries(lefts.map((xs, i) => [i * 200, { detections: xs.map((x) => person(x)) }]));
  t.same(leftsOf(redactionAt(at([100], [115], [130]), 400)), [130]);
  t.same(leftsOf(redactionAt(at([100, 300], [110], [120]), 400)), [120, 300], 'one box continues one chain');
  const passing = at([100, 140], [115, 140], [132], [150]);
  t.same(leftsOf(redactionAt(passing, 600)), [140, 150], 'who passes does not take the other’s box along');
  t.same(leftsOf(redactionAt(at([100], [400]), 200)), [100, 400], 'a chain that breaks hides more');
});

t.test('cover: people and riders are hidden, and sure vehicles are coarse', async (t) => {
  const detections = [
    person(100),
    detectionOf('bicycle', [300, 500, 400, 600], 0.15),
    detectionOf('motorcycle', [500, 500, 600, 600], 0.9),
    car([700, 500, 900, 600]),
    car([700, 800, 900, 900], 0.4),
    detectionOf('dog', [10, 10, 40, 40], 0.9),
    detectionOf('handbag', [50, 10, 60, 20], 0.9),
  ];
  const map = redactionAt({ 0: { detections, tracks: [track([600, 100, 640, 200])] } }, 0.4);
  const [walker, predicted] = [valuesAt(map, [120, 150]), valuesAt(map, [620, 150])];
  t.same([walker, predicted], [[HIDDEN], [HIDDEN]], 'who is found, and whom the tracker predicts');
  const riders = valuesAt(map, [350, 550], [350, 430], [550, 550], [550, 430]);
  t.same(riders, Array(4).fill(HIDDEN), 'cycles, and who sits on them');
  t.same(valuesAt(map, [800, 550], [800, 850]), [COARSE, HIDDEN], 'a sure car, and a doubtful one');
  t.same(valuesAt(map, [25, 25], [55, 15], [950, 50]), [LIVE, LIVE, LIVE], 'dogs and bags are not people');
  const departed = redactionAt({ 0: { detections: [car([700, 500, 900, 600])] }, 200: {} }, 200);
  t.same(valuesAt(departed, [800, 550]), [HIDDEN], 'where a car has just been, a person may be visible now');
});

t.test('cover: people before and within a sure vehicle are hidden', async (t) => {
  const bus = car([200, 200, 600, 500]);
  const before = (xyxyPx: XyxyPx, score: number, otherContent: FrameContent = {}): RedactionMap =>
    redactionAt({ 0: { ...otherContent, detections: [bus, detectionOf('person', xyxyPx, score)] } }, 0);
  const small: XyxyPx = [300, 250, 340, 350];
  t.same(valuesAt(before(small, 0.5), [320, 300], [500, 400]), [HIDDEN, COARSE], 'who is sure is hidden');
  const driver = before(small, 0.49);
  t.same(valuesAt(driver, [320, 300]), [COARSE], 'of whom it is not sure is part of it');
  t.match(driver.coarse, [{ sidePx: 32 }, { box: [290, 240, 350, 360], sidePx: 32 }]);
  t.same(valuesAt(before([300, 200, 380, 500], 0.1), [340, 300]), [HIDDEN], 'but not if as tall as it');
  t.same(valuesAt(before([560, 300, 660, 400], 0.1), [620, 350]), [HIDDEN], 'nor if half beside it');
  t.same(
    valuesAt(before([150, 250, 400, 350], 0.1), [160, 300]),
    [COARSE],
    'what sticks out of it is coarse',
  );

  const moving: Foreground = { columns: 10, rows: 10, cellNorm: [0.1, 0.1], cells: new Uint8Array(100) };
  moving.cells.fill(MOVING, 32, 34);
  moving.cells.fill(MOVING, 82, 84);
  const moves = before(small, 0.1, { foreground: moving });
  t.same(
    valuesAt(moves, [350, 350], [250, 850]),
    [COARSE, HIDDEN],
    'what moves is hidden, but no sure vehicle',
  );
  for (const [speedPx, value] of [
    [20, HIDDEN],
    [40, COARSE],
  ] as const) {
    // It is 300 px high: moving a tenth of that per second counts as standing.
    const tracks = [
      { ...track([200, 200, 600, 500], [speedPx, 0]), group: 'vehicle', label: 'bus' } as const,
    ];
    const map = before(small, 0.1, { tracks, foreground: moving });
    t.same(valuesAt(map, [350, 350], [560, 400]), [value, COARSE], `${speedPx} px/s: who moves before it`);
  }
  const thing: XyxyNorm = [0.64, 0.64, 0.76, 0.76];
  const frameWith = (score: number): FrameContent => ({
    detections: [detectionOf('person', [600, 600, 700, 800], score)],
  });
  const [doubtful, sure] = [0.3, 0.5].map((score) => redactionAt({ 0: frameWith(score) }, 0, thing)) as [
    RedactionMap,
    RedactionMap,
  ];
  const points: [number, number][] = [
    [620, 620],
    [680, 680],
    [740, 740],
  ];
  t.same(valuesAt(doubtful, ...points), [HIDDEN, COARSE, LIVE], 'a thing of an event is seen coarsely');
  t.same(valuesAt(sure, ...points), [HIDDEN, HIDDEN, LIVE], 'but not where a person is for sure');
  const carried = redactionAt(
    { 0: { ...frameWith(0.3), foreground: { ...moving, cells: new Uint8Array(100).fill(MOVING) } } },
    0,
    thing,
  );
  t.same(valuesAt(carried, ...points), [HIDDEN, HIDDEN, HIDDEN], 'nor where anything moves');
});

const anybody: fc.Arbitrary<Detection> = fc
  .tuple(
    anyBox,
    fc.constantFrom<Group[]>('person', 'cycle', 'vehicle'),
    fc.double({ min: 0.1, max: 0.9, noNaN: true }),
  )
  .map(([xyxyPx, group, score]) => {
    const label = group === 'person' ? 'person' : group === 'cycle' ? 'bicycle' : 'bus';
    return detectionOf(label, xyxyPx, score);
  });

t.test('cover: exactly the pixels of a box with its margin are hidden or coarse', async (t) => {
  fc.assert(
    fc.property(fc.array(anybody, { maxLength: 6 }), fc.nat({ max: 4 }), (detections, reachPx) => {
      const history = new DetectionHistory();
      const own = history.add({ atMs: 0, wallMs: 0, source: SOURCE }, detections, []);
      const { grid, cells } = redactionMapOf({ own, before: [], after: [] }, SOURCE, reachPx);
      const boxes = own.detections.map((box) => ({ box, marginBox: grownBox(box, SOURCE, reachPx) }));
      const vehicles = boxes.some(({ box }) => box.treatment === 'vehicle' && box.sure);
      return cells.every((value, cell) => {
        const covering = boxes
          .filter(({ marginBox }) => isTouched(grid, cell, marginBox))
          .map(({ box }) => box);
        if (covering.some(({ treatment, sure }) => treatment !== 'vehicle' && sure)) return value === HIDDEN;
        if (covering.some(({ treatment, sure }) => treatment === 'vehicle' && sure)) return value !== LIVE;
        if (covering.length === 0) return value === LIVE;
        // A doubtful box may be part of a sure vehicle.
        return vehicles ? value !== LIVE : value === HIDDEN;
      });
    }),
    { numRuns: 200 },
  );
  t.pass('holds for every scene tried');
});

t.test('cover: a box grows by a margin for people, riders and vehicles', async (t) => {
  const size: SizePx = { widthPx: 500, heightPx: 500 };
  const placed = (treatment: 'person' | 'rider' | 'vehicle', reachPx = 0): XyxyPx =>
    grownBox({ treatment, xyxyNorm: [0.4, 0.4, 0.5, 0.7], sure: true }, size, reachPx);
  t.same(placed('person'), [185, 185, 265, 365], 'a tenth of the long side on every side');
  t.same(placed('vehicle', 4), [181, 181, 269, 369], 'and what the kernel has spread');
  t.same(placed('rider').map(Math.round), [173, 53, 277, 377], 'and a rider above the wheels');
});

t.test('history: it is bounded in time and number, and copies its arrays', async (t) => {
  const history = new DetectionHistory();
  const frame = (atMs: number, source = SOURCE) => ({ atMs, wallMs: atMs + 7, source });
  for (let i = 0; i < 3000; i += 1) history.add(frame(i * 100), [], []);
  t.equal(history.length, 171, 'seventeen seconds at 10 frames a second');
  t.equal(history.forgotten, 0);
  t.equal(history.framesAround(299_900 - 17_100), undefined, 'older frames are gone');
  const records = history.between(299_000, 299_200).map(({ atMs, wallMs }) => [atMs, wallMs]);
  t.same(
    records,
    [299_000, 299_100, 299_200].map((ms) => [ms, ms + 7]),
    'a span with both its ends, oldest first',
  );
  t.same(history.between(299_901, 400_000), []);
  for (let i = 0; i < 3000; i += 1) history.add(frame(400_000 + i), [], []);
  t.equal(history.length, 600);
  t.equal(history.forgotten, 2400, 'the others had their time');
  t.equal(history.framesAround(402_999.4)?.own.atMs, 402_999, 'half a millisecond is the same frame');
  t.equal(history.framesAround(402_999.6), undefined, 'another moment is not');

  const detections = [person(100)];
  history.add(frame(500_000), detections, []);
  detections.pop();
  t.equal(history.framesAround(500_000)?.own.detections.length, 1);
  history.add(frame(500_100, { widthPx: 2000, heightPx: 2000 }), [person(200)], []);
  t.same(
    history.framesAround(500_100)?.own.detections[0]?.xyxyNorm[0],
    0.1,
    'normalised to the frame’s own size',
  );
});

t.test('history: it marks sure detections and tracks, and gives their speeds', async (t) => {
  const people = [0.49, 0.5].map((score) => detectionOf('person', [0, 0, 40, 100], score));
  const own = new DetectionHistory().add({ atMs: 0, wallMs: 0, source: SOURCE }, people, [
    track([100, 100, 140, 200], [30, 40], 12),
    track([0, 0, 9, 0], [30, 40], 13),
  ]);
  t.same(
    own.detections.map(({ sure }) => sure),
    [false, true],
  );
  t.match(
    own.tracks,
    [
      { sure: true, id: 12, speed: 0.5 },
      { id: 13, speed: 50 },
    ],
    'in heights of the box a second',
  );
});

t.test('cover: a box without coordinates stops the snapshot', async (t) => {
  for (const nowhere of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const invalid = detectionOf('person', [nowhere, 100, 200, 300], 0.8);
    t.throws(() => redactionAt({ 1000: { detections: [invalid] } }, 1000), {
      kind: 'bug',
      message: /has coordinates/,
    });
  }
});

t.test('cover: a small thing is as coarse as a person who may be lying there', async (t) => {
  const doubtful = detectionOf('person', [300, 300, 500, 900], 0.3);
  const { coarse } = redactionAt({ 1000: { detections: [doubtful] } }, 1000, [0.401, 0.361, 0.405, 0.365]);
  t.same(
    coarse.map(({ sidePx }) => sidePx),
    [256],
    'a fifth of 720 px, in powers of two',
  );
});

t.test('cover: a coarse cell is completely coarse, however fine its blocks are', async (t) => {
  const detections = [car([203, 203, 241, 227]), car([150, 150, 300, 300], 0.3)];
  const { grid, cells, coarse } = redactionAt({ 1000: { detections } }, 1000);
  const rgb = Uint8Array.from({ length: 1000 * 1000 * 3 }, (_, i) => (i * 2_654_435_761) >>> 24);
  const before = rgb.slice();
  coarsen(rgb, grid, cells, coarse);
  let unchanged = 0;
  for (let pixel = 0; pixel < 1_000_000; pixel += 1) {
    const [x, y] = [pixel % 1000, Math.floor(pixel / 1000)];
    if (cells[(y >> 3) * grid.columns + (x >> 3)] !== COARSE) continue;
    if ([0, 1, 2].every((i) => rgb[pixel * 3 + i] === before[pixel * 3 + i])) unchanged += 1;
  }
  t.equal(unchanged, 0);
});
