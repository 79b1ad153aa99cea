/**
 * Scenes of real pixels: people and vehicles cut out of real clips and put on the clips' own empty street or into the
 * running clip. The real detector runs on them.
 */

import { rectangle } from '../../lib/shapes.ts';
import { along, person, scenes, stays, still, waits } from './actors.ts';
import type { Actor, StreetScene, Waypoint } from './scene.ts';

const ON_ROAD = { stage: 'road', eyes: 'detector' } as const;
const ON_STREET = { stage: 'street', eyes: 'detector' } as const;

/** The carriageway on the right, on which all drive away from the camera, up and a little to the right. */
const RIGHT = [
  [0.1, 1],
  [0.4, 0.55],
  [0.6, 0.35],
  [0.95, 0.35],
  [0.93, 0.6],
  [0.75, 1],
] as const;
const LAWN = rectangle(0.05, 0.5, 0.95, 1);
const PLACE = rectangle(0.25, 0.5, 0.55, 1);
const PATH = { from: [0.5, 0.4], to: [0.5, 1] } as const;
/** x of the middle of that carriageway at y. */
const laneX = (y: number): number => 0.88 - 0.52 * y;

const car = (way: readonly Waypoint[], look = 0): Actor => ({ label: 'car', way, look });
/** Waypoints along the lane between two heights. */
const lane = (fromS: number, y1: number, toS: number, y2: number): Waypoint[] =>
  along([fromS, laneX(y1), y1], [toS, laneX(y2), y2]);
/** A vehicle that comes up the lane, stops, and continues. */
const parks = (atS: number, untilS: number, y: number, look = 0): Actor =>
  car([...lane(atS - 3, 0.95, atS, y), ...lane(untilS, y, untilS + 2, 0.36)], look);

const ROAD_SCENES: readonly StreetScene[] = [
  ...scenes(
    { kind: 'vehicle-in-pedestrian-zone', afterS: 2 },
    { zone: RIGHT },
    [
      ['comes and stops', 16, [parks(5, 14, 0.62)], [[3.5, 8.5]]],
      [
        'comes and stops in rain',
        16,
        [parks(5, 14, 0.62, 1)],
        [[3.5, 9]],
        { weather: [{ kind: 'rain', drops: 80 }] },
      ],
      ['stands all the time', 20, [car([...lane(0, 0.62, 20, 0.62)])], []],
      [
        'nobody comes, the light falls',
        16,
        [],
        [],
        { weather: [{ kind: 'exposure', factor: 0.6, fromS: 8, doneS: 8.4 }] },
      ],
    ],
    ON_ROAD,
  ),
  ...scenes(
    { kind: 'illegal-parking', afterS: 10 },
    { zone: RIGHT },
    [
      ['parks', 30, [parks(8, 26, 0.62)], [[17, 21]]],
      [
        'its light changes',
        34,
        [parks(8, 30, 0.62)],
        [[17, 21]],
        {
          weather: [{ kind: 'exposure', factor: 0.65, fromS: 22, doneS: 22.4 }],
        },
      ],
      ['camera away for 20 s', 50, [parks(8, 46, 0.62)], [[17, 21]], { outages: [[21, 41]] }],
      ['vision starts anew', 40, [parks(8, 36, 0.62)], [[17, 21]], { restartS: [22] }],
      ['stops for 6 s', 24, [parks(8, 14, 0.62)], []],
      ['stands since before', 24, [car([...lane(0, 0.62, 24, 0.62)])], []],
      [
        'a shadow moves over the empty road',
        24,
        [],
        [],
        {
          weather: [
            {
              kind: 'light',
              box: [0.1, 0.4, 0.4, 0.9],
              factor: 0.6,
              soft: 0.2,
              fromS: 4,
              driftPerS: 0.04,
              stopS: 12,
            },
          ],
        },
      ],
      ['traffic that flows', 20, [], [], { runsFromS: 2 }],
    ],
    ON_ROAD,
  ),
  ...scenes(
    { kind: 'wrong-way', directionDeg: 60 },
    { zone: RIGHT },
    [
      ['comes down', 10, [car(lane(1, 0.4, 7, 0.95))], [[1.5, 7]]],
      [
        'comes down, noise',
        10,
        [car(lane(1, 0.4, 7, 0.95), 2)],
        [[1.5, 7]],
        { weather: [{ kind: 'noise', sigma: 6 }] },
      ],
      ['turns round', 16, [car([...lane(1, 0.95, 5, 0.6), ...lane(6, 0.6, 11, 0.95)], 1)], [[6.5, 11]]],
      ['the right way', 8, [car(lane(1, 0.95, 6, 0.38))], []],
      [
        'rolls back a little',
        14,
        [car([...lane(1, 0.95, 4, 0.62), ...lane(6, 0.62, 7, 0.645), ...lane(13, 0.645, 14, 0.645)])],
        [],
      ],
      [
        'traffic, the light flickers',
        16,
        [],
        [],
        { runsFromS: 8, weather: [{ kind: 'flicker', share: 0.06, periodS: 2 }] },
      ],
    ],
    ON_ROAD,
  ),
];

