/** Is a cell of the frame touched by a privacy mask? Its black says nothing of the street, nor do edges that it makes. */
import type { Frame } from './picture.ts';

/** `leftPx`, `topPx`: the cell's first pixel in the frame, whose sides are `widthPx` and `heightPx`. */
export function isMasked(
  { masked, input }: Pick<Frame, 'masked' | 'input'>,
  leftPx: number,
  topPx: number,
  widthPx: number,
  heightPx: number,
): boolean {
  if (masked === undefined) return false;
  for (let y = topPx; y < topPx + heightPx; y += 1) {
    const first = y * input.widthPx + leftPx;
    for (let i = first; i < first + widthPx; i += 1) if (masked[i] === 1) return true;
  }
  return false;
}
