/** Ways of actors, shared by the scenes. */

import { randomOf } from '../../lib/random.ts';
import { rectangle } from '../../lib/shapes.ts';
import type { Edit } from './paint.ts';
import type { Actor, Ghost, StreetScene, Waypoint } from './scene.ts';

type Extra = Partial<Omit<StreetScene, 'name' | 'lengthS' | 'actors' | 'expected' | 'rule'>>;
/** Way through these points. */
export const along = (...points: Waypoint[]): Waypoint[] => points;
/** Way of something that stays at a place from the scene's beginning. */
export const still = (untilS: number, x: number, y: number): Waypoint[] => [
  [0, x, y],
  [untilS, x, y],
];
/** Intervals in which one incident each must start. */
export const starts = (...intervals: StreetScene['expected']): StreetScene['expected'] => intervals;

/** Place of most scenes of vehicles, and of those of people. */
export const SQUARE = rectangle(0.2, 0.4, 0.85, 0.92);
export const LAWN = rectangle(0.15, 0.4, 0.85, 0.95);
export const ROAD = rectangle(0, 0.35, 1, 1);
/** Line from top to bottom: an actor that goes to the right of the picture crosses it towards the left. */
export const LINE = { from: [0.5, 0.35], to: [0.5, 0.98] } as const;

/** Name, length, actors, start times of incidents, and differences from the other scenes of the rule. */
export type Row = readonly [
  string,
  number,
  readonly Actor[],
  StreetScene['expected'],
  (Extra & { rule?: object })?,
];

/** Scenes of one rule, with 5 frames a second unless a row says otherwise. */
export function scenes(
  rule: StreetScene['rule'],
  place: Pick<StreetScene, 'zone' | 'line'>,
  rows: readonly Row[],
): StreetScene[] {
  return rows.map(([name, lengthS, actors, expected, { rule: parameters, ...extra } = {}]) => ({
    name: `${rule.kind}: ${name}`,
    fps: 5,
    lengthS,
    actors,
    expected,
    ...place,
    rule: { ...rule, ...parameters },
    ...extra,
  }));
}

export const person = (way: readonly Waypoint[], over: Partial<Actor> = {}): Actor => ({
  label: 'person',
  way,
  ...over,
});
export const toRight = (fromS: number, y: number, over: Partial<Actor> = {}): Actor =>
  person(along([fromS, 0.05, y], [fromS + 10, 0.95, y]), over);
export const toLeft = (fromS: number, y: number, over: Partial<Actor> = {}): Actor =>
  person(along([fromS, 0.95, y], [fromS + 10, 0.05, y]), over);
/** Comes from the left edge, stays between two times, and continues to the right edge. */
export const stays = (
  fromS: number,
  untilS: number,
  x: number,
  y: number,
  over: Partial<Actor> = {},
): Actor =>
  person(along([fromS - 10 * x, 0, y], [fromS, x, y], [untilS, x, y], [untilS + 10 * (1 - x), 1, y]), over);
/** Shifts from one foot to the other every few seconds, as a waiting person does. */
export const waits = (fromS: number, untilS: number, x: number, y: number, seed: number): Actor => {
  const random = randomOf(seed);
  const way: Waypoint[] = [];
  for (let s = fromS; s < untilS; s += 3 + 4 * random()) {
    way.push([s, x + 0.012 * (random() - 0.5), y + 0.012 * (random() - 0.5)]);
  }
  return person([...way, [untilS, x, y]]);
};
export const bush: Ghost = { label: 'person', box: [0.55, 0.5, 0.6, 0.66], score: 0.4, timeRatio: 0.3 };

export function stream(count: number, everyS: number): Actor[] {
  return Array.from({ length: count }, (_, i) =>
    i % 2 === 0 ? toRight(i * everyS, 0.5 + 0.03 * (i % 9)) : toLeft(i * everyS, 0.5 + 0.03 * (i % 9)),
  );
}

export const car = (way: readonly Waypoint[], over: Partial<Actor> = {}): Actor => ({
  label: 'car',
  way,
  ...over,
});
/** Enters from the left at `atS`, stays until `untilS`, and leaves to the right. */
export const visit = (atS: number, untilS: number, x: number, y: number, over: Partial<Actor> = {}): Actor =>
  car(
    along(
      [atS - 3, -0.2, y],
      [atS - 1, x - 0.12, y],
      [atS, x, y],
      [untilS, x, y],
      [untilS + 1, x + 0.12, y],
      [untilS + 4, 1.25, y],
    ),
    over,
  );
export const driveRight = (fromS: number, takesS: number, y: number, over: Partial<Actor> = {}): Actor =>
  car(along([fromS, -0.2, y], [fromS + takesS, 1.2, y]), over);
export const driveLeft = (fromS: number, takesS: number, y: number, over: Partial<Actor> = {}): Actor =>
  car(along([fromS, 1.2, y], [fromS + takesS, -0.2, y]), over);
/** A bus that stops in front of something. */
export const busBefore = (fromS: number, untilS: number, x: number, y: number): Actor => ({
  ...visit(fromS, untilS, x, y),
  label: 'bus',
});
/** People who walk by, one every `everyS`. */
export const walkers = (count: number, everyS: number, y: number): Actor[] =>
  Array.from({ length: count }, (_, i) =>
    i % 2 === 0
      ? person(along([i * everyS, -0.05, y + 0.02 * (i % 3)], [i * everyS + 11, 1.05, y + 0.02 * (i % 3)]))
      : person(along([i * everyS, 1.05, y + 0.02 * (i % 3)], [i * everyS + 11, -0.05, y + 0.02 * (i % 3)])),
  );
export const kiosk: Ghost = { label: 'truck', box: [0.4, 0.42, 0.6, 0.6], score: 0.33, timeRatio: 0.4 };
export const darker: Edit = { kind: 'exposure', factor: 0.6, fromS: 40, doneS: 40.5 };
/** Hours from 10 o'clock, Paris time; a scene begins at 1 o'clock on Thursday, 1 January 1970. */
export const FROM_TEN = [{ days: ['thu'], from: '10:00', to: '24:00' }];
