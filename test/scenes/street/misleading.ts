/**
 * Scenes that misled a box on real streets:
 * - queues in which the detector mixes up its vehicles
 * - shadow edges and lamp beams that it reports as vehicles
 * - objects that were there before
 * - riders
 * - the same alerts by night
 */

import {
  along,
  car,
  driveLeft,
  driveRight,
  LINE,
  ROAD,
  SQUARE,
  scenes,
  stays,
  still,
  toRight,
  visit,
  waits,
} from './actors.ts';
import type { Edit } from './paint.ts';
import type { Actor, Ghost, StreetScene, Waypoint } from './scene.ts';

/** The light of one street lamp in five, and a sensor at full gain. */
const night: readonly Edit[] = [
  { kind: 'exposure', factor: 0.25, fromS: 0, doneS: 0 },
  { kind: 'noise', sigma: 8 },
];
/** The shadow of a house, which moves over the street like the sun's, but faster. */
const creeping: Edit = {
  kind: 'light',
  box: [-1.9, -1, 0.1, 2],
  factor: 0.55,
  soft: 0.03,
  fromS: 4,
  driftPerS: 0.02,
  stopS: 30,
};

/**
 * Vehicles nose to tail in a lane, each mixed up with its neighbours. They wait until `goS` and drive on to the right.
 */
function queue(count: number, y: number, goS: number, over: Partial<Actor> = {}): Actor[] {
  return Array.from({ length: count }, (_, i) => {
    const x = 0.82 - 0.16 * i;
    const leaves = goS + 1.2 * i;
    return car(
      along([1 + 2 * i, -0.2, y], [4 + 2.4 * i, x, y], [leaves, x, y], [leaves + 5 * (1.2 - x), 1.2, y]),
      { score: 0.38, flips: 0.6, missed: [[12 + i, 13.2 + i]], look: i, ...over },
    );
  });
}

/** A detector box at the edge of a shadow or in a beam. It moves along without any pixel of a vehicle. */
const illusion = (way: readonly Waypoint[], score: number): Actor => ({
  label: 'car',
  way,
  score,
  illusion: true,
});
/** Boxes in a row of windows that come and go, so that they look like one that moves. */
const windows: Ghost[] = [0.25, 0.4, 0.55, 0.7].map((x, i) => ({
  label: 'car',
  box: [x - 0.07, 0.45, x + 0.07, 0.58],
  score: 0.3 + 0.02 * i,
  timeRatio: 0.3,
}));

const WRONG_WAY: StreetScene[] = scenes({ kind: 'wrong-way', directionDeg: 0 }, { zone: ROAD }, [
  ['by night', 14, [driveLeft(2, 6, 0.6, { score: 0.42 })], [[2.5, 8]], { weather: night }],
  ['past a queue at a red light', 34, [...queue(5, 0.52, 26), driveLeft(14, 6, 0.85)], [[14.5, 19.5]]],
  ['queues in two lanes', 46, [...queue(5, 0.52, 34), ...queue(4, 0.72, 33)], []],
  [
    'a queue, motorcycles pass between',
    40,
    [
      ...queue(4, 0.55, 32),
      ...[10, 16, 22].map((s) => driveRight(s, 6, 0.68, { label: 'motorcycle', score: 0.4 })),
    ],
    [],
  ],
  ['boxes in a row of windows', 40, [], [], { ghosts: windows }],
]);

const PARKING: StreetScene[] = scenes({ kind: 'illegal-parking', afterS: 20 }, { zone: SQUARE }, [
  [
    'where another stood before',
    70,
    [car(along([0, 0.5, 0.6], [14, 0.5, 0.6], [17, 1.25, 0.6])), visit(26, 62, 0.5, 0.6)],
    [[44.5, 50]],
  ],
  ['by night', 60, [visit(12, 52, 0.5, 0.6, { score: 0.4 })], [[30.5, 37]], { weather: night }],
  ['a queue at a red light for 15 s', 44, queue(4, 0.6, 20), []],
]);

