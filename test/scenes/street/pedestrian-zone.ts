/** Scenes of vehicles that enter a pedestrian zone, and of those that only seem to. */
import {
  along,
  car,
  darker,
  driveLeft,
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
import type { StreetScene } from './scene.ts';

export const PEDESTRIAN_ZONE: readonly StreetScene[] = scenes(
  { kind: 'vehicle-in-pedestrian-zone', afterS: 2 },
  { zone: SQUARE },
  [
    ['drives in and stops', 20, [visit(6, 14, 0.5, 0.65)], [[5.5, 10]]],
    ['drives through slowly', 20, [driveRight(3, 10, 0.6)], [[6.5, 11]]],
    ['motorcycle', 16, [driveRight(3, 8, 0.6, { label: 'motorcycle' })], [[6, 10]]],
    ['lorry under three names', 20, [visit(6, 14, 0.5, 0.7, { label: 'truck', flips: 0.5 })], [[5.5, 10]]],
    ['one after another', 30, [visit(6, 10, 0.5, 0.6), visit(18, 22, 0.5, 0.6)], starts([5, 10], [17, 22])],
    ['two abreast', 20, [visit(6, 12, 0.4, 0.55), visit(7, 13, 0.6, 0.8)], starts([5, 10], [6, 11])],
    [
      'hidden by a passing bus',
      34,
      [visit(6, 26, 0.55, 0.55), driveRight(12, 5, 0.99, { label: 'bus' })],
      [[5.5, 10]],
    ],
    ['the light falls while it stands', 60, [visit(6, 54, 0.5, 0.65)], [[5.5, 10]], { weather: [darker] }],
    ['lapse of two seconds', 30, [visit(6, 24, 0.5, 0.65, { missed: [[12, 14]] })], [[5.5, 10]]],

    ['past its upper side', 14, [driveRight(3, 8, 0.33)], []],
    [
      'cuts a corner',
      14,
      [car(along([3, 0.02, 1.1], [4.5, 0.15, 0.85], [6, 0.23, 0.8], [6.7, 0.23, 0.8], [9, 0, 0.6]))],
      [],
    ],
    ['delivery when it may', 20, [visit(6, 14, 0.5, 0.65)], [], { rule: { schedule: FROM_TEN } }],
    ['parked since before the box', 60, [car(still(60, 0.5, 0.6))], []],
    ['kiosk taken for a lorry', 60, walkers(10, 5, 0.75), [], { ghosts: [kiosk] }],
    [
      'bicycles',
      30,
      [driveRight(2, 9, 0.6, { label: 'bicycle' }), driveLeft(9, 9, 0.7, { label: 'bicycle' })],
      [],
    ],
    [
      'gone before it counts',
      14,
      [car(along([3, 0.2, 1.2], [3.8, 0.5, 0.88], [4.4, 0.55, 0.86], [5.2, 0.6, 1.2]))],
      [],
    ],
    ['people hide a parked car', 50, [car(still(50, 0.5, 0.55)), ...walkers(14, 3, 0.66)], []],
  ],
);
