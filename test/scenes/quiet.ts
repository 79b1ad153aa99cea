/** Scenes without an incident, although something changes. Times are seconds of the scene. */

import { rectangle } from '../lib/shapes.ts';
import type { Box, Edit, Scene, Stage } from './scene.ts';
import {
  BLACK,
  BROWN,
  exposure,
  GREEN,
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
  WALL,
  WHITE,
  YARD,
} from './stages.ts';

/** Only the light changes, with people about. */
export function onlyLight(): Scene[] {
  const street = (startS: number, lengthS: number): Stage => stageOf(STREET, startS, lengthS);
  const shadow = (box: Box, factor: number, soft: number, fromS: number): Edit => ({
    kind: 'light',
    box,
    factor,
    soft,
    fromS,
  });
  const inside: [string, number, Edit][] = [
    ['darker', 1, exposure(0.7, 18, 18.4)],
    ['brighter', 2, exposure(1.15, 18, 18.4)],
    ['dusk', 4, exposure(0.45, 0, 50)],
    ['flicker', 1, { kind: 'flicker', share: 0.08, periodS: 3 }],
    ['lamp-off', 1, shadow([0.1, 0.3, 0.6, 1.1], 0.7, 0.6, 20)],
    ['lamp-on', 2, shadow([0.1, 0.55, 0.55, 1.05], 1.35, 0.5, 18)],
    ['shadow-on-wall', 4, shadow([0.25, 0.05, 0.45, 0.5], 0.75, 0.2, 24)],
    ['shadow-on-floor', 1, shadow([0.2, 0.68, 0.48, 0.95], 0.65, 0.15, 20)],
  ];
  const outside: [string, Stage, Edit][] = [
    ['street-cloud', street(0, 30), exposure(0.65, 10, 12)],
    ['street-sun', street(22, 30), exposure(1.3, 10, 10.4)],
    ['street-shadow', street(0, 30), shadow([0.5, 0.4, 0.72, 0.6], 0.6, 0.1, 10)],
    [
      'street-moving-shadow',
      street(22, 32),
      {
        ...(shadow([0.15, 0.38, 0.45, 0.56], 0.6, 0.1, 6) as Extract<Edit, { kind: 'light' }>),
        driftPerS: 0.02,
        stopS: 12,
      },
    ],
    ['street-patch-of-sun', street(10, 30), shadow([0.2, 0.36, 0.4, 0.5], 1.35, 0.15, 11)],
    ['yard-shadow', stageOf(YARD, 0, 24), shadow([0.5, 0.4, 0.75, 0.75], 0.6, 0.1, 7.4)],
    ['hall-darker', stageOf(HALL, 0, 28), exposure(0.7, 6, 6.4)],
    ['hall-shadow', stageOf(HALL, 0, 28), shadow([0.3, 0.78, 0.7, 0.96], 0.7, 0.2, 5.6)],
  ];
  return [
    ...inside.map(([name, index, edit]): Scene => scene(`light-${name}`, visit(index).stage, [edit], INSIDE)),
    ...outside.map(([name, stage, edit]): Scene => scene(`light-${name}`, stage, [edit], [PAVEMENT])),
  ];
}

/** The picture is bad, and nothing happens. */
export function onlyNoise(): Scene[] {
  const street: Stage = stageOf(STREET, 30, 30);
  // The recorder writes its alarms into the picture.
  const writing = [{ id: 'writing', polygon: rectangle(0, 0, 0.26, 0.42) }];
  const road: Stage = stageOf(ROAD, 13, 17);
  const rows: [string, Stage, Edit, Scene['zones']][] = [
    ['table', visit(2).stage, { kind: 'noise', sigma: 12 }, INSIDE],
    ['street', street, { kind: 'noise', sigma: 10 }, [PAVEMENT]],
    ['street-rain', street, { kind: 'rain', drops: 200 }, [PAVEMENT]],
    ['road-rain', road, { kind: 'rain', drops: 80 }, [PAVEMENT]],
    ['hall-rain', stageOf(HALL, 0, 28), { kind: 'rain', drops: 120 }, [PAVEMENT]],
    ['road-flicker', road, { kind: 'flicker', share: 0.06, periodS: 2 }, [PAVEMENT]],
  ];
  return rows.map(([name, stage, edit, zones]) => ({
    name: `noise-${name}`,
    stage,
    edits: [edit],
    zones,
    ...(stage === road ? { masks: writing } : {}),
    expected: [],
  }));
}

