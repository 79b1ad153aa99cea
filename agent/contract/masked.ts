/**
 * Detection of cells touched by a privacy mask. Masked black and the edges it makes carry no information about the
 * street.
 */
import type { Frame } from './picture.ts';

/**
 * Reports whether a mask touches the cell with its first pixel at `leftPx`, `topPx` and sides `widthPx` and `heightPx`.
 */
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
