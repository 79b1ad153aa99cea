/** All scenes. */

import { rectangle } from '../../lib/shapes.ts';
import { stream, visit, waits } from './actors.ts';
import { CROWDS } from './crowds.ts';
import { LINE_CROSSING } from './line-crossing.ts';
import { LOITERING } from './loitering.ts';
import { MISLEADING } from './misleading.ts';
import { PARKING } from './parking.ts';
import { PEDESTRIAN_ZONE } from './pedestrian-zone.ts';
import type { StreetScene } from './scene.ts';
import { DUMPING, GRAFFITI } from './static-regions.ts';
import { WRONG_WAY } from './wrong-way.ts';

export const STREET_SCENES: readonly StreetScene[] = [
  ...PEDESTRIAN_ZONE,
  ...PARKING,
  ...WRONG_WAY,
  ...LINE_CROSSING,
  ...LOITERING,
  ...CROWDS,
  ...MISLEADING,
  ...DUMPING,
  ...GRAFFITI,
];

/** Every kind of rule at once over nine tenths of a street, with 16 people who stay, some 10 who pass, and two cars. */
export const BUSY_SCENE: StreetScene = {
  name: 'busy',
  runsFromS: 5,
  lengthS: 60,
  fps: 5,
  actors: [
    ...Array.from({ length: 16 }, (_, i) =>
      waits(0, 60, 0.08 + 0.11 * (i % 8), 0.55 + 0.3 * Math.floor(i / 8), i),
    ),
    ...stream(30, 2),
    visit(8, 50, 0.5, 0.7),
    visit(20, 40, 0.6, 0.95),
  ],
  zone: rectangle(0, 0.1, 1, 1),
  line: { from: [0.5, 0.35], to: [0.5, 0.98] },
  rule: { kind: 'crowd-gathering', minCount: 100 },
  extraRules: [
    { kind: 'vehicle-in-pedestrian-zone' },
    { kind: 'illegal-parking' },
    { kind: 'wrong-way', directionDeg: 180 },
    { kind: 'line-crossing' },
    { kind: 'loitering' },
    { kind: 'illegal-dumping' },
    { kind: 'graffiti' },
  ],
  expected: [],
};