const row = (count: number, fromS: number, untilS: number): Actor[] =>
  Array.from({ length: count }, (_, i) => ({
    ...waits(fromS, untilS, 0.1 + 0.13 * Math.floor(i / 2), 0.62 + 0.22 * (i % 2), i + 1),
    look: i,
  }));
const walks = (fromS: number, x1: number, x2: number, y: number, look: number): Actor =>
  person(along([fromS, x1, y], [fromS + 8, x2, y]), { look });

const STREET_PIXELS: readonly StreetScene[] = [
  ...scenes(
    { kind: 'line-crossing', classes: ['person'] },
    { line: PATH },
    [
      ['to the right', 10, [walks(1, 0.1, 0.9, 0.65, 1)], [[4, 6.5]]],
      [
        'both ways, left is told',
        14,
        [walks(1, 0.1, 0.9, 0.6, 2), walks(4, 0.9, 0.1, 0.85, 3)],
        [[4, 6.5]],
        { rule: { direction: 'left' } },
      ],
      [
        'turns back before it',
        14,
        [person(along([1, 0.05, 0.65], [6, 0.44, 0.65], [12, 0.05, 0.65]), { look: 4 })],
        [],
      ],
      ['stands close by', 16, [person(still(16, 0.47, 0.7), { look: 5 })], []],
    ],
    ON_STREET,
  ),
  ...scenes(
    { kind: 'loitering', afterS: 10 },
    { zone: LAWN },
    [
      ['stands', 26, [stays(6, 22, 0.4, 0.75, { look: 1 })], [[15, 19.5]]],
      [
        'shifts his weight at dusk',
        24,
        [{ ...waits(1, 23, 0.6, 0.7, 1), look: 3 }],
        [[10, 16]],
        {
          weather: [{ kind: 'exposure', factor: 0.7, fromS: 0, doneS: 10 }],
        },
      ],
      ['walks through', 12, [walks(1, 0.05, 0.95, 0.7, 2)], []],
      ['waits for 6 s', 22, [stays(6, 12, 0.4, 0.75, { look: 6 })], [], { zone: PLACE }],
    ],
    ON_STREET,
  ),
  ...scenes(
    { kind: 'crowd-gathering', minCount: 8, afterS: 6 },
    { zone: LAWN },
    [
      ['ten stay', 24, row(10, 0, 24), [[7, 19]]],
      ['twelve stay in noise', 24, row(12, 0, 24), [[7, 19]], { weather: [{ kind: 'noise', sigma: 5 }] }],
      [
        'ten walk by',
        18,
        Array.from({ length: 10 }, (_, i) =>
          walks(0.8 * i, i % 2 === 0 ? 0.03 : 0.97, i % 2 === 0 ? 0.97 : 0.03, 0.6 + 0.03 * i, i),
        ),
        [],
      ],
      ['five stay', 20, row(5, 0, 20), []],
    ],
    ON_STREET,
  ),
];

export const PIXEL_SCENES: readonly StreetScene[] = [...ROAD_SCENES, ...STREET_PIXELS];
