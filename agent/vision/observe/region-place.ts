/** Computes where a region lies in the source's picture, in zones and relative to boxes. */
import type { ZoneConfig } from '../../contract/config.ts';
import { iou, type XyxyPx } from '../../contract/geometry.ts';
import type { StaticRegion } from '../../contract/observation.ts';
import { isInside } from '../../contract/plane.ts';
import type { Bystander } from './associated-track.ts';
import type { Grid } from './small-picture.ts';
import type { Region } from './static-region.ts';

/** Minimum overlap (IoU) with the last box of a lost person for a region to be that person. */
export const BODY_IOU = 0.25;
/**
 * Minimum ratios for a region to be part of a lost vehicle: of the region inside its box, and of its box in the region.
 */
const PART_INSIDE = 0.6;
const PART_SIZE = 0.15;

export function placePx({ box }: Region, { sourcePxPerCell: [cellWidthPx, cellHeightPx] }: Grid): XyxyPx {
  return [box[0] * cellWidthPx, box[1] * cellHeightPx, box[2] * cellWidthPx, box[3] * cellHeightPx];
}

/** Returns the zones of a region. `ground` is the bottom centre of its box, normalised. */
export function placesOf(
  zones: readonly ZoneConfig[],
  { cells }: Region,
  ground: readonly [number, number],
  { columns, placement, cellPx }: Grid,
): StaticRegion['places'] {
  const cellWidth = cellPx / placement.widthPx;
  const cellHeight = cellPx / placement.heightPx;
  return zones.flatMap(({ id, polygon }) => {
    const inside = cells.filter((cell) =>
      isInside(polygon, [
        ((cell % columns) + 0.5) * cellWidth,
        (Math.floor(cell / columns) + 0.5) * cellHeight,
      ]),
    ).length;
    // The ground point lies on the region's lower edge; half a cell above it lies the region itself.
    const isGroundInside = isInside(polygon, [ground[0], ground[1] - cellHeight / 2]);
    return inside === 0 && !isGroundInside
      ? []
      : [{ zone: id, standsIn: isGroundInside, share: inside / cells.length }];
  });
}

/** Sets the cells under a box of the source to a value. */
export function fillBox(
  cells: Uint8Array,
  { columns, rows, sourcePxPerCell }: Grid,
  box: XyxyPx,
  value: number,
): void {
  const left = Math.max(0, Math.floor(box[0] / sourcePxPerCell[0]));
  const right = Math.min(columns, Math.ceil(box[2] / sourcePxPerCell[0]));
  const top = Math.max(0, Math.floor(box[1] / sourcePxPerCell[1]));
  const bottom = Math.min(rows, Math.ceil(box[3] / sourcePxPerCell[1]));
  if (right <= left) return;
  for (let y = top; y < bottom; y += 1) cells.fill(value, y * columns + left, y * columns + right);
}

/** Reports whether the region is the remainder of a track that was lost on the spot. */
export function isBody(place: XyxyPx, bystanders: readonly Bystander[]): boolean {
  return bystanders.some(
    ({ hasLeft, lastBox, group }) =>
      !hasLeft && (iou(place, lastBox) >= BODY_IOU || (group === 'vehicle' && isPart(place, lastBox))),
  );
}

export function isPart(place: XyxyPx, vehicle: XyxyPx): boolean {
  const width = Math.min(place[2], vehicle[2]) - Math.max(place[0], vehicle[0]);
  const height = Math.min(place[3], vehicle[3]) - Math.max(place[1], vehicle[1]);
  if (width <= 0 || height <= 0) return false;
  const inside = width * height;
  return inside >= PART_INSIDE * areaOf(place) && inside >= PART_SIZE * areaOf(vehicle);
}

function areaOf([x1, y1, x2, y2]: XyxyPx): number {
  return (x2 - x1) * (y2 - y1);
}
