/** What is known of one cell of the background, and pictures kept as three planes. */

/** Nothing has rested there yet. */
export const UNKNOWN = 0;
/** Looks like its ground, when nobody is before it. */
export const GROUND = 1;
/** Has come to look different for good. */
export const CHANGED = 2;

export interface Planes {
  readonly red: Float32Array;
  readonly green: Float32Array;
  readonly blue: Float32Array;
}

/** Somebody stands before the cell. */
export const COVERED = 1;
/** Somebody stands beside it. */
export const BESIDE = 2;
