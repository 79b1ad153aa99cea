/**
 * What a street scene is made of: actors that go their ways over a stage, what the picture suffers
 * meanwhile, and the incidents that must come of it. Plain data; times are seconds of the scene, places
 * 0..1 of the frame (y down), and a way is that of the ground point, the bottom centre of the box.
 */
import type { Label } from '../../../agent/contract/label.ts';
import type { Edit } from '../scene.ts';

/** [second, x, y]; straight and even in between. */
export type Waypoint = readonly [number, number, number];

export interface Actor {
  readonly label: Label;
  /** There from the first to the last of them. */
  readonly way: readonly Waypoint[];
  /** Mean score of the detector; what was measured for its kind where left out. */
  readonly score?: number;
  /** Share of the time in which its label is taken for another of its group. */
  readonly flips?: number;
  /** Times at which the detector finds nothing of it, on top of the usual lapses. */
  readonly missed?: readonly (readonly [number, number])[];
  /** Size of its box, in sizes of its kind at its distance. */
  readonly scale?: number;
  /** The detector finds it, and nothing of it is in the picture. */
  readonly illusion?: true;
  /** Which look it has among those of its kind. */
  readonly look?: number;
}

/** A place that the detector takes for something now and then: a kiosk, a bush, a reflection. */
export interface Ghost {
  readonly label: Label;
  readonly box: readonly [number, number, number, number];
  readonly score: number;
  /** Share of the time in which it is found. */
  readonly share: number;
}

export type StageName = 'street' | 'road';

export interface StreetScene {
  readonly name: string;
  readonly stage: StageName;
  /** Second of the stage's clip from which it runs on under the scene; a still of the empty stage where left out. */
  readonly runsFromS?: number;
  /** Who finds the boxes: a model of the detector's measured errors, or the detector itself. */
  readonly eyes: 'model' | 'detector';
  readonly lengthS: number;
  readonly fps: 3 | 5 | 10;
  readonly actors: readonly Actor[];
  readonly ghosts?: readonly Ghost[];
  /** Light, shadows, rain and noise: edits of the still scenes. */
  readonly weather?: readonly Edit[];
  /** No picture comes between these times. */
  readonly away?: readonly (readonly [number, number])[];
  /** The vision process starts anew at these times, with a second's break. */
  readonly restartS?: readonly number[];
  /** In the form of the configuration file; the rule's id and purpose are added. */
  readonly rule: { readonly kind: string; readonly [parameter: string]: unknown };
  /** Rules that run beside it and are not judged: what a busy box costs. */
  readonly beside?: readonly StreetScene['rule'][];
  readonly zone?: readonly (readonly [number, number])[];
  readonly line?: { readonly from: readonly [number, number]; readonly to: readonly [number, number] };
  /** One incident each; it starts between these seconds. */
  readonly expected: readonly (readonly [number, number])[];
}

/** The configuration of a scene, as a person would write it. */
export function configOf({ rule, beside = [], zone, line }: StreetScene): object {
  return {
    site: 'lab',
    box: 'lab-1',
    zones: zone === undefined ? [] : [{ id: 'zone', polygon: zone }],
    lines: line === undefined ? [] : [{ id: 'line', ...line }],
    rules: [rule, ...beside].map((one, i) => ({
      id: i === 0 ? 'rule' : `beside-${i}`,
      purpose: 'evaluation',
      ...one,
      ...(one.kind === 'line-crossing' ? { line: 'line' } : { zone: 'zone' }),
    })),
  };
}

/** Where an actor's ground point is; undefined before and after its way. */
export function placeOf({ way }: Actor, atS: number): readonly [number, number] | undefined {
  const next = way.findIndex(([s]) => s >= atS);
  const [after, before] = [way[next], way[Math.max(0, next - 1)]];
  if (after === undefined || before === undefined || (next === 0 && after[0] > atS)) return undefined;
  const share = after[0] === before[0] ? 1 : (atS - before[0]) / (after[0] - before[0]);
  return [before[1] + share * (after[1] - before[1]), before[2] + share * (after[2] - before[2])];
}