/** Something stands, but no one left it there: people and cars that stay, things attended or taken along. */
export function nobodyLeft(): Scene[] {
  const yard = (fromS: number): Stage => stageOf(YARD, 0, 24, { fromS, lengthS: 20 });
  const heldStage = (startS: number, lengthS: number, fromS: number): Stage =>
    stageOf(STREET, startS, lengthS, { fromS, lengthS: 18 });
  const quiet = (name: string, stage: Stage, edits: Edit[], zones: Scene['zones']): Scene =>
    scene(`nobody-left-${name}`, stage, edits, zones);
  return [
    quiet('car-held', yard(6.4), [], [PAVEMENT]),
    quiet('two-cars-held', yard(17), [], [PAVEMENT]),
    quiet('car-held-cloud', yard(6.8), [exposure(0.75, 14, 14.4)], [PAVEMENT]),
    quiet('people-held', heldStage(22, 20, 9), [], [PAVEMENT]),
    quiet('people-held-late', heldStage(48, 20, 10), [], [PAVEMENT]),
    quiet('standing-long', visit(4).stage, [], INSIDE),
    quiet('taken-along', visit(1).stage, [thing('bag', BLACK, [0.36, 0.72, 0.45, 0.92], 10, 24)], INSIDE),
    quiet('taken-soon', visit(1).stage, [thing('bag', RED, [0.36, 0.72, 0.45, 0.92], 20, 29)], INSIDE),
    quiet('taken-soon-box', visit(2).stage, [thing('box', GREEN, [0.32, 0.76, 0.44, 0.93], 20, 27)], INSIDE),
    quiet('removed-bag', visit(1).stage, [thing('bag', BLACK, [0.36, 0.72, 0.45, 0.92], 0, 20)], INSIDE),
    quiet('removed-box', visit(2).stage, [thing('box', BROWN, [0.3, 0.74, 0.44, 0.93], 0, 16)], INSIDE),
    quiet('removed-heap', visit(4).stage, [thing('heap', WHITE, [0.34, 0.78, 0.48, 0.95], 0, 24)], INSIDE),
    quiet(
      'removed-street',
      stageOf(STREET, 0, 30),
      [thing('box', RED, [0.57, 0.41, 0.61, 0.47], 0, 10.6)],
      [PAVEMENT],
    ),
    quiet(
      'removed-yard',
      stageOf(YARD, 0, 24),
      [thing('box', WHITE, [0.56, 0.5, 0.64, 0.62], 0, 7)],
      [PAVEMENT],
    ),
    quiet(
      'blown-in',
      stageOf(YARD, 9, 14),
      [thing('heap', WHITE, [0.8, 0.75, 0.88, 0.85], 3.4)],
      [{ id: 'floor', polygon: rectangle(0.7, 0.6, 1, 1) }],
    ),
    quiet('too-small', visit(1).stage, [thing('bag', BLACK, [0.4, 0.9, 0.414, 0.92], 18)], INSIDE),
    quiet('beside-zone', visit(1).stage, [thing('bag', BLACK, [0.36, 0.72, 0.45, 0.92], 18)], [WALL]),
  ];
}

/** The wall changes, but no one has drawn on it. */
export function nobodyDrew(): Scene[] {
  const screen = (fromS: number, everyS?: number): Edit => ({
    kind: 'screen',
    box: [0.24, 0.12, 0.42, 0.36],
    fromS,
    ...(everyS === undefined ? {} : { everyS }),
  });
  const quiet = (name: string, index: number, edits: Edit[], masks?: Scene['masks']): Scene => ({
    name: `nobody-drew-${name}`,
    stage: visit(index).stage,
    edits,
    zones: INSIDE,
    ...(masks === undefined ? {} : { masks }),
    expected: [],
  });
  const mask = [{ id: 'screen', polygon: rectangle(0.22, 0.1, 0.44, 0.38) }];
  return [
    quiet('screen', 1, [screen(0, 4)]),
    quiet('screen-slow', 4, [screen(0, 6)]),
    quiet('screen-masked', 2, [screen(12)], mask),
    quiet('poster-alone', 1, [screen(2.4)]),
    quiet('poster-between', 0, [screen(3)]),
  ];
}
