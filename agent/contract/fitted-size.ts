/** Size of a scaled picture. */
import type { SizePx } from './geometry.ts';

/** Returns the size of a picture whose long side is at most `longSidePx`. It never enlarges. */
export function fitted({ widthPx, heightPx }: SizePx, longSidePx: number): SizePx {
  const scale = Math.min(1, longSidePx / Math.max(widthPx, heightPx));
  return {
    widthPx: Math.max(1, Math.round(widthPx * scale)),
    heightPx: Math.max(1, Math.round(heightPx * scale)),
  };
}
