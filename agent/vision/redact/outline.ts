/** A thin frame around the objects that an incident is about, so that an operator finds them at once. */
import type { SizePx, XyxyPx } from '../../contract/geometry.ts';

/** Thin enough to hide nothing, thick enough to survive JPEG and a small screen. */
const LINE_PX = 2;

/** The yellow of warning signs (RAL 1003), which stands out from asphalt, snow and grass. */
const COLOUR: readonly [number, number, number] = [249, 168, 0];

/** Draws just outside the box, as far as it lies in the picture; a box at the edge is framed at the edge. */
export function drawOutline(rgb: Uint8Array, { widthPx, heightPx }: SizePx, xyxyPx: XyxyPx): void {
  const left = clamp(Math.floor(xyxyPx[0]) - LINE_PX, widthPx);
  const top = clamp(Math.floor(xyxyPx[1]) - LINE_PX, heightPx);
  const right = clamp(Math.ceil(xyxyPx[2]) + LINE_PX, widthPx);
  const bottom = clamp(Math.ceil(xyxyPx[3]) + LINE_PX, heightPx);
  for (let y = top; y < bottom; y += 1) {
    const onEdge = y < top + LINE_PX || y >= bottom - LINE_PX;
    for (let x = left; x < right; x += 1) {
      if (onEdge || x < left + LINE_PX || x >= right - LINE_PX) rgb.set(COLOUR, (y * widthPx + x) * 3);
    }
  }
}

function clamp(value: number, max: number): number {
  return Math.min(Math.max(value, 0), max);
}
