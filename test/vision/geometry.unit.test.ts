/** Tests geometry by properties, and the ground plane that two marked people define against a pinhole camera. */
import fc from 'fast-check';
import t, { type Test } from 'tap';
import type { PointNorm, XyxyNorm } from '../../agent/contract/geometry.ts';
import { GroundPlane } from '../../agent/contract/ground-plane.ts';
import {
  beyondEdges,
  distanceRightOf,
  distanceToBoundary,
  distanceToSegment,
  isInside,
  meetingPoint,
  type Point,
} from '../../agent/contract/plane.ts';
import { rectangle } from '../lib/shapes.ts';

/** Coordinates in hundredths: finer steps only test the rounding of numbers. */
const coordinate = fc.integer({ min: -1000, max: 1000 }).map((n) => n / 100);
const point: fc.Arbitrary<Point> = fc.tuple(coordinate, coordinate);
/** Two points far enough apart to give a direction. */
const segment = fc.tuple(point, point).filter(([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]) > 0.1);
/** Checks a property as one assertion. */
function holds<T>(t: Test, property: fc.IProperty<T>): void {
  fc.assert(property);
  t.pass('for all');
}

const near = (a: number, b: number): boolean =>
  Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(a), Math.abs(b));

const SQUARE = rectangle(0, 0, 1, 1);

t.test('point in polygon: known places are right', async (t) => {
  const horseshoe: Point[] = [
    [0, 0],
    [3, 0],
    [3, 3],
    [2, 3],
    [2, 1],
    [1, 1],
    [1, 3],
    [0, 3],
  ];
  t.ok(isInside(horseshoe, [0.5, 2]));
  t.ok(isInside(horseshoe, [2.5, 2]));
  t.notOk(isInside(horseshoe, [1.5, 2]), 'the gap of a horseshoe is outside');
  t.notOk(isInside(horseshoe, [4, 0.5]));
});

t.test('point in polygon: it agrees with the turns round a triangle', async (t) => {
  holds(
    t,
    fc.property(fc.tuple(point, point, point), point, (corners, place) => {
      const [a, b, c] = corners;
      fc.pre(Math.abs(distanceRightOf(a, b, c)) > 0.01 && distanceToBoundary(corners, place) > 1e-6);
      const turns = [
        distanceRightOf(a, b, place),
        distanceRightOf(b, c, place),
        distanceRightOf(c, a, place),
      ];
      return isInside(corners, place) === (turns.every((d) => d > 0) || turns.every((d) => d < 0));
    }),
  );
});

t.test('distance to a segment: zero on it, at most that to its ends, and symmetric', async (t) => {
  t.equal(distanceToSegment([0, 0], [2, 0], [1, 3]), 3);
  t.equal(distanceToSegment([0, 0], [2, 0], [5, 4]), 5);
  t.equal(distanceToSegment([1, 1], [1, 1], [4, 5]), 5, 'a segment may be a point');
  holds(
    t,
    fc.property(segment, point, fc.double({ min: 0, max: 1, noNaN: true }), ([a, b], place, ratio) => {
      const d = distanceToSegment(a, b, place);
      const on: Point = [a[0] + ratio * (b[0] - a[0]), a[1] + ratio * (b[1] - a[1])];
      return (
        d <= Math.hypot(place[0] - a[0], place[1] - a[1]) + 1e-9 &&
        near(d, distanceToSegment(b, a, place)) &&
        near(distanceToSegment(a, b, on), 0)
      );
    }),
  );
});

t.test('sides of a line: the right-hand side is seen from `from` to `to`, y down', async (t) => {
  t.equal(distanceRightOf([0, 0], [1, 0], [0.5, 2]), 2, 'looking to the right, down is on the right');
  t.equal(distanceRightOf([0, 0], [0, 1], [2, 0.5]), -2, 'looking down, the right-hand side is to the left');
  holds(
    t,
    fc.property(segment, point, ([a, b], place) =>
      near(distanceRightOf(a, b, place), -distanceRightOf(b, a, place)),
    ),
  );
});

t.test('meeting point: it lies on both ways, and is missing where they do not cross', async (t) => {
  t.equal(meetingPoint([0, 0], [4, 0], [1, -1], [1, 1]), 0.25);
  t.equal(meetingPoint([0, 0], [4, 0], [1, 1], [3, 2]), undefined);
  holds(
    t,
    fc.property(segment, point, point, ([from, to], a, b) => {
      const at = meetingPoint(from, to, a, b);
      const passed = distanceRightOf(from, to, a) >= 0 !== distanceRightOf(from, to, b) >= 0;
      if (at === undefined) return !passed;
      fc.pre(Math.abs(at) < 1e3);
      const place: Point = [from[0] + at * (to[0] - from[0]), from[1] + at * (to[1] - from[1])];
      return passed && distanceToSegment(a, b, place) < 1e-6;
    }),
  );
});

t.test('a zone that reaches the edge of the frame extends beyond it, and only there', async (t) => {
  const bottom = beyondEdges(
    [
      [0.2, 0.5],
      [0.8, 0.5],
      [0.8, 0.995],
      [0.2, 1],
    ],
    0.01,
  );
  t.ok(isInside(bottom, [0.5, 1.4]), 'below the frame');
  t.ok(isInside(bottom, [0.5, 0.7]));
  t.notOk(isInside(bottom, [0.9, 1.4]), 'not beside the zone');
  t.notOk(isInside(bottom, [0.5, 0.4]));
  const square = beyondEdges(SQUARE, 0.01);
  for (const place of [
    [0.5, -0.5],
    [0.5, 1.5],
    [-0.5, 0.5],
    [1.5, 0.5],
    [0.5, 0.5],
  ] as const) {
    t.ok(isInside(square, place), `whole frame: ${place.join(', ')}`);
  }
  const inner = fc.double({ min: 0.02, max: 0.98, noNaN: true });
  holds(
    t,
    fc.property(fc.array(fc.tuple(inner, inner), { minLength: 3, maxLength: 8 }), (corners) =>
      beyondEdges(corners, 0.01).every((corner, i) => corner === corners[i]),
    ),
  );
});

