/** That something has stayed somewhere for a while, as far as it is needed to find it again after a break. */
import { type Static, Type } from '@sinclair/typebox';
import { XyxyNorm } from './geometry.ts';
import { ObjectGroup } from './label.ts';

/** As many as a rule may have standing. */
export const DWELLS_MAX = 64;

const place = {
  group: ObjectGroup,
  /** Where it was seen last. */
  xyxyNorm: XyxyNorm,
  /** The best score so far. */
  score: Type.Number({ minimum: 0, maximum: 1 }),
};

/** Of one rule, in media time, ms: below 0 where it began before this boot. */
export const Dwell = Type.Object({ ...place, sinceMs: Type.Number(), seenMs: Type.Number() });
export type Dwell = Static<typeof Dwell>;

/** The same in wall time: it outlives processes and reboots. */
export const KeptDwell = Type.Object({ ...place, sinceWallMs: Type.Number(), seenWallMs: Type.Number() });
export type KeptDwell = Static<typeof KeptDwell>;
