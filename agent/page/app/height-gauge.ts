/** Computes the size of people in the detector's input, and the ground plane from two of them. */
import type { GroundPlaneConfig } from '../../contract/config.ts';
import type { PointNorm, SizePx } from '../../contract/geometry.ts';
import { GroundPlane } from '../../contract/ground-plane.ts';
import { placementOf } from '../../contract/letterbox.ts';

export type MarkedPerson = GroundPlaneConfig['people'][number];
export type HeightGaugeVerdict = 'too-small' | 'enough' | 'good';

/** Two cells of the detector's finest grid (NanoDet's stride 8). Smaller people are hardly ever detected. */
const ENOUGH_PX = 16;
/** Twice that: detected in most frames. */
const GOOD_PX = 32;
/** Same as in the check of the configuration. With a smaller difference in depth, errors of the marks dominate. */
const DEPTHS_APART_NORM = 0.05;

/** Initial marks, one near and one far, until they are placed on people. */
export const PEOPLE: readonly [MarkedPerson, MarkedPerson] = [
  { feet: [0.35, 0.9], head: [0.35, 0.6] },
  { feet: [0.65, 0.5], head: [0.65, 0.38] },
];

/** Returns the height in pixels of the detector's input, into which the whole picture is fitted. */
export function personPx({ feet, head }: MarkedPerson, picture: SizePx, input: SizePx): number {
  return Math.max(0, feet[1] - head[1]) * placementOf(picture, input).heightPx;
}

export function heightGaugeVerdict(px: number): HeightGaugeVerdict {
  return px < ENOUGH_PX ? 'too-small' : px <= GOOD_PX ? 'enough' : 'good';
}

export type PeopleProblem = 'upside-down' | 'same-depth' | 'nearer-smaller';

/** Returns the reason why two people define no ground plane, or undefined. */
export function peopleProblem(people: readonly MarkedPerson[]): PeopleProblem | undefined {
  const [near, far] = [...people].sort((a, b) => b.feet[1] - a.feet[1]);
  if (near === undefined || far === undefined) return 'same-depth';
  const [nearTall, farTall] = [near.feet[1] - near.head[1], far.feet[1] - far.head[1]];
  if (nearTall <= 0 || farTall <= 0) return 'upside-down';
  if (near.feet[1] - far.feet[1] < DEPTHS_APART_NORM) return 'same-depth';
  return nearTall > farTall ? undefined : 'nearer-smaller';
}

/** Returns y of the horizon; undefined if the two people define none. */
export function horizonOf(people: readonly MarkedPerson[]): number | undefined {
  return peopleProblem(people) === undefined
    ? new GroundPlane({ people: [...people] }).horizonNorm
    : undefined;
}

/** Returns head and feet of each in turn, as drag handles. */
export function handlesOf(people: readonly MarkedPerson[]): PointNorm[] {
  return people.flatMap(({ head, feet }) => [head, feet]);
}

export function withHandle(people: readonly MarkedPerson[], index: number, point: PointNorm): MarkedPerson[] {
  return people.map((person, i) => {
    if (i !== Math.floor(index / 2)) return person;
    return index % 2 === 0 ? { ...person, head: point } : { ...person, feet: point };
  });
}
