/** Corners of an upright rectangle in shares of the picture, as zones and masks have them. */
export const rectangle = (
  left: number,
  top: number,
  right: number,
  bottom: number,
): [x: number, y: number][] => [
  [left, top],
  [right, top],
  [right, bottom],
  [left, bottom],
];
