/** States of the background's cells, and pictures as three planes. */

/** No appearance has rested there yet. */
export const UNKNOWN = 0;
/** Looks like its ground unless covered by an object. */
export const GROUND = 1;
/** Has come to look different permanently. */
export const CHANGED = 2;

export interface Planes {
  readonly red: Float32Array;
  readonly green: Float32Array;
  readonly blue: Float32Array;
}

/** An object is in front of the cell. */
export const OCCLUDED = 1;
/** An object is beside the cell. */
export const BESIDE_OBJECT = 2;
