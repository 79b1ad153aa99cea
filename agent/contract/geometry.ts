/** Points, boxes and sizes shared by every folder that handles places in a picture. */
import { type Static, Type } from '@sinclair/typebox';

const Unit = Type.Number({ minimum: 0, maximum: 1 });

/** [x, y], normalised to the source frame: 0..1, origin top left, y down. */
export const PointNorm = Type.Tuple([Unit, Unit]);
export type PointNorm = Static<typeof PointNorm>;

/** [x1, y1, x2, y2], normalised to the source frame. */
export const XyxyNorm = Type.Tuple([Unit, Unit, Unit, Unit]);
export type XyxyNorm = Static<typeof XyxyNorm>;

/** [x1, y1, x2, y2] in pixels of the source frame (not of the detector's input). */
export type XyxyPx = readonly [number, number, number, number];

/** Width and height in pixels. */
export const SizePx = Type.Object({
  widthPx: Type.Integer({ minimum: 1, maximum: 16384 }),
  heightPx: Type.Integer({ minimum: 1, maximum: 16384 }),
});
export type SizePx = Static<typeof SizePx>;

/** Reports whether two sizes are equal; false if either is unknown. */
export function sameSize(a: SizePx | undefined, b: SizePx | undefined): boolean {
  return a !== undefined && a.widthPx === b?.widthPx && a.heightPx === b.heightPx;
}

/** Returns the intersection over union of two boxes: 0 (apart) to 1 (equal). */
export function iou(a: XyxyPx, b: XyxyPx): number {
  const both = common(a, b);
  return both === 0 ? 0 : both / (area(a) + area(b) - both);
}

/** Returns the ratio of `box` that lies in `place`, 0..1. */
export function ratioInside(box: XyxyPx, place: XyxyPx): number {
  const both = common(box, place);
  return both === 0 ? 0 : both / area(box);
}

/**
 * Distance as a ratio of the box's height. A box whose foot is lower by more than this jitter is in front of the other.
 */
const FOOT_BEFORE = 0.1;

/**
 * Reports whether `part` belongs to `container`: at least the ratio `insideMin` (0..1) lies inside, and it is not in
 * front of it.
 */
export function isPartOf(part: XyxyPx, container: XyxyPx, insideMin: number): boolean {
  return (
    ratioInside(part, container) >= insideMin && part[3] - container[3] <= FOOT_BEFORE * (part[3] - part[1])
  );
}

function common(a: XyxyPx, b: XyxyPx): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  return width <= 0 || height <= 0 ? 0 : width * height;
}

function area(box: XyxyPx): number {
  return (box[2] - box[0]) * (box[3] - box[1]);
}
