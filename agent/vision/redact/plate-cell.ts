/** The plate's pixels, cell by cell. */
import type { YuvPlanes } from '../../contract/picture.ts';
import { CELL_PX, type Grid, pixelsOf } from './cells.ts';
import type { Means } from './means.ts';
import type { Light } from './plate-light.ts';

export function emptyPlanes({ size, y, u, v, strideY, strideUv }: YuvPlanes): YuvPlanes {
  const plane = (like: Uint8Array): Uint8Array => new Uint8Array(like.length);
  return { size, y: plane(y), u: plane(u), v: plane(v), strideY, strideUv };
}

/** Of the same size. */
export function copyPlanes(into: YuvPlanes, from: YuvPlanes): void {
  into.y.set(from.y);
  into.u.set(from.u);
  into.v.set(from.v);
}

export function copyCell(into: YuvPlanes, from: YuvPlanes, cell: number, grid: Grid): void {
  eachLine(into, cell, grid, 'y', (a, b) => into.y.set(from.y.subarray(a, b), a));
  eachLine(into, cell, grid, 'uv', (a, b) => {
    into.u.set(from.u.subarray(a, b), a);
    into.v.set(from.v.subarray(a, b), a);
  });
}

/** Takes a share of another picture in, after the light of the cell has been made that of the picture. */
export function blendCell(
  into: YuvPlanes,
  from: YuvPlanes,
  cell: number,
  grid: Grid,
  share: number,
  light: Light,
): void {
  const gain = light.gain[cell] as number;
  const [u, v] = [light.u[cell] as number, light.v[cell] as number];
  eachLine(into, cell, grid, 'y', (start, end) => blend(into.y, from.y, start, end, share, gain, 0));
  eachLine(into, cell, grid, 'uv', (start, end) => {
    blend(into.u, from.u, start, end, share, gain, 128 * (1 - gain) + u);
    blend(into.v, from.v, start, end, share, gain, 128 * (1 - gain) + v);
  });
}

function blend(
  into: Uint8Array,
  from: Uint8Array,
  start: number,
  end: number,
  share: number,
  gain: number,
  step: number,
): void {
  for (let at = start; at < end; at += 1) {
    into[at] = level((1 - share) * ((into[at] as number) * gain + step) + share * (from[at] as number));
  }
}

/** Gives a cell one colour. */
export function flattenCell(into: YuvPlanes, cell: number, grid: Grid, { y, u, v }: Means): void {
  eachLine(into, cell, grid, 'y', (a, b) => into.y.fill(level(y[cell] as number), a, b));
  eachLine(into, cell, grid, 'uv', (a, b) => {
    into.u.fill(level((u[cell] as number) + 128), a, b);
    into.v.fill(level((v[cell] as number) + 128), a, b);
  });
}

/** Draws a cell into an RGB picture of the plate's size (ITU-T T.871), in the light of `light`. */
export function drawCell(rgb: Uint8Array, plate: YuvPlanes, cell: number, grid: Grid, light: Light): void {
  const gain = light.gain[cell] as number;
  const [u, v] = [(light.u[cell] as number) - 128 * gain, (light.v[cell] as number) - 128 * gain];
  const [left, top, right, bottom] = pixelsOf(cell, grid);
  for (let line = top; line < bottom; line += 1) {
    const [rowY, rowUv] = [line * plate.strideY, (line >> 1) * plate.strideUv];
    let at = (line * grid.size.widthPx + left) * 3;
    for (let x = left; x < right; x += 1) {
      const y = (plate.y[rowY + x] as number) * gain;
      const cb = (plate.u[rowUv + (x >> 1)] as number) * gain + u;
      const cr = (plate.v[rowUv + (x >> 1)] as number) * gain + v;
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

/** The lines of a cell in a plane, as ranges [start, end) of its bytes. */
function eachLine(
  { strideY, strideUv }: YuvPlanes,
  cell: number,
  { columns, size: { widthPx, heightPx } }: Grid,
  plane: 'y' | 'uv',
  visit: (start: number, end: number) => void,
): void {
  const half = plane === 'y' ? 1 : 2;
  const side = CELL_PX / half;
  const [width, height, stride] = [
    Math.ceil(widthPx / half),
    Math.ceil(heightPx / half),
    half === 1 ? strideY : strideUv,
  ];
  const [left, top] = [(cell % columns) * side, Math.floor(cell / columns) * side];
  const right = Math.min(width, left + side);
  for (let line = top; line < Math.min(height, top + side); line += 1) {
    visit(line * stride + left, line * stride + right);
  }
}
