/**
 * Which places of a still are redacted: its own frame's detections, the boxes of objects that were seen up
 * to 2 s before or after and are missing in it, the boxes that the tracker predicts, and whatever moves.
 */
import type { SizePx, XyxyNorm, XyxyPx } from '../../contract/geometry.ts';
import { missingIn, sameObject } from './chains.ts';
import type { SeenBox, SeenFrame, Treatment } from './history.ts';
import { type MosaicBox, personCellPxMin } from './mosaic.ts';
import { type MovingRegion, movingRegions } from './moving.ts';

/**
 * Three quarters of a head on every side (a standing body is 7.5 heads tall). Boxes of a small detector cut
 * hands, feet and hair, and a kept box stays behind its owner. Of the area of people on PETS09-S2L1, 97.5 %
 * were covered without a margin, 99.6 % with half of this one, 99.9 % with it (docs/design/002-redaction.md).
 */
const MARGIN_OF_LONG_SIDE = 1 / 10;

/**
 * A bicycle or motorcycle is about 1.05 m high and its rider's head reaches 1.8 m: the box grows upwards
 * by 0.8 of its height, whether somebody sits on it or not.
 */
const RIDER_ABOVE = 0.8;

/** All that is to be pixelated in a still. */
export interface Regions {
  readonly boxes: readonly SeenBox[];
  readonly moving: readonly MovingRegion[];
  /** Boxes of persons and riders; those that overlap as one object count once. */
  readonly persons: number;
  /** Boxes of vehicles, counted alike. */
  readonly vehicles: number;
}

/** `before` is oldest first, `after` newest first: both walk towards the still. */
export function regionsOf(around: {
  own: SeenFrame;
  before: readonly SeenFrame[];
  after: readonly SeenFrame[];
}): Regions {
  const { own, before, after } = around;
  const boxes = [...own.detections, ...missingIn(own, before), ...missingIn(own, after), ...own.tracks];
  const counted: SeenBox[] = [];
  for (const box of boxes) if (!counted.some((other) => sameObject(box, other))) counted.push(box);
  const vehicles = counted.filter((box) => box.treatment === 'vehicle').length;
  const moving = own.foreground === undefined ? [] : movingRegions(own.foreground);
  return { boxes, moving, persons: counted.length - vehicles, vehicles };
}

/**
 * Where a box is pixelated in a picture of `size`, and how coarsely. `reachPx`: how far the down-scaling
 * kernel has spread the object's pixels.
 */
export function mosaicBoxOf(box: SeenBox, size: SizePx, reachPx: number): MosaicBox {
  const { treatment, xyxyNorm } = box;
  const [x1, y1, x2, y2] = toPx(xyxyNorm, size);
  const top = treatment === 'rider' ? y1 - RIDER_ABOVE * (y2 - y1) : y1;
  const marginPx = Math.max(x2 - x1, y2 - top) * MARGIN_OF_LONG_SIDE + reachPx;
  const xyxyPx: XyxyPx = [x1 - marginPx, top - marginPx, x2 + marginPx, y2 + marginPx];
  return { xyxyPx, cellPxMin: cellPxMinOf(treatment, xyxyPx) };
}

function cellPxMinOf(treatment: Treatment, xyxyPx: XyxyPx): number {
  return treatment === 'vehicle' ? 0 : personCellPxMin(xyxyPx);
}

export function toPx([x1, y1, x2, y2]: XyxyNorm, { widthPx, heightPx }: SizePx): XyxyPx {
  return [x1 * widthPx, y1 * heightPx, x2 * widthPx, y2 * heightPx];
}
