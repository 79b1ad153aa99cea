/** Scenes in which things are left behind and walls are drawn on. Times are seconds of the scene. */
import { AFTER_S, type Box, type Colour, type Edit, PERSIST_S, type Scene, type Stage } from './scene.ts';
import {
  after,
  BLACK,
  BLUE,
  BROWN,
  exposure,
  GREEN,
  GREY,
  HALL,
  INSIDE,
  PAVEMENT,
  RED,
  STREET,
  scene,
  stageOf,
  thing,
  visit,
  WHITE,
  YARD,
} from './stages.ts';

/** A person at the table puts a thing down. It is visible immediately, and left when the person goes. */
export function leftAtTable(): Scene[] {
  const rows: [string, number, 'bag' | 'box' | 'heap', Colour, Box, number][] = [
    ['black-bag', 1, 'bag', BLACK, [0.36, 0.72, 0.45, 0.92], 18],
    ['brown-box', 1, 'box', BROWN, [0.3, 0.74, 0.44, 0.93], 21],
    ['white-heap', 2, 'heap', WHITE, [0.32, 0.8, 0.46, 0.95], 16],
    ['grey-bag', 2, 'bag', GREY, [0.4, 0.7, 0.48, 0.88], 20],
    ['red-bag', 3, 'bag', RED, [0.4, 0.7, 0.47, 0.86], 11],
    ['small-blue-box', 3, 'box', BLUE, [0.42, 0.76, 0.48, 0.84], 12],
    ['green-heap', 4, 'heap', GREEN, [0.36, 0.78, 0.5, 0.95], 26],
    ['large-grey-box', 0, 'box', GREY, [0.28, 0.62, 0.46, 0.94], 15],
  ];
  return rows.map(([name, index, look, colour, box, fromS]) =>
    scene(`left-${name}`, visit(index).stage, [thing(look, colour, box, fromS)], INSIDE, {
      expected: after('bag', visit(index).goneS - 1.5 + AFTER_S, 7),
    }),
  );
}

/** A thing is put down on a street with people about; the carrier walks on. */
export function leftInStreet(): Scene[] {
  const rows: [string, number, number, 'bag' | 'box' | 'heap', Colour, Box, number][] = [
    ['verge-heap', 10, 30, 'heap', WHITE, [0.255, 0.43, 0.295, 0.475], 10.6],
    ['lawn-box', 50, 29.5, 'box', GREY, [0.475, 0.82, 0.53, 0.9], 15.2],
    ['lawn-bag', 50, 29.5, 'bag', RED, [0.49, 0.8, 0.53, 0.87], 15.6],
    ['corner-bag', 38, 32, 'bag', BLUE, [0.925, 0.91, 0.972, 0.98], 13],
    ['far-box', 16, 32, 'box', BROWN, [0.05, 0.38, 0.08, 0.422], 12],
    ['far-heap', 10, 34, 'heap', BLACK, [0.02, 0.39, 0.055, 0.43], 13.6],
  ];
  return rows.map(([name, startS, lengthS, look, colour, box, fromS]) =>
    scene(`street-${name}`, stageOf(STREET, startS, lengthS), [thing(look, colour, box, fromS)], [PAVEMENT], {
      expected: after('bag', fromS + AFTER_S, 10),
    }),
  );
}

export function leftElsewhere(): Scene[] {
  const hall: Stage = stageOf(HALL, 0, 26);
  const yard = (startS: number, lengthS: number): Stage => stageOf(YARD, startS, lengthS);
  const rows: [string, Stage, Edit, number][] = [
    ['hall-box', hall, thing('box', GREEN, [0.42, 0.84, 0.52, 0.91], 5.8), 6.5],
    ['hall-bag', hall, thing('bag', BLACK, [0.62, 0.86, 0.7, 0.95], 6), 6.5],
    ['yard-heap', yard(0, 24), thing('heap', BROWN, [0.56, 0.55, 0.68, 0.7], 7), 8.3],
    ['yard-box', yard(0, 24), thing('box', WHITE, [0.36, 0.3, 0.44, 0.42], 7.6), 8.3],
    ['yard-bag', yard(8, 22), thing('bag', BLACK, [0.3, 0.6, 0.38, 0.78], 9), 10.5],
    ['yard-second', yard(8, 22), thing('box', RED, [0.6, 0.5, 0.68, 0.62], 9.4), 10.5],
  ];
  return rows.map(([name, stage, edit, goneS]) =>
    scene(`left-${name}`, stage, [edit], [PAVEMENT], { expected: after('bag', goneS - 1.5 + AFTER_S, 8) }),
  );
}

