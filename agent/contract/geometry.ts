/** Shapes shared by every folder that speaks of places in a picture. */
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

/** False where one of them is not known. */
export function sameSize(a: SizePx | undefined, b: SizePx | undefined): boolean {
  return a !== undefined && a.widthPx === b?.widthPx && a.heightPx === b.heightPx;
}

/** Intersection over union of two boxes: 0 (apart) to 1 (the same). */
export function iou(a: XyxyPx, b: XyxyPx): number {
  const both = common(a, b);
  return both === 0 ? 0 : both / (area(a) + area(b) - both);
}

/** The part of `box` that lies in `place`, 0..1. */
export function shareInside(box: XyxyPx, place: XyxyPx): number {
  const both = common(box, place);
  return both === 0 ? 0 : both / area(box);
}

/** A box whose foot is lower in the picture by more than the jitter of a box (of its height) stands before the other. */
const FOOT_BEFORE = 0.1;

/** So much of a box lies inside of another, 0..1, that it is a part of it, unless it stands before it. */
export function isPartOf(part: XyxyPx, whole: XyxyPx, insideMin: number): boolean {
  return shareInside(part, whole) >= insideMin && part[3] - whole[3] <= FOOT_BEFORE * (part[3] - part[1]);
}

function common(a: XyxyPx, b: XyxyPx): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  return width <= 0 || height <= 0 ? 0 : width * height;
}

function area(box: XyxyPx): number {
  return (box[2] - box[0]) * (box[3] - box[1]);
}
