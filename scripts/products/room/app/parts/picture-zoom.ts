/** Computes where a picture is drawn in its stage: zoom about a point, moves, and the bounds of both. */

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Picture and stage, in px. */
export interface Frame {
  readonly picture: Size;
  readonly stage: Size;
}

/** Top left corner of the picture in the stage, and its size as a factor of the natural one. */
export interface Placement extends Point {
  readonly scale: number;
}

/** Largest factor; a person far away then fills a screen. */
const SCALE_MAX = 8;

/** Returns the factor at which the whole picture fits; a small picture is not enlarged. */
export function wholeScale({ picture, stage }: Frame): number {
  return Math.min(1, stage.width / picture.width, stage.height / picture.height);
}

/** Centres a picture that is smaller than the stage, and leaves no empty margin beside a larger one. */
function bounded(placement: Placement, { picture, stage }: Frame): Placement {
  const { scale } = placement;
  const inside = (at: number, room: number): number =>
    room >= 0 ? room / 2 : Math.min(0, Math.max(room, at));
  return {
    scale,
    x: inside(placement.x, stage.width - picture.width * scale),
    y: inside(placement.y, stage.height - picture.height * scale),
  };
}

/** Returns the placement with another scale; the picture's point at `at` of the stage stays there. */
export function scaled(placement: Placement, frame: Frame, scale: number, at: Point): Placement {
  const next = Math.min(SCALE_MAX, Math.max(wholeScale(frame), scale));
  const ratio = next / placement.scale;
  const x = at.x - (at.x - placement.x) * ratio;
  const y = at.y - (at.y - placement.y) * ratio;
  return bounded({ scale: next, x, y }, frame);
}

export function movedBy(placement: Placement, frame: Frame, dx: number, dy: number): Placement {
  return bounded({ scale: placement.scale, x: placement.x + dx, y: placement.y + dy }, frame);
}

/** Returns the natural size with `centre`, given as ratios of the picture, in the middle of the stage. */
export function natural(frame: Frame, centre: Point = { x: 0.5, y: 0.5 }): Placement {
  const { picture, stage } = frame;
  const x = stage.width / 2 - centre.x * picture.width;
  const y = stage.height / 2 - centre.y * picture.height;
  return bounded({ scale: 1, x, y }, frame);
}
