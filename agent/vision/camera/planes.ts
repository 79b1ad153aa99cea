/**
 * Computes the layout of the three I420 planes in a plain GStreamer buffer (gst-plugins-base, video-info.c). Luma comes
 * first: an even number of rows, each padded to 4 bytes. Blue difference and red difference follow with the same
 * padding.
 */
import type { SizePx } from '../../contract/geometry.ts';
import type { YuvPlanes } from '../../contract/picture.ts';

/** Returns the bytes from one row to the next. */
export function stridesOf({ widthPx }: SizePx): { strideY: number; strideUv: number } {
  return { strideY: padded(widthPx), strideUv: padded(Math.ceil(widthPx / 2)) };
}

/** Returns the length of all three planes in bytes. */
export function planesBytes(size: SizePx): number {
  const { strideY, strideUv } = stridesOf(size);
  return rowsOf(size) * (strideY + strideUv);
}

/** Returns views of the three planes; `bytes` must have the length `planesBytes`. */
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
