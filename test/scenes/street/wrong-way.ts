/** Scenes of vehicles against the direction, and of those that turn, roll, park or only jitter. */
import { along, car, driveLeft, driveRight, kiosk, person, ROAD, scenes, still } from './actors.ts';
import type { StreetScene } from './scene.ts';

const traffic = (count: number, y: number) =>
  Array.from({ length: count }, (_, i) => driveRight(1 + 3 * i, 5, y));

export const WRONG_WAY: readonly StreetScene[] = scenes(
  { kind: 'wrong-way', directionDeg: 0 },
  { zone: ROAD },
  [
    ['drives back', 12, [driveLeft(2, 6, 0.6)], [[2.5, 7]]],
    ['at walking pace, 3 a second', 26, [driveLeft(2, 20, 0.6)], [[4, 14]], { fps: 3 }],
    [
      'turns round',
      20,
      [car(along([2, -0.2, 0.6], [5, 0.5, 0.6], [6.5, 0.62, 0.68], [8, 0.5, 0.76], [12, -0.2, 0.76]))],
      [[6.8, 11.5]],
    ],
    ['under three names', 12, [driveLeft(2, 7, 0.6, { flips: 0.6 })], [[2.5, 8]]],
    ['against the traffic', 20, [driveLeft(4, 8, 0.5), ...traffic(5, 0.75)], [[4.5, 11]]],
    ['behind a bus', 18, [driveLeft(3, 10, 0.5), driveRight(4, 5, 0.9, { label: 'bus' })], [[3.5, 12]]],
    ['aslant', 14, [car(along([2, 1.15, 0.5], [8, -0.1, 0.95]))], [[2.5, 7]]],
    ['lapse of a second', 16, [driveLeft(2, 10, 0.6, { missed: [[4, 5]] })], [[3, 10]]],

    ['the right way', 24, traffic(6, 0.6), []],
    ['dense traffic on three lanes', 30, [...traffic(7, 0.5), ...traffic(8, 0.68), ...traffic(7, 0.9)], []],
    [
      'bicycle and people',
      20,
      [
        driveLeft(2, 9, 0.6, { label: 'bicycle' }),
        person(along([0, 1, 0.7], [12, 0, 0.7])),
        person(along([4, 1, 0.8], [16, 0, 0.8])),
      ],
      [],
    ],
    ['parked', 60, [car(still(60, 0.3, 0.6)), car(still(60, 0.7, 0.8))], []],
    ['straight down', 16, [car(along([1, 0.5, 0.15], [8, 0.5, 1.1]))], []],
    ['overtakes', 16, [driveRight(2, 9, 0.6), driveRight(4, 4, 0.7)], []],
    ['a bus before it', 20, [driveRight(2, 12, 0.55), driveRight(3, 8, 0.9, { label: 'bus' })], []],
    ['kiosk and noise', 40, [], [], { ghosts: [kiosk], weather: [{ kind: 'noise', sigma: 10 }] }],
  ],
);
