/** Reads and writes the pixels of the clean plate, cell by cell. */
import type { YuvPlanes } from '../../contract/picture.ts';
import { CELL_PX, type Grid, pixelsOf } from './cells.ts';
import type { Light } from './clean-plate-light.ts';
import type { Means } from './means.ts';

export function emptyPlanes({ size, y, u, v, strideY, strideUv }: YuvPlanes): YuvPlanes {
  const plane = (like: Uint8Array): Uint8Array => new Uint8Array(like.length);
  return { size, y: plane(y), u: plane(u), v: plane(v), strideY, strideUv };
}

/** Copies planes of the same size. */
export function copyPlanes(into: YuvPlanes, from: YuvPlanes): void {
  into.y.set(from.y);
  into.u.set(from.u);
  into.v.set(from.v);
}

export function copyCell(into: YuvPlanes, from: YuvPlanes, cell: number, grid: Grid): void {
  const { y, u, v } = into;
  const lines = linesOf(into, cell, grid, 1);
  for (let at = lines.start; at < lines.end; at += lines.stride) copy(y, from.y, at, at + lines.width);
  const half = linesOf(into, cell, grid, 2);
  for (let at = half.start; at < half.end; at += half.stride) {
    copy(u, from.u, at, at + half.width);
    copy(v, from.v, at, at + half.width);
  }
}

function copy(into: Uint8Array, from: Uint8Array, start: number, end: number): void {
  for (let at = start; at < end; at += 1) into[at] = from[at] as number;
}

/** Blends another picture into a cell at the ratio `ratio`, after converting the cell to the light of that picture. */
export function blendCell(
  into: YuvPlanes,
  from: YuvPlanes,
  cell: number,
  grid: Grid,
  ratio: number,
  light: Light,
): void {
  const gain = light.gain[cell] as number;
  const u = light.u[cell] as number;
  const v = light.v[cell] as number;
  const zero = 128 * (1 - gain);
  const lines = linesOf(into, cell, grid, 1);
  for (let at = lines.start; at < lines.end; at += lines.stride)
    blend(into.y, from.y, at, at + lines.width, ratio, gain, 0);
  const half = linesOf(into, cell, grid, 2);
  for (let at = half.start; at < half.end; at += half.stride) {
    blend(into.u, from.u, at, at + half.width, ratio, gain, zero + u);
    blend(into.v, from.v, at, at + half.width, ratio, gain, zero + v);
  }
}

function blend(
  into: Uint8Array,
  from: Uint8Array,
  start: number,
  end: number,
  ratio: number,
  gain: number,
  step: number,
): void {
  for (let at = start; at < end; at += 1) {
    into[at] = level((1 - ratio) * ((into[at] as number) * gain + step) + ratio * (from[at] as number));
  }
}

/** Fills a cell with one colour. */
export function flattenCell(into: YuvPlanes, cell: number, grid: Grid, { y, u, v }: Means): void {
  const lines = linesOf(into, cell, grid, 1);
  for (let at = lines.start; at < lines.end; at += lines.stride)
    into.y.fill(level(y[cell] as number), at, at + lines.width);
  const half = linesOf(into, cell, grid, 2);
  for (let at = half.start; at < half.end; at += half.stride) {
    into.u.fill(level((u[cell] as number) + 128), at, at + half.width);
    into.v.fill(level((v[cell] as number) + 128), at, at + half.width);
  }
}

/** Draws a cell into an RGB picture of the clean plate's size (ITU-T T.871), in the light of `light`. */
export function drawCell(
  rgb: Uint8Array,
  cleanPlate: YuvPlanes,
  cell: number,
  grid: Grid,
  light: Light,
): void {
  const gain = light.gain[cell] as number;
  const u = (light.u[cell] as number) - 128 * gain;
  const v = (light.v[cell] as number) - 128 * gain;
  const [left, top, right, bottom] = pixelsOf(cell, grid);
  for (let line = top; line < bottom; line += 1) {
    const rowY = line * cleanPlate.strideY;
    const rowUv = (line >> 1) * cleanPlate.strideUv;
    let at = (line * grid.size.widthPx + left) * 3;
    for (let x = left; x < right; x += 1) {
      const y = (cleanPlate.y[rowY + x] as number) * gain;
      const cb = (cleanPlate.u[rowUv + (x >> 1)] as number) * gain + u;
      const cr = (cleanPlate.v[rowUv + (x >> 1)] as number) * gain + v;
      rgb[at] = level(y + 1.402 * cr);
      rgb[at + 1] = level(y - 0.344136 * cb - 0.714136 * cr);
      rgb[at + 2] = level(y + 1.772 * cb);
      at += 3;
    }
  }
}

function level(value: number): number {
  return value <= 0 ? 0 : value >= 255 ? 255 : value + 0.5;
}

/** Part of each line of a plane that lies in a cell: from `start`, then every `stride` bytes before `end`. */
interface Lines {
  readonly start: number;
  readonly end: number;
  readonly stride: number;
  readonly width: number;
}

/** Returns the lines of a cell. `half` is 1 for luma, 2 for chroma, whose planes have half as many pixels per side. */
function linesOf(
  { strideY, strideUv }: YuvPlanes,
  cell: number,
  { columns, size: { widthPx, heightPx } }: Grid,
  half: 1 | 2,
): Lines {
  const side = CELL_PX / half;
  const stride = half === 1 ? strideY : strideUv;
  const left = (cell % columns) * side;
  const top = Math.floor(cell / columns) * side;
  const width = Math.min(Math.ceil(widthPx / half), left + side) - left;
  const bottom = Math.min(Math.ceil(heightPx / half), top + side);
  return { start: top * stride + left, end: bottom * stride + left, stride, width };
}
