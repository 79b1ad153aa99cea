/** Types of a composed scene: plain data, so that a scene can be hashed, printed and repeated. */
import type { Config } from '../../agent/contract/config.ts';
import { degradationOf } from '../../scripts/programs/evaluate/degradations.ts';

/** [x1, y1, x2, y2], 0..1 of the picture. */
export type Box = readonly [number, number, number, number];
export type Colour = readonly [number, number, number];

/** The stretch of a real clip on which a scene is painted. All times in a scene count from `startS`. */
export interface Stage {
  readonly clip: string;
  readonly startS: number;
  readonly lengthS: number;
  /** Width to which the clip is scaled; the height follows. Both are multiples of 16, which codecs prefer. */
  readonly widthPx: number;
  /** The picture is held from here for this time; sensor noise continues. */
  readonly hold?: { readonly fromS: number; readonly lengthS: number };
}

export type Edit =
  /** A thing is in the box, behind people who pass in front of it. */
  | { kind: 'thing'; look: 'bag' | 'box' | 'heap'; colour: Colour; box: Box; fromS: number; toS?: number }
  /** Light on an ellipse is multiplied; it may drift, in picture widths a second, until it stops. */
  | {
      kind: 'light';
      box: Box;
      factor: number;
      soft: number;
      fromS: number;
      toS?: number;
      driftPerS?: number;
      stopS?: number;
    }
  /** The whole picture is multiplied from `fromS` on, reaching `factor` at `doneS`. */
  | { kind: 'exposure'; factor: number; fromS: number; doneS: number }
  /** The camera's gain swings by this share. */
  | { kind: 'flicker'; share: number; periodS: number }
  | { kind: 'noise'; sigma: number }
  | { kind: 'rain'; drops: number }
  /** A scribble grows in the box and stays. */
  | { kind: 'scribble'; box: Box; colour: Colour; thickPx: number; fromS: number; doneS: number }
  /** Another picture in the box every so often, from `fromS` on; once where `everyS` is left out. */
  | { kind: 'screen'; box: Box; fromS: number; everyS?: number };

export interface Scene {
  readonly name: string;
  readonly stage: Stage;
  readonly edits: readonly Edit[];
  readonly zones: Config['zones'];
  readonly masks?: Config['masks'];
  /** Name of a degradation by light, weather, lens or network in scripts/programs/evaluate/degradations.ts. */
  readonly degradation?: string;
  /** Conditions that the camera may report on it, beside those of its degradation. */
  readonly mayTell?: readonly string[];
  /** Seconds of the scene between which an incident of the rule must start. */
  readonly expected: readonly { readonly rule: 'bag' | 'tag'; readonly startS: readonly [number, number] }[];
}

/** The expected result of a replay of the scene, in the form of a label file. */
export function labelOf(scene: Scene) {
  const degradation = scene.degradation === undefined ? undefined : degradationOf(scene.degradation);
  return {
    config: configOf(scene),
    expected: scene.expected,
    mayTell: [...(degradation?.mayTell ?? []), ...(scene.mayTell ?? [])],
    orCannotSee: degradation?.blinding === true,
  };
}

/** Rules of every scene. The durations are short so that the scenes can be short. */
export const AFTER_S = 8;
export const DWELL_S = 4;
export const PERSIST_S = 8;

function configOf({ zones, masks }: Scene) {
  return {
    site: 'lab',
    box: 'lab-1',
    zones,
    masks: masks ?? [],
    rules: zones.map(({ id }) =>
      id === 'wall'
        ? {
            id: 'tag',
            kind: 'graffiti',
            zone: id,
            purpose: 'evaluation',
            dwellS: DWELL_S,
            persistS: PERSIST_S,
          }
        : { id: 'bag', kind: 'illegal-dumping', zone: id, purpose: 'evaluation', afterS: AFTER_S },
    ),
  };
}
