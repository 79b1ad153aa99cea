/** Scenes of actors that cross a line, and of actors that only come near it. */
import { along, bush, LINE, person, scenes, starts, still, toLeft, toRight } from './actors.ts';
import type { Actor, StreetScene } from './scene.ts';

const bus: Actor = {
  label: 'bus',
  way: along([0, -0.4, 0.97], [4, 0.5, 0.97], [9, 0.5, 0.97], [13, 1.4, 0.97]),
};
const only = { rule: { classes: ['person'] } };

export const LINE_CROSSING: readonly StreetScene[] = scenes({ kind: 'line-crossing' }, { line: LINE }, [
  ['to the right', 14, [toRight(2, 0.6)], [[6.5, 8.5]]],
  ['to the left, 3 a second', 14, [toLeft(2, 0.8)], [[6.5, 9]], { fps: 3 }],
  [
    'both ways, left is told',
    18,
    [toRight(2, 0.55), toLeft(5, 0.8)],
    [[6.5, 8.5]],
    { rule: { direction: 'left' } },
  ],
  [
    'four in company',
    16,
    [0, 1, 2, 3].map((i) => toRight(2 + 0.8 * i, 0.5 + 0.12 * i)),
    starts([6.5, 8.5], [7.3, 9.3], [8.1, 10.1], [8.9, 10.9]),
  ],
  [
    'and back again',
    22,
    [person(along([1, 0.1, 0.6], [9, 0.75, 0.6], [11, 0.75, 0.6], [19, 0.1, 0.6]))],
    starts([5, 7.5], [13, 15.5]),
  ],
  ['bicycle', 10, [person(along([2, 0.05, 0.6], [6, 0.95, 0.6]), { label: 'bicycle' })], [[3.5, 5]]],
  ['lost on the line', 14, [toRight(2, 0.6, { missed: [[6.5, 7.6]] })], [[6.5, 9.5]]],
  [
    'behind a bus on the line',
    26,
    [
      { ...bus, way: along([0, -0.4, 0.97], [3, 0.5, 0.97], [5, 0.5, 0.97], [8, 1.4, 0.97]) },
      toRight(4, 0.6),
    ],
    [[8, 11]],
    only,
  ],

  [
    'turns back before it',
    20,
    [person(along([1, 0.05, 0.6], [6, 0.45, 0.6], [7, 0.45, 0.6], [14, 0.05, 0.6]))],
    [],
  ],
  ['stands on it', 60, [person(still(60, 0.5, 0.6))], []],
  ['stands close by', 50, [person(still(50, 0.48, 0.6))], []],
  ['along it', 16, [person(along([1, 0.44, 0.4], [13, 0.44, 0.98]))], []],
  ['past its end', 14, [toRight(2, 0.31), toLeft(3, 0.3)], []],
  ['the other way', 14, [toLeft(2, 0.6), toLeft(4, 0.8)], [], { rule: { direction: 'left' } }],
  [
    'cars where people count',
    20,
    [0, 1, 2].map((i) => person(along([1 + 4 * i, -0.2, 0.7], [7 + 4 * i, 1.2, 0.7]), { label: 'car' })),
    [],
    only,
  ],
  [
    'two meet at it and part',
    26,
    [
      person(along([1, 0.05, 0.6], [7, 0.455, 0.6], [15, 0.455, 0.6], [22, 0.05, 0.6])),
      person(along([1, 0.95, 0.61], [7, 0.545, 0.61], [15, 0.545, 0.61], [22, 0.95, 0.61])),
    ],
    [],
  ],
  ['bush beside it', 60, [], [], { ghosts: [{ ...bush, box: [0.47, 0.5, 0.52, 0.66] }] }],
]);
