/** Tests the ground plane that two marked people define, against a pinhole camera that is computed here. */
import fc from 'fast-check';
import t from 'tap';
import type { PointNorm, XyxyNorm } from '../../agent/contract/geometry.ts';
import { GroundPlane } from '../../agent/contract/ground-plane.ts';

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
  const [near, far] = [nearM, nearM * 2.5].map((distanceM) => ({
    feet: project(0, distanceM, 0),
    head: project(0, distanceM, 1.7),
  }));
  if (near === undefined || far === undefined) throw new Error('two people');
  return { project, nearM, ground: new GroundPlane({ people: [near, far], hfovDeg }) };
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
