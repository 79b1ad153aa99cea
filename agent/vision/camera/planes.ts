/**
 * The three planes of I420 in the layout that GStreamer gives a plain buffer (gst-plugins-base, video-info.c): rows of
 * brightness padded to 4 bytes, an even number of them, then blue difference, then red, likewise.
 */
import type { SizePx } from '../../contract/geometry.ts';
import type { YuvPlanes } from '../../contract/picture.ts';

/** Bytes from a row to the next. */
export function stridesOf({ widthPx }: SizePx): { strideY: number; strideUv: number } {
  return { strideY: padded(widthPx), strideUv: padded(Math.ceil(widthPx / 2)) };
}

/** Length of all three. */
export function planesBytes(size: SizePx): number {
  const { strideY, strideUv } = stridesOf(size);
  return rowsOf(size) * (strideY + strideUv);
}

/** Views of them; `bytes` is as long as `planesBytes` says. */
export function planesOf(bytes: Uint8Array, size: SizePx): YuvPlanes {
  const { strideY, strideUv } = stridesOf(size);
  const ofY = strideY * rowsOf(size);
  const ofUv = (strideUv * rowsOf(size)) / 2;
  const y = bytes.subarray(0, ofY);
  const u = bytes.subarray(ofY, ofY + ofUv);
  return { size, y, u, v: bytes.subarray(ofY + ofUv, ofY + 2 * ofUv), strideY, strideUv };
}

function rowsOf({ heightPx }: SizePx): number {
  return heightPx + (heightPx % 2);
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}
