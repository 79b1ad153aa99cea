/** The place of a picture on the phone's screen. */

/** CSS px, around the picture: what lies on its edge can be taken with a finger. */
export const GUTTER_PX = 24;

/** Of the picture as it is shown, CSS px. */
export interface StageSize {
  readonly w: number;
  readonly h: number;
}

/** A place in the picture, 0..1, y down. */
export type PointNorm = [x: number, y: number];
