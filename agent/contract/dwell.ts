/** Record that an object has stayed in a place, with the data needed to find it again after an interruption. */
import { type Static, Type } from '@sinclair/typebox';
import { XyxyNorm } from './geometry.ts';
import { ObjectGroup } from './label.ts';

/** Maximum number of dwells, equal to the active incidents that a rule may have. */
export const DWELLS_MAX = 64;

const place = {
  group: ObjectGroup,
  /** Last observed position. */
  xyxyNorm: XyxyNorm,
  /** Best score so far. */
  score: Type.Number({ minimum: 0, maximum: 1 }),
  /** Time of interruptions within the dwell, ms: no one saw whether the object stayed. */
  unobservedMs: Type.Number({ minimum: 0 }),
};

/** Dwell of one rule, in media time (ms). Negative if it began before this boot. */
export const Dwell = Type.Object({ ...place, sinceMs: Type.Number(), seenMs: Type.Number() });
export type Dwell = Static<typeof Dwell>;

/** The same in wall time, so that it survives processes and reboots. */
export const KeptDwell = Type.Object({ ...place, sinceWallMs: Type.Number(), seenWallMs: Type.Number() });
export type KeptDwell = Static<typeof KeptDwell>;