const SOURCE = { widthPx: 1280, heightPx: 720 };
const ASPECT = 1280 / 720;

/** Projects a point of the world (right, ahead, up, in m) by a camera at `heightM`, tilted down. */
function pinhole(heightM: number, tiltDeg: number, hfovDeg: number) {
  const focal = ASPECT / 2 / Math.tan((hfovDeg * Math.PI) / 360);
  const tilt = (tiltDeg * Math.PI) / 180;
  return (right: number, forward: number, up: number): PointNorm => {
    const drop = heightM - up;
    const depth = forward * Math.cos(tilt) + drop * Math.sin(tilt);
    const down = drop * Math.cos(tilt) - forward * Math.sin(tilt);
    return [0.5 + (focal * right) / depth / ASPECT, 0.5 + (focal * down) / depth];
  };
}

const camera = fc.record({
  heightM: fc.double({ min: 3, max: 8, noNaN: true }),
  tiltDeg: fc.double({ min: 5, max: 30, noNaN: true }),
  hfovDeg: fc.double({ min: 50, max: 95, noNaN: true }),
});

function groundOf({ heightM, tiltDeg, hfovDeg }: { heightM: number; tiltDeg: number; hfovDeg: number }) {
  const project = pinhole(heightM, tiltDeg, hfovDeg);
  // Two people in the picture: at 1.8 and 5 heights of the camera, moved away until their feet are in it.
  const nearM = Math.max(1.8 * heightM, heightM / Math.tan(((tiltDeg + 20) * Math.PI) / 180));
  const [close, far] = [nearM, nearM * 2.5].map((distanceM) => ({
    feet: project(0, distanceM, 0),
    head: project(0, distanceM, 1.7),
  }));
  if (close === undefined || far === undefined) throw new Error('two people');
  return { project, nearM, ground: new GroundPlane({ people: [close, far], hfovDeg }) };
}

t.test('heights of people and areas of ground are right within the method’s error', async (t) => {
  fc.assert(
    fc.property(camera, fc.double({ min: 1, max: 2.5, noNaN: true }), (setup, times) => {
      const { project, nearM, ground } = groundOf(setup);
      const [, feet] = project(0, nearM * times, 0);
      const [, head] = project(0, nearM * times, 1.7);
      const error = ground.personHeightNorm(feet) / (feet - head) - 1;
      if (Math.abs(error) > 0.1) throw new Error(`a person's height is wrong by ${error}`);
      const square = [
        project(-2, nearM, 0),
        project(2, nearM, 0),
        project(2, nearM * times + 1, 0),
        project(-2, nearM * times + 1, 0),
      ];
      const areaM2 = 4 * (nearM * times + 1 - nearM);
      const ratio = (ground.areaM2(square, SOURCE) ?? 0) / areaM2;
      if (ratio < 0.6 || ratio > 1.5) throw new Error(`${areaM2} m² are measured as ${ratio} of it`);
    }),
  );
  t.pass('heights within a tenth, areas within a half');
});

t.test('the ground plane rejects people and vehicles of an impossible size', async (t) => {
  const ground = new GroundPlane({
    people: [
      { feet: [0.3, 0.9], head: [0.3, 0.5] },
      { feet: [0.6, 0.5], head: [0.6, 0.3] },
    ],
  });
  t.equal(Math.round(ground.personHeightNorm(0.7) * 1000), 300);
  t.equal(ground.personHeightNorm(0.05), 0, 'above the horizon');
  const person = (bottom: number, height: number): XyxyNorm => [0.4, bottom - height, 0.5, bottom];
  t.ok(ground.allows('person', person(0.7, 0.3), SOURCE));
  t.ok(ground.allows('person', person(0.7, 0.13), SOURCE), 'a small child, or a sitting person');
  t.notOk(ground.allows('person', person(0.7, 0.08), SOURCE), 'a quarter of a person');
  t.notOk(ground.allows('person', person(0.7, 0.6), SOURCE), 'twice a person');
  t.notOk(ground.allows('person', [0.4, 0, 0.5, 0.08], SOURCE), 'stands on nothing');
  t.ok(ground.allows('person', person(1, 0.05), SOURCE), 'cut off below: where it stands is not seen');
  t.ok(ground.allows('person', [0, 0.62, 0.02, 0.7], SOURCE), 'cut off at the side: not too small');
  t.ok(ground.allows('vehicle', [0.2, 0.4, 0.5, 0.7], SOURCE), 'a car from the side');
  t.notOk(ground.allows('vehicle', [0.4, 0.66, 0.44, 0.7], SOURCE), 'a toy');
  t.ok(ground.allows('bag', [0.4, 0.69, 0.41, 0.7], SOURCE), 'only people and vehicles are judged');
  t.equal(
    ground.areaM2(
      [
        [0, 0.5],
        [1, 0.5],
        [1, 1],
      ],
      SOURCE,
    ),
    undefined,
    'the lens is not known',
  );
});

t.test('ground near the horizon is not measured', async (t) => {
  const { ground } = groundOf({ heightM: 5, tiltDeg: 15, hfovDeg: 70 });
  t.equal(
    ground.areaM2(
      [
        [0, 0.02],
        [1, 0.02],
        [0.5, 0.9],
      ],
      SOURCE,
    ),
    undefined,
  );
});
