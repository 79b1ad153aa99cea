/** Scenes of people who gather, and of streams that pass. */
import { along, bush, LAWN, person, scenes, starts, stays, stream, waits } from './actors.ts';
import type { Actor, StreetScene, Waypoint } from './scene.ts';

const spots = (count: number, rows = 2): (readonly [number, number])[] =>
  Array.from({ length: count }, (_, i) => [
    0.22 + (0.56 * Math.floor(i / rows)) / Math.max(1, Math.ceil(count / rows) - 1),
    0.55 + 0.17 * (i % rows),
  ]);
const gathered = (count: number, fromS: number, untilS: number, rows?: number): Actor[] =>
  spots(count, rows).map(([x, y], i) => waits(fromS, untilS, x, y, 31 * count + i));
const coming = (count: number, fromS: number, everyS: number, untilS: number): Actor[] =>
  spots(count).map(([x, y], i) => {
    const s = fromS + everyS * i;
    return person(along([s - 6 * x, 0, y], [s, x, y], [untilS, x, y], [untilS + 6, 1, y]));
  });
/** Riders, each on a way of its own, from above and from below. */
const riding = (fromS: number, everyS: number, untilS: number, label: 'bicycle' | 'motorcycle'): Actor[] =>
  spots(12).map(([x, y], i) => {
    const s = fromS + everyS * i;
    const outsideY = y < 0.6 ? 0.25 : 1.05;
    return {
      label,
      way: along([s - 4, x, outsideY], [s, x, y], [untilS, x, y], [untilS + 4, x, outsideY]),
    };
  });
const schoolClass = (fromS: number): Actor[] =>
  Array.from({ length: 20 }, (_, i) => {
    const [column, row] = [Math.floor(i / 3), i % 3];
    return person(
      along(
        [fromS + 0.9 * column, -0.03, 0.55 + 0.13 * row],
        [fromS + 0.9 * column + 11, 1.03, 0.55 + 0.13 * row],
      ),
    );
  });

export const CROWDS: readonly StreetScene[] = scenes(
  { kind: 'crowd-gathering', minCount: 10, afterS: 10 },
  { zone: LAWN },
  [
    ['a bench of 12', 40, gathered(12, 1, 39), [[11, 22]]],
    ['12, 3 a second', 40, gathered(12, 1, 39), [[11, 22]], { fps: 3 }],
    ['15 in three rows', 40, gathered(15, 1, 39, 3), [[11, 22]]],
    ['they come one by one', 70, coming(14, 6, 2, 62), [[34, 50]]],
    ['others pass by', 50, [...gathered(12, 1, 49), ...stream(14, 3)], [[11, 22]]],
    [
      'two after each other',
      90,
      [...gathered(12, 1, 30), ...gathered(12, 52, 88)],
      starts([11, 22], [62, 73]),
    ],
    ['14 at once, 10 a second', 40, gathered(14, 12, 38), [[22, 25.5]], { fps: 10 }],
    ['riders stop and stay', 50, riding(8, 0.4, 44, 'motorcycle'), [[20, 27]]],

    ['a stream of 30', 60, stream(30, 1.6), []],
    ['a school class walks through', 30, schoolClass(2), []],
    ['6 stand, others pass', 50, [...gathered(6, 1, 49), ...stream(18, 2.5)], []],
    ['12 for 7 s', 40, [...coming(12, 6, 0.2, 14)], []],
    ['8 and bushes', 60, gathered(8, 1, 59), [], { ghosts: [bush] }],
    [
      '6 inside, 6 outside',
      50,
      gathered(12, 1, 49).map((a, i) =>
        i % 2 === 0 ? a : { ...a, way: a.way.map(([s, x]): Waypoint => [s, x, 0.3]) },
      ),
      [],
    ],
    ['12 bicycles', 40, gathered(12, 1, 39).map((a) => ({ ...a, label: 'bicycle' as const })), []],
    ['riders wait for 6 s at a light', 40, riding(8, 0.2, 15, 'motorcycle'), []],
    ['9 stay, one goes and another comes', 60, [...gathered(9, 1, 59), stays(10, 14, 0.3, 0.88)], []],
    ['a running street', 60, [], [], { runsFromS: 10 }],
  ],
);