/** Harder scenes: a thing that is later taken away, or changing light. */
export function leftHarder(): Scene[] {
  const bag = thing('bag', BLACK, [0.36, 0.72, 0.45, 0.92], 18);
  const expected = after('bag', visit(1).goneS - 1.5 + AFTER_S, 7);
  const base = { stage: visit(1).stage, zones: INSIDE, expected };
  return [
    { ...base, name: 'left-and-taken', edits: [thing('bag', RED, [0.36, 0.72, 0.45, 0.92], 18, 38)] },
    {
      ...base,
      name: 'left-under-cloud',
      edits: [bag, exposure(0.75, 28, 31)],
    },
    { ...base, name: 'left-at-dusk', edits: [bag, exposure(0.5, 0, 44)] },
    { ...base, name: 'left-in-noise', edits: [bag, { kind: 'noise', sigma: 8 }] },
    { ...base, name: 'left-in-rain', edits: [bag, { kind: 'rain', drops: 120 }] },
  ];
}

export function drawnWalls(): Scene[] {
  const rows: [string, number, Box, Colour, number, number, number][] = [
    ['blue', 1, [0.26, 0.14, 0.45, 0.38], BLUE, 6, 14, 17],
    ['black-fine', 1, [0.3, 0.2, 0.46, 0.32], BLACK, 4, 15, 18],
    ['red', 2, [0.26, 0.16, 0.44, 0.4], RED, 6, 14, 16],
    ['green-slow', 2, [0.28, 0.1, 0.46, 0.34], GREEN, 5, 12, 20],
    ['black-late', 3, [0.3, 0.16, 0.44, 0.4], BLACK, 6, 12, 14],
    ['blue-long', 4, [0.24, 0.12, 0.44, 0.4], BLUE, 6, 16, 22],
    ['red-right', 4, [0.74, 0.16, 0.88, 0.42], RED, 6, 18, 21],
    ['black-right', 1, [0.76, 0.2, 0.9, 0.4], BLACK, 5, 14, 18],
    ['red-first', 0, [0.26, 0.14, 0.44, 0.38], RED, 5, 14, 17],
    ['green-first', 0, [0.3, 0.1, 0.46, 0.3], GREEN, 6, 13, 15],
    ['black-big', 3, [0.2, 0.08, 0.46, 0.46], BLACK, 7, 11, 14],
    ['blue-fine', 2, [0.3, 0.2, 0.46, 0.4], BLUE, 4, 12, 18],
  ];
  return rows.map(([name, index, box, colour, thickPx, fromS, doneS]) =>
    scene(
      `drawn-${name}`,
      visit(index).stage,
      [{ kind: 'scribble', box, colour, thickPx, fromS, doneS }],
      INSIDE,
      { expected: after('tag', doneS + PERSIST_S - 2, Math.max(8, visit(index).goneS - doneS + 4)) },
    ),
  );
}

export function drawnHarder(): Scene[] {
  const scribble: Edit = {
    kind: 'scribble',
    box: [0.26, 0.14, 0.45, 0.38],
    colour: BLUE,
    thickPx: 6,
    fromS: 14,
    doneS: 17,
  };
  const base = { stage: visit(1).stage, zones: INSIDE, expected: after('tag', 23, 12) };
  return [
    { ...base, name: 'drawn-in-noise', edits: [scribble, { kind: 'noise', sigma: 8 }] },
    {
      ...base,
      name: 'drawn-under-cloud',
      edits: [scribble, exposure(0.75, 20, 22)],
    },
  ];
}
