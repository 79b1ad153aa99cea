/** Scenes of vehicles that stand too long, and of those that wait, creep or were always there. */
import {
  along,
  busBefore,
  car,
  darker,
  driveRight,
  FROM_TEN,
  kiosk,
  SQUARE,
  scenes,
  starts,
  still,
  visit,
  walkers,
} from './actors.ts';
import type { StreetScene, Waypoint } from './scene.ts';

/** Stop and go: 5 s each, from `x1` to `x2`. */
function creep(fromS: number, untilS: number, x1: number, x2: number): Waypoint[] {
  const steps = Math.floor((untilS - fromS) / 5);
  return Array.from({ length: steps }, (_, i): Waypoint[] => {
    const x = x1 + ((x2 - x1) * i) / steps;
    return along([fromS + 5 * i, x, 0.6], [fromS + 5 * i + 3.5, x, 0.6]);
  }).flat();
}

export const PARKING: readonly StreetScene[] = scenes(
  { kind: 'illegal-parking', afterS: 20 },
  { zone: SQUARE },
  [
    ['parks', 60, [visit(12, 50, 0.5, 0.6)], [[30.5, 36]]],
    ['a bus before it for 15 s', 80, [visit(12, 70, 0.5, 0.6), busBefore(38, 53, 0.5, 0.95)], [[30.5, 36]]],
    ['its light changes', 80, [visit(12, 70, 0.5, 0.6)], [[30.5, 36]], { weather: [darker] }],
    [
      'another at the same place',
      96,
      [visit(12, 40, 0.5, 0.6), visit(56, 88, 0.5, 0.6)],
      starts([30.5, 36], [75, 80]),
    ],
    [
      'two side by side',
      60,
      [visit(12, 50, 0.4, 0.55), visit(14, 52, 0.6, 0.8)],
      starts([30.5, 36], [33, 38]),
    ],
    ['walkers before it', 70, [visit(12, 60, 0.5, 0.6), ...walkers(20, 3, 0.7)], [[30.5, 38]]],
    ['vision starts anew', 90, [visit(12, 84, 0.5, 0.6)], [[30.5, 36]], { restartS: [45] }],
    ['camera away for 20 s', 90, [visit(12, 84, 0.5, 0.6)], [[30.5, 36]], { outages: [[42, 62]] }],
    ['before a running street', 70, [visit(12, 60, 0.35, 0.87)], [[30.5, 38]], { runsFromS: 2 }],

    ['waits 40 s at a light', 70, [visit(12, 52, 0.5, 0.6)], [], { rule: { afterS: 60 } }],
    ['stands since before the box', 70, [car(still(70, 0.5, 0.6))], []],
    ['the same, the light falls', 80, [car(still(80, 0.5, 0.6))], [], { weather: [darker] }],
    ['the same behind a bus', 80, [car(still(80, 0.5, 0.6)), busBefore(20, 36, 0.5, 0.95)], []],
    ['beside the zone', 60, [visit(12, 50, 0.5, 0.33)], []],
    ['stops for 14 s', 50, [visit(12, 26, 0.5, 0.6)], []],
    ['a place taken at once', 70, [visit(12, 24, 0.5, 0.6), visit(28, 41, 0.5, 0.6)], []],
    ['creeps in a queue', 70, [car([[4, -0.2, 0.6], ...creep(8, 60, 0.1, 0.75), [64, 1.3, 0.6]])], []],
    ['delivery when it may', 60, [visit(12, 50, 0.5, 0.6)], [], { rule: { schedule: FROM_TEN } }],
    [
      'traffic that flows',
      60,
      Array.from({ length: 12 }, (_, i) => driveRight(2 + 4 * i, 5, 0.55 + 0.1 * (i % 3))),
      [],
    ],
    ['kiosk and walkers', 70, walkers(12, 5, 0.75), [], { ghosts: [kiosk] }],
  ],
);
