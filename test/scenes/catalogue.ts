/** The scenes on real clips: one half has incidents, the other half has none. */
import { besideBin, leftInBadSight, quietInBadSight, shadowsCreep, stoodBefore } from './bad-sight.ts';
import {
  drawnHarder,
  drawnWalls,
  leftAtTable,
  leftElsewhere,
  leftHarder,
  leftInStreet,
} from './incidents.ts';
import { nobodyDrew, nobodyLeft, onlyLight, onlyNoise } from './quiet.ts';
import type { Scene } from './scene.ts';

export const CATALOGUE: readonly Scene[] = [
  ...leftAtTable(),
  ...leftInStreet(),
  ...leftElsewhere(),
  ...leftHarder(),
  ...drawnWalls(),
  ...drawnHarder(),
  ...onlyLight(),
  ...onlyNoise(),
  ...nobodyLeft(),
  ...nobodyDrew(),
  ...leftInBadSight(),
  ...besideBin(),
  ...quietInBadSight(),
  ...shadowsCreep(),
  ...stoodBefore(),
];
