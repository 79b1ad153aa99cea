/** Position of the picture in the detector's input, and the conversion back to source pixels. */
import type { SizePx, XyxyPx } from './geometry.ts';

/** Rectangle of the picture in the input; the rest is black. */
export interface Placement {
  readonly leftPx: number;
  readonly topPx: number;
  readonly widthPx: number;
  readonly heightPx: number;
}

/**
 * Returns the placement that `videoscale add-borders=true` gives a decoder's pictures (YUV 4:2:0, square pixels).
 * The scaled side is rounded down (gst-plugins-base, gstvideoconvertscale.c, `borders_w`). The picture begins at an
 * even pixel, because two pixels share their colour. Measured on GStreamer 1.26. Sources of other formats may be one
 * input pixel further right or down.
 */
export function placementOf(source: SizePx, input: SizePx): Placement {
  const heightPx = Math.floor((input.widthPx * source.heightPx) / source.widthPx);
  if (heightPx <= input.heightPx) {
    return { leftPx: 0, topPx: borderOf(input.heightPx - heightPx), widthPx: input.widthPx, heightPx };
  }
  const widthPx = Math.floor((input.heightPx * source.widthPx) / source.heightPx);
  return { leftPx: borderOf(input.widthPx - widthPx), topPx: 0, widthPx, heightPx: input.heightPx };
}

/** Returns the first of two borders that take `restPx` together. */
function borderOf(restPx: number): number {
  return Math.floor(restPx / 4) * 2;
}

/** Converts a box of the input to source pixels, clipped to the source frame. Undefined if nothing remains. */
export function toSource(box: XyxyPx, placement: Placement, source: SizePx): XyxyPx | undefined {
  const scaleX = source.widthPx / placement.widthPx;
  const scaleY = source.heightPx / placement.heightPx;
  const x1 = clip((box[0] - placement.leftPx) * scaleX, source.widthPx);
  const y1 = clip((box[1] - placement.topPx) * scaleY, source.heightPx);
  const x2 = clip((box[2] - placement.leftPx) * scaleX, source.widthPx);
  const y2 = clip((box[3] - placement.topPx) * scaleY, source.heightPx);
  // Also false if a side is NaN.
  return x2 > x1 && y2 > y1 ? [x1, y1, x2, y2] : undefined;
}

function clip(value: number, max: number): number {
  return Math.min(Math.max(value, 0), max);
}
