/** Shapes on a picture, for zones, masks and lines. */

/** Corners of an upright rectangle, 0..1 of the picture: left, top, right, bottom. */
export function rectangle(x1: number, y1: number, x2: number, y2: number): [x: number, y: number][] {
  return [
    [x1, y1],
    [x2, y1],
    [x2, y2],
    [x1, y2],
  ];
}
