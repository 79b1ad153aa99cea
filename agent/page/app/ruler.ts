/** How large people are to the detector, and what two of them tell of the ground. */
import type { GroundPlaneConfig } from '../../contract/config.ts';
import type { PointNorm, SizePx } from '../../contract/geometry.ts';
import { GroundPlane } from '../../contract/ground-plane.ts';
import { placementOf } from '../../contract/letterbox.ts';

export type MarkedPerson = GroundPlaneConfig['people'][number];
export type RulerVerdict = 'too-small' | 'enough' | 'good';

/** Two cells of the detector's finest grid (NanoDet's stride 8): smaller people are hardly ever found. */
const ENOUGH_PX = 16;
/** Twice that: found in most frames. */
const GOOD_PX = 32;
/** As the configuration is checked: closer in depth, errors of the marks decide. */
const DEPTHS_APART_NORM = 0.05;

/** One near and one far, until they are put onto people. */
export const PEOPLE: readonly [MarkedPerson, MarkedPerson] = [
  { feet: [0.35, 0.9], head: [0.35, 0.6] },
  { feet: [0.65, 0.5], head: [0.65, 0.38] },
];

/** Height in pixels of the detector's input, into which the picture is fitted whole. */
export function personPx({ feet, head }: MarkedPerson, picture: SizePx, input: SizePx): number {
  return Math.max(0, feet[1] - head[1]) * placementOf(picture, input).heightPx;
}

export function rulerVerdict(px: number): RulerVerdict {
  return px < ENOUGH_PX ? 'too-small' : px <= GOOD_PX ? 'enough' : 'good';
}

export type PeopleFault = 'upside-down' | 'same-depth' | 'nearer-smaller';

/** Why two people tell no ground; undefined where they do. */
export function peopleFault(people: readonly MarkedPerson[]): PeopleFault | undefined {
  const [near, far] = [...people].sort((a, b) => b.feet[1] - a.feet[1]);
  if (near === undefined || far === undefined) return 'same-depth';
  const [nearTall, farTall] = [near.feet[1] - near.head[1], far.feet[1] - far.head[1]];
  if (nearTall <= 0 || farTall <= 0) return 'upside-down';
  if (near.feet[1] - far.feet[1] < DEPTHS_APART_NORM) return 'same-depth';
  return nearTall > farTall ? undefined : 'nearer-smaller';
}

/** y of the horizon; undefined where the two people tell none. */
export function horizonOf(people: readonly MarkedPerson[]): number | undefined {
  return peopleFault(people) === undefined ? new GroundPlane({ people: [...people] }).horizonNorm : undefined;
}

/** Head and feet of each in turn, as handles. */
export function handlesOf(people: readonly MarkedPerson[]): PointNorm[] {
  return people.flatMap(({ head, feet }) => [head, feet]);
}

export function withHandle(people: readonly MarkedPerson[], index: number, point: PointNorm): MarkedPerson[] {
  return people.map((person, i) => {
    if (i !== Math.floor(index / 2)) return person;
    return index % 2 === 0 ? { ...person, head: point } : { ...person, feet: point };
  });
}
