/**
 * Types of a street scene: actors that move over a stage, disturbances of the picture, and the expected incidents.
 *
 * Plain data. Times are seconds of the scene; places are 0..1 of the frame (y down). A way is that of the ground point,
 * the bottom centre of the box.
 */
import type { Label } from '../../../agent/contract/label.ts';
import type { Edit } from './paint.ts';

/** [second, x, y], with straight and even motion in between. */
export type Waypoint = readonly [number, number, number];

export interface Actor {
  readonly label: Label;
  /** Way of the actor, who is there from the first to the last waypoint. */
  readonly way: readonly Waypoint[];
  /** Mean score of the detector, by default the score measured for its kind. */
  readonly score?: number;
  /** Ratio of the time with another label of its group. */
  readonly flips?: number;
  /** Times at which the detector misses it, in addition to the usual lapses. */
  readonly missed?: readonly (readonly [number, number])[];
  /** Size of its box, relative to its kind at its distance. */
  readonly scale?: number;
  /** True if the detector reports it although it is not in the picture. */
  readonly illusion?: true;
  /** Index of its look among those of its kind. */
  readonly look?: number;
}

/** A place that the detector now and then reports as an object: a kiosk, a bush, a reflection. */
export interface Ghost {
  readonly label: Label;
  readonly box: readonly [number, number, number, number];
  readonly score: number;
  /** Ratio of the time in which it is reported. */
  readonly timeRatio: number;
}

export interface StreetScene {
  readonly name: string;
  /** Second of the stage's clip from which it runs under the scene; by default a still of the empty stage. */
  readonly runsFromS?: number;
  readonly lengthS: number;
  readonly fps: 3 | 5 | 10;
  readonly actors: readonly Actor[];
  readonly ghosts?: readonly Ghost[];
  /** Light, shadows, rain and noise: edits of the still scenes. */
  readonly weather?: readonly Edit[];
  /** Intervals without pictures. */
  readonly outages?: readonly (readonly [number, number])[];
  /** Times at which the vision process restarts, with a break of a second. */
  readonly restartS?: readonly number[];
  /** Rule in the form of the configuration file; its id and purpose are added. */
  readonly rule: { readonly kind: string; readonly [parameter: string]: unknown };
  /** Rules that run beside it and are not evaluated: the load of a busy box. */
  readonly extraRules?: readonly StreetScene['rule'][];
  readonly zone?: readonly (readonly [number, number])[];
  readonly line?: { readonly from: readonly [number, number]; readonly to: readonly [number, number] };
  /** Intervals in which one incident each must start. */
  readonly expected: readonly (readonly [number, number])[];
}

/** The configuration of a scene, as a person would write it. */
export function configOf({ rule, extraRules = [], zone, line }: StreetScene): object {
  return {
    site: 'lab',
    box: 'lab-1',
    zones: zone === undefined ? [] : [{ id: 'zone', polygon: zone }],
    lines: line === undefined ? [] : [{ id: 'line', ...line }],
    rules: [rule, ...extraRules].map((one, i) => ({
      id: i === 0 ? 'rule' : `beside-${i}`,
      purpose: 'evaluation',
      ...one,
      ...(one.kind === 'line-crossing' ? { line: 'line' } : { zone: 'zone' }),
    })),
  };
}

/** Place of an actor's ground point; undefined before and after its way. */
export function placeOf({ way }: Actor, atS: number): readonly [number, number] | undefined {
  const next = way.findIndex(([s]) => s >= atS);
  const [after, before] = [way[next], way[Math.max(0, next - 1)]];
  if (after === undefined || before === undefined || (next === 0 && after[0] > atS)) return undefined;
  const progress = after[0] === before[0] ? 1 : (atS - before[0]) / (after[0] - before[0]);
  return [before[1] + progress * (after[1] - before[1]), before[2] + progress * (after[2] - before[2])];
}
