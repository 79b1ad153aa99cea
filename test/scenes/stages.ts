/**
 * Material of the scenes: parts of real clips, zones, things. The positions and times of people were read off the clips
 * themselves.
 */

import { rectangle } from '../lib/shapes.ts';
import type { Box, Colour, Edit, Scene, Stage } from './scene.ts';

export const TABLE = 'clips/one-by-one-person-detection.mp4';
export const YARD = 'clips/car-detection.mp4';
export const HALL = 'clips/pets2006-s1-c3.mp4';
export const STREET = 'vtest.avi';
export const ROAD = 'clips/highway-320.avi';

export const BLACK: Colour = [28, 28, 32];
export const GREY: Colour = [120, 120, 124];
export const RED: Colour = [170, 30, 35];
export const BLUE: Colour = [30, 50, 160];
export const GREEN: Colour = [40, 120, 60];
export const WHITE: Colour = [225, 225, 220];
export const BROWN: Colour = [120, 80, 45];

/** A person who comes to a table, stands and leaves to the right; the visits follow one another. */
export interface Visit {
  readonly stage: Stage;
  /** Times at which the person stands and has gone, in seconds of the scene. */
  readonly standsS: number;
  readonly goneS: number;
}
/** A stretch of a clip, with its picture held where `hold` says so. */
export const stageOf = (clip: string, startS: number, lengthS: number, hold?: Stage['hold']): Stage => ({
  clip,
  startS,
  lengthS,
  widthPx: clip === HALL || clip === ROAD ? 320 : 512,
  ...(hold && { hold }),
});
const table = (startS: number, lengthS: number): Stage => stageOf(TABLE, startS, lengthS);
export const VISITS: readonly Visit[] = [
  { stage: table(0, 37), standsS: 9, goneS: 19.5 },
  { stage: table(20, 44), standsS: 6, goneS: 24.5 },
  { stage: table(46, 40), standsS: 7, goneS: 23.5 },
  { stage: table(71, 38), standsS: 6, goneS: 15.5 },
  { stage: table(88, 50), standsS: 8, goneS: 31.6 },
];
export const visit = (index: number): Visit => VISITS[index] as Visit;

export const FLOOR = { id: 'floor', polygon: rectangle(0, 0.6, 1, 1) };
export const WALL = { id: 'wall', polygon: rectangle(0.15, 0.03, 0.97, 0.53) };
export const PAVEMENT = { id: 'floor', polygon: rectangle(0, 0.12, 1, 1) };
export const INSIDE = [FLOOR, WALL];

/** An incident that must be raised `afterS` after everyone has gone, up to some seconds later. */
export const after = (rule: 'bag' | 'tag', fromS: number, laterS: number) =>
  [
    { rule, startS: [Math.round(10 * fromS) / 10, Math.round(10 * (fromS + laterS)) / 10] },
  ] as Scene['expected'];

export const thing = (
  look: 'bag' | 'box' | 'heap',
  colour: Colour,
  box: Box,
  fromS: number,
  toS?: number,
): Edit => ({
  kind: 'thing',
  look,
  colour,
  box,
  fromS,
  ...(toS === undefined ? {} : { toS }),
});

export const exposure = (factor: number, fromS: number, doneS: number): Edit => ({
  kind: 'exposure',
  factor,
  fromS,
  doneS,
});

/** A scene on these zones, without an incident unless one is expected. */
export const scene = (
  name: string,
  stage: Stage,
  edits: readonly Edit[],
  zones: Scene['zones'],
  extra: Partial<Scene> = {},
): Scene => ({ name, stage, edits, zones, expected: [], ...extra });
