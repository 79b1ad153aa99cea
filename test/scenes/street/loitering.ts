/** Scenes of people who stay, and of people who wait a moment, stroll or take the place of another. */

import { rectangle } from '../../lib/shapes.ts';
import { along, bush, LAWN, person, scenes, starts, stays, still, stream, toRight, waits } from './actors.ts';
import type { Actor, StreetScene, Waypoint } from './scene.ts';

function pace(fromS: number, untilS: number, x1: number, x2: number): Waypoint[] {
  const way: Waypoint[] = [];
  for (let s = fromS + 4, i = 0; s < untilS; s += 4, i += 1) way.push([s, i % 2 === 0 ? x2 : x1, 0.6]);
  return way;
}

const visitor = (fromS: number, untilS: number, from: number, to: number): Actor =>
  person(along([fromS - 4, from, 0.6], [fromS, 0.5, 0.6], [untilS, 0.5, 0.6], [untilS + 4, to, 0.6]));

export const LOITERING: readonly StreetScene[] = scenes({ kind: 'loitering', afterS: 20 }, { zone: LAWN }, [
  ['stands', 50, [stays(8, 40, 0.5, 0.6)], [[27, 33]]],
  ['stands, 3 a second', 50, [stays(8, 40, 0.5, 0.8)], [[27, 34]], { fps: 3 }],
  ['shifts his weight', 60, [waits(2, 55, 0.4, 0.7, 1)], [[21, 27]]],
  [
    'paces up and down',
    70,
    [person([[2, 0.2, 0.6], [6, 0.5, 0.6], [9, 0.5, 0.6], ...pace(9, 60, 0.35, 0.65), [62, 0.5, 0.6]])],
    [[26, 34]],
  ],
  [
    'passers-by before him',
    60,
    [stays(8, 50, 0.5, 0.6), ...[0, 1, 2, 3, 4].map((i) => toRight(10 + 6 * i, 0.66))],
    [[27, 34]],
  ],
  ['two together', 60, [stays(8, 50, 0.45, 0.6), stays(9, 50, 0.55, 0.62)], starts([27, 33], [28, 34])],
  [
    'goes for 20 s and comes back',
    110,
    [visitor(6, 34, 0, 1), visitor(62, 92, 1, 0)],
    starts([25, 31], [81, 87]),
  ],
  ['beside the border', 60, [stays(8, 50, 0.5, 0.42)], [[27, 34]]],
  ['vision starts anew', 90, [stays(8, 84, 0.5, 0.6)], [[27, 33]], { restartS: [45] }],
  [
    'before a running street',
    60,
    [stays(10, 50, 0.4, 0.93)],
    [[29, 36]],
    { runsFromS: 5, zone: rectangle(0.3, 0.88, 0.5, 1) },
  ],

  ['walks through', 20, [toRight(2, 0.6)], []],
  ['strolls through', 40, [person(along([2, 0, 0.6], [22, 1, 0.6]))], []],
  ['swap places', 60, [visitor(6, 20, 0, 1), visitor(22, 36, 1, 0)], []],
  ['waits for 14 s', 40, [stays(8, 22, 0.5, 0.6)], []],
  ['14 s, away for 20, 14 s', 80, [visitor(6, 20, 0, 1), visitor(40, 54, 1, 0)], []],
  ['stands outside', 60, [person(still(60, 0.5, 0.34)), person(still(60, 0.08, 0.6))], []],
  ['a stream', 60, stream(15, 3), []],
  ['a queue that moves on', 90, [0, 1, 2, 3, 4].map((i) => stays(8 + 14 * i, 18 + 14 * i, 0.5, 0.6)), []],
  ['bush', 60, stream(6, 8), [], { ghosts: [bush] }],
  ['cars stand', 50, [person(still(50, 0.5, 0.6), { label: 'car' })], []],
  [
    'stops twice',
    60,
    [person(along([2, 0, 0.6], [5, 0.3, 0.6], [13, 0.3, 0.6], [20, 0.9, 0.6], [22, 1, 0.6]))],
    [],
  ],
]);