const PEDESTRIAN_ZONE: StreetScene[] = scenes(
  { kind: 'vehicle-in-pedestrian-zone', afterS: 2 },
  { zone: SQUARE },
  [
    ['by night', 20, [visit(6, 14, 0.5, 0.65, { score: 0.42 })], [[5.5, 10.5]], { weather: night }],
    ['while a shadow creeps', 30, [visit(14, 22, 0.55, 0.65)], [[13, 18.5]], { weather: [creeping] }],
    [
      'the edge of a shadow is taken for a car',
      40,
      [illusion(along([8, 0.2, 0.7], [30, 0.64, 0.7]), 0.24)],
      [],
      { weather: [creeping] },
    ],
    [
      'a beam of lamps passes over the ground',
      30,
      [4, 12, 20].map((s) => illusion(along([s, 0.1, 0.6], [s + 4, 0.9, 0.6]), 0.24)),
      [],
      { weather: night },
    ],
  ],
);

const LINE_CROSSING: StreetScene[] = scenes({ kind: 'line-crossing' }, { line: LINE }, [
  ['by night', 14, [toRight(2, 0.6, { score: 0.55 })], [[6.5, 9.5]], { weather: night }],
  [
    'infra-red, lost in every fourth second',
    14,
    [
      toRight(2, 0.6, {
        score: 0.55,
        missed: [
          [3, 3.6],
          [7.4, 8],
          [10, 10.6],
        ],
      }),
    ],
    [[6.5, 9.5]],
    { weather: night },
  ],
  [
    'a queue stands before it',
    30,
    [0.42, 0.24, 0.06].map((x, i) =>
      car(still(30, x, 0.6), { score: 0.38, flips: 0.6, missed: [[8 + 4 * i, 9.2 + 4 * i]] }),
    ),
    [],
    { rule: { classes: ['car', 'truck', 'bus'] } },
  ],
  [
    'the edge of a shadow creeps over it',
    40,
    [illusion(along([8, 0.2, 0.7], [30, 0.64, 0.7]), 0.24)],
    [],
    { rule: { classes: ['car', 'truck', 'bus'] }, weather: [creeping] },
  ],
]);

const LOITERING: StreetScene[] = scenes({ kind: 'loitering', afterS: 20 }, { zone: SQUARE }, [
  ['by night', 50, [stays(8, 44, 0.5, 0.7, { score: 0.55 })], [[26, 33]], { weather: night }],
  ['waits for 12 s by night', 40, [stays(8, 20, 0.5, 0.7, { score: 0.55 })], [], { weather: night }],
]);

const spots = (count: number): (readonly [number, number])[] =>
  Array.from({ length: count }, (_, i) => [0.24 + 0.1 * (i % 6), 0.56 + 0.2 * Math.floor(i / 6)]);

const CROWDS: StreetScene[] = scenes(
  { kind: 'crowd-gathering', minCount: 10, afterS: 10 },
  { zone: SQUARE },
  [
    [
      'by night',
      40,
      spots(12).map(([x, y], i) => ({ ...waits(1, 39, x, y, i), score: 0.6 })),
      [[11, 24]],
      { weather: night },
    ],
    [
      'a club has got off its bicycles',
      40,
      spots(12).flatMap(([x, y], i): Actor[] => [
        waits(1, 39, x, y, i),
        { label: 'bicycle', way: along([1, x + 0.05, y - 0.01], [39, x + 0.05, y - 0.01]) },
      ]),
      [[11, 24]],
    ],
    [
      'a club of riders passes',
      24,
      Array.from(
        { length: 14 },
        (_, i): Actor => ({
          label: i % 3 === 0 ? 'motorcycle' : 'bicycle',
          way: along([1 + 0.5 * i, -0.1, 0.55 + 0.08 * (i % 4)], [6 + 0.5 * i, 1.1, 0.55 + 0.08 * (i % 4)]),
        }),
      ),
      [],
    ],
  ],
);

export const MISLEADING: readonly StreetScene[] = [
  ...WRONG_WAY,
  ...PARKING,
  ...PEDESTRIAN_ZONE,
  ...LINE_CROSSING,
  ...LOITERING,
  ...CROWDS,
];
