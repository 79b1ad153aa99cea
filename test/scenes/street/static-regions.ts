/** Scenes of things that are left behind and of walls that are drawn on, and of light, screens and things that are not. */
import { person, scenes, stays, still, stream, visit } from './actors.ts';
import type { Edit } from './paint.ts';
import type { StreetScene } from './scene.ts';

type Box = Extract<Edit, { kind: 'thing' }>['box'];
type Thing = Pick<Extract<Edit, { kind: 'thing' }>, 'look' | 'colour'>;

/** Place in the picture with its letterbox, of one in the stage's clip. */
const inPicture = ([x1, y1, x2, y2]: Box): Box => {
  const column = (x: number): number => (36 + 341 * x) / 416;
  return [column(x1), y1, column(x2), y2];
};
const BAG: Thing = { look: 'bag', colour: [28, 28, 32] };
const BOX: Thing = { look: 'box', colour: [170, 30, 35] };
const HEAP: Thing = { look: 'heap', colour: [225, 225, 220] };
/** A thing on the ground, beside a person who stands at 0.5 and 0.75. */
const thing = (one: Thing, fromS: number, toS?: number, box: Box = [0.54, 0.68, 0.6, 0.77]): Edit => ({
  kind: 'thing',
  ...one,
  box: inPicture(box),
  fromS,
  ...(toS !== undefined && { toS }),
});
const scribble = (fromS: number, doneS: number, colour: Thing['colour'] = [30, 50, 160]): Edit => ({
  kind: 'scribble',
  box: inPicture([0.53, 0.5, 0.63, 0.66]),
  colour,
  thickPx: 5,
  fromS,
  doneS,
});
const light = (box: Box, factor: number, fromS: number, soft = 0.1): Edit => ({
  kind: 'light',
  box: inPicture(box),
  factor,
  soft,
  fromS,
});
const exposure = (factor: number, fromS: number, doneS: number): Edit => ({
  kind: 'exposure',
  factor,
  fromS,
  doneS,
});
const screen = (fromS: number, everyS?: number): Edit => ({
  kind: 'screen',
  box: inPicture([0.53, 0.5, 0.63, 0.66]),
  fromS,
  ...(everyS !== undefined && { everyS }),
});

const GROUND = [
  [0.1, 0.4],
  [0.9, 0.4],
  [0.9, 0.95],
  [0.1, 0.95],
] as const;
const carrier = [stays(10, 20, 0.5, 0.75)];

export const DUMPING: readonly StreetScene[] = scenes(
  { kind: 'illegal-dumping', afterS: 8 },
  { zone: GROUND },
  [
    ['a bag', 44, carrier, [[29.5, 32.5]], { weather: [thing(BAG, 13)] }],
    ['a box', 44, carrier, [[29.5, 32.5]], { weather: [thing(BOX, 14)] }],
    ['a heap', 44, carrier, [[29.5, 32.5]], { weather: [thing(HEAP, 15)] }],
    ['a bag, taken later', 60, carrier, [[29.5, 32.5]], { weather: [thing(BAG, 13, 45)] }],
    ['others pass', 50, [...carrier, ...stream(6, 7)], [[29.5, 34]], { weather: [thing(BAG, 13)] }],
    ['under a cloud', 50, carrier, [[29.5, 32.5]], { weather: [thing(BOX, 13), exposure(0.75, 25, 28)] }],
    ['in noise', 44, carrier, [[29.5, 32.5]], { weather: [thing(BAG, 13), { kind: 'noise', sigma: 8 }] }],
    ['in rain', 44, carrier, [[29.5, 32.5]], { weather: [thing(HEAP, 13), { kind: 'rain', drops: 80 }] }],

    ['it was there before', 44, carrier, [], { weather: [thing(BOX, 0)] }],
    ['nothing is left', 44, carrier, []],
    ['it is taken along', 44, carrier, [], { weather: [thing(BAG, 13, 19)] }],
    ['what was there is taken away', 44, carrier, [], { weather: [thing(BOX, 0, 14)] }],
    ['it blows in', 40, [], [], { weather: [thing(HEAP, 12)] }],
    ['it is too small', 44, carrier, [], { weather: [thing(BAG, 13, undefined, [0.55, 0.75, 0.56, 0.77])] }],
    ['a person stays beside it', 44, [stays(10, 44, 0.5, 0.75)], [], { weather: [thing(BAG, 13)] }],
    ['a shadow falls', 44, carrier, [], { weather: [light([0.45, 0.6, 0.7, 0.85], 0.6, 14)] }],
    ['the sun comes out', 44, carrier, [], { weather: [exposure(1.3, 14, 14.4)] }],
    ['a car parks', 50, [visit(12, 50, 0.5, 0.75)], []],
  ],
);

export const GRAFFITI: readonly StreetScene[] = scenes(
  { kind: 'graffiti', dwellS: 4, persistS: 8 },
  { zone: GROUND },
  [
    ['in blue', 44, carrier, [[23, 28]], { weather: [scribble(12, 16)] }],
    [
      'in red, slowly',
      50,
      [stays(10, 24, 0.5, 0.75)],
      [[28, 32]],
      { weather: [scribble(12, 20, [170, 30, 35])] },
    ],
    [
      'in black, in noise',
      44,
      carrier,
      [[23, 28]],
      { weather: [scribble(12, 16, [28, 28, 32]), { kind: 'noise', sigma: 6 }] },
    ],
    ['under a cloud', 44, carrier, [[23, 28]], { weather: [scribble(12, 16), exposure(0.75, 20, 22)] }],

    ['nobody is there', 40, [], [], { weather: [scribble(12, 16)] }],
    ['a person only stands there', 44, [person(still(44, 0.5, 0.75))], []],
    ['a screen changes', 50, carrier, [], { weather: [screen(0, 4)] }],
    ['a poster is hung before', 44, carrier, [], { weather: [screen(3)] }],
  ],
);
