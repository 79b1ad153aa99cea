/** Area of a picture on the phone's screen. */

/** Margin around the picture in CSS px, in which a finger can take shapes on its edge. */
export const GUTTER_PX = 24;

/** Size of the picture as shown, in CSS px. */
export interface StageSize {
  readonly w: number;
  readonly h: number;
}

/** Point in the picture, 0..1, y down. */
export type PointNorm = [x: number, y: number];
