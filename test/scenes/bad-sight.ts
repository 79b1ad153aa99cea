/**
 * Scenes in bad light, weather and focus, and misleading scenes: creeping shadows, objects that were there before,
 * objects beside others. Where sight is bad, a camera that reports it in time may miss incidents. Times are seconds of
 * the scene.
 */

import { rectangle } from '../lib/shapes.ts';
import { drawnWalls, leftAtTable, leftElsewhere } from './incidents.ts';
import { AFTER_S, type Edit, type Scene, type Stage } from './scene.ts';
import {
  after,
  BLACK,
  exposure,
  GREEN,
  GREY,
  HALL,
  INSIDE,
  PAVEMENT,
  RED,
  ROAD,
  STREET,
  scene,
  stageOf,
  thing,
  visit,
  WHITE,
  YARD,
} from './stages.ts';

const yard: Stage = stageOf(YARD, 0, 24);
const hall: Stage = stageOf(HALL, 0, 26);
const street = (startS: number): Stage => stageOf(STREET, startS, 30);
/** The recorder writes its alarms into the picture of the road. */
const WRITING: NonNullable<Scene['masks']> = [{ id: 'writing', polygon: rectangle(0, 0, 0.26, 0.42) }];

/** A scene in each of these sights, in which its incident may be told `laterS` later. */
const inSights = (one: Scene | undefined, name: string, laterS: number, degradations: string[]): Scene[] => {
  if (one === undefined) throw new Error(`no scene for ${name}`);
  const expected = one.expected.map(({ rule, startS: [from, to] }) => ({
    rule,
    startS: [from, to + laterS] as const,
  }));
  return degradations.map((degradation) => ({
    ...one,
    name: `${name}-${degradation}`,
    expected,
    degradation,
  }));
};

/** The same bag, heap and scribble in every sight. */
export function leftInBadSight(): Scene[] {
  const heap = leftElsewhere().find(({ name }) => name === 'left-yard-heap');
  const atTable = ['grey', 'gain-noise', 'infra-red', 'haze', 'glare', 'rain', '150-kbit', 'shake', 'dark'];
  return [
    ...inSights(leftAtTable()[0], 'left', 1, atTable),
    ...inSights(heap, 'left-yard', 1, ['grey', 'haze', 'focus-hunting']),
    ...inSights(drawnWalls()[0], 'drawn', 1.5, ['grey', 'infra-red', 'rain', '150-kbit']),
  ];
}

/** A thing is left beside another that was there before; later changes around it are not part of it. */
export function besideBin(): Scene[] {
  const bin = thing('box', GREEN, [0.25, 0.66, 0.35, 0.93], 0);
  const bag = thing('bag', BLACK, [0.355, 0.76, 0.43, 0.93], 18);
  const base = {
    stage: visit(1).stage,
    zones: INSIDE,
    expected: after('bag', visit(1).goneS - 1.5 + AFTER_S, 8),
  };
  /** The older thing leaks while people are still there. */
  const stain: Edit = { kind: 'light', box: [0.36, 0.9, 0.56, 1], factor: 0.8, soft: 0.3, fromS: 25 };
  return [
    { ...base, name: 'beside-bin', edits: [bin, bag] },
    { ...base, name: 'beside-bin-stain', edits: [bin, bag, stain] },
    {
      name: 'beside-bin-yard',
      stage: yard,
      edits: [
        thing('box', GREY, [0.5, 0.5, 0.57, 0.66], 0),
        thing('heap', WHITE, [0.58, 0.56, 0.66, 0.68], 7),
      ],
      zones: [PAVEMENT],
      expected: after('bag', 8.3 - 1.5 + AFTER_S, 9),
    },
  ];
}

/** People and cars come and go, and no thing is left and no wall drawn on. */
export function quietInBadSight(): Scene[] {
  const pavement = [PAVEMENT];
  const rows: [string, Stage, Scene['zones'], string[]][] = [
    ['table', visit(2).stage, INSIDE, ['grey', 'gain-noise', 'infra-red']],
    ['table-later', visit(3).stage, INSIDE, ['haze', 'glare', 'white-out']],
    ['street', street(22), pavement, ['rain', '150-kbit', 'headlights', 'focus-hunting']],
    ['street-later', street(48), pavement, ['shake', 'white-out']],
    ['hall', hall, pavement, ['focus-hunting', 'blur']],
    ['yard', yard, pavement, ['headlights', 'infra-red']],
    ['road', stageOf(ROAD, 13, 17), pavement, ['haze']],
  ];
  return rows.flatMap(([where, stage, zones, degradations]) =>
    inSights(
      scene(where, stage, [], zones, stage.clip === ROAD ? { masks: WRITING } : {}),
      `quiet-${where}`,
      0,
      degradations,
    ),
  );
}

/** A shadow's edge creeps over a front or the ground while people are about, and stays. */
export function shadowsCreep(): Scene[] {
  const creeps = (fromS: number, driftPerS: number, stopS: number, factor: number): Edit => ({
    kind: 'light',
    // Much larger than the picture, so that its edge is nearly straight.
    box: [-1.9, -1, 0.1, 2],
    factor,
    soft: 0.03,
    fromS,
    driftPerS,
    stopS,
  });
  const rows: [string, Stage, Scene['zones'], Edit][] = [
    ['front', visit(1).stage, INSIDE, creeps(4, 0.02, 26, 0.6)],
    ['front-fast', visit(4).stage, INSIDE, creeps(14, 0.06, 22, 0.5)],
    ['street', street(0), [PAVEMENT], creeps(2, 0.025, 20, 0.55)],
    ['sun-returns', street(22), [PAVEMENT], creeps(2, 0.03, 18, 1.4)],
    ['yard', yard, [PAVEMENT], creeps(4, 0.05, 12, 0.6)],
  ];
  return rows.map(([name, stage, zones, edit]) => scene(`shadow-creeps-${name}`, stage, [edit], zones));
}

/** An object that is there from the first picture on was not left by anyone. */
export function stoodBefore(): Scene[] {
  const bin = thing('box', GREEN, [0.28, 0.66, 0.38, 0.93], 0);
  const heap = thing('heap', WHITE, [0.42, 0.78, 0.56, 0.95], 0);
  const rows: [string, Stage, Scene['zones'], readonly Edit[]][] = [
    ['bin-and-heap', visit(1).stage, INSIDE, [bin, heap]],
    ['bin-cloud', visit(2).stage, INSIDE, [bin, exposure(0.65, 14, 15)]],
    [
      'bin-lamp-off',
      visit(3).stage,
      INSIDE,
      [bin, { kind: 'light', box: [0.1, 0.3, 0.6, 1.1], factor: 0.7, soft: 0.6, fromS: 18 }],
    ],
    ['box-street', street(22), [PAVEMENT], [thing('box', RED, [0.57, 0.41, 0.61, 0.47], 0)]],
  ];
  return rows.map(([name, stage, zones, edits]) => scene(`stood-before-${name}`, stage, edits, zones));
}
