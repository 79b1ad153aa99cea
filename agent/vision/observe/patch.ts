/**
 * Coarse picture of a place that is recognised through changes of light: luma at 16×16 points of a box, normalised to
 * mean 0 and length 1. It exists only in vision's memory and cannot distinguish cars of the same shape and shade.
 */
import type { SizePx, XyxyPx } from '../../contract/geometry.ts';
import { placementOf } from '../../contract/letterbox.ts';
import type { Frame } from '../../contract/picture.ts';

const SIDE = 16;
const POINTS = SIDE * SIDE;
/**
 * Minimum standard deviation, of 255. Below it a box shows only sensor noise (2 to 4 in daylight), which resembles no
 * other picture, not even itself.
 */
const CONTRAST_MIN = 3;

export type Patch = Float32Array;

/** Minimum number of points without a privacy mask. */
const POINTS_MIN = POINTS / 8;

/** Picture of the detector's input size whose luma can be read. */
export interface LumaPicture {
  readonly source: SizePx;
  readonly input: SizePx;
  /** Same as in the frame. */
  readonly masked: Uint8Array | undefined;
  /** Returns the luma, 0..255, at the pixel with this index (row × width + column). */
  lumaOf(pixel: number): number;
}

/** BT.601 luma of a frame in integers, computed on access. */
export class FrameLuma implements LumaPicture {
  readonly source: SizePx;
  readonly input: SizePx;
  readonly masked: Uint8Array | undefined;
  readonly #rgb: Uint8Array;

  constructor({ rgb, source, input, masked }: Pick<Frame, 'rgb' | 'input' | 'source' | 'masked'>) {
    this.source = source;
    this.input = input;
    this.masked = masked;
    this.#rgb = rgb;
  }

  lumaOf(pixel: number): number {
    const i = pixel * 3;
    const rgb = this.#rgb;
    return (77 * (rgb[i] as number) + 150 * (rgb[i + 1] as number) + 29 * (rgb[i + 2] as number)) >> 8;
  }
}

/** Copy of a picture's luma: one byte per pixel. */
export class KeptLuma implements LumaPicture {
  readonly source: SizePx;
  readonly input: SizePx;
  readonly masked: Uint8Array | undefined;
  readonly #luma: Uint8Array;

  constructor(picture: LumaPicture) {
    this.source = picture.source;
    this.input = picture.input;
    this.masked = picture.masked;
    this.#luma = new Uint8Array(this.input.widthPx * this.input.heightPx);
    for (let i = 0; i < this.#luma.length; i++) this.#luma[i] = picture.lumaOf(i);
  }

  lumaOf(pixel: number): number {
    return this.#luma[pixel] as number;
  }
}

/** Returns the patch of a box; undefined without sufficient contrast. Points under a privacy mask have no weight. */
export function patchOf(picture: LumaPicture, box: XyxyPx): Patch | undefined {
  const { input, source, masked } = picture;
  const placement = placementOf(source, input);
  const scale = placement.widthPx / source.widthPx;
  const patch = new Float32Array(POINTS);
  let sum = 0;
  let points = 0;
  for (let row = 0; row < SIDE; row++) {
    const y = placement.topPx + scale * (box[1] + ((row + 0.5) / SIDE) * (box[3] - box[1]));
    for (let column = 0; column < SIDE; column++) {
      const x = placement.leftPx + scale * (box[0] + ((column + 0.5) / SIDE) * (box[2] - box[0]));
      const pixel = pixelAt(input, x, y);
      const value = masked?.[pixel] === 1 ? Number.NaN : picture.lumaOf(pixel);
      patch[row * SIDE + column] = value;
      if (Number.isNaN(value)) continue;
      sum += value;
      points += 1;
    }
  }
  return points < POINTS_MIN ? undefined : normalise(patch, sum / points, points);
}

/** Returns the normalised cross-correlation (Lewis, "Fast Normalized Cross-Correlation", 1995): -1 to 1. */
export function likeness(a: Patch, b: Patch): number {
  let sum = 0;
  for (let i = 0; i < POINTS; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/** Moves `patch` by `ratio` towards `now`. */
export function blend(patch: Patch, now: Patch, ratio: number): Patch {
  const mixed = new Float32Array(POINTS);
  for (let i = 0; i < POINTS; i++) {
    const value = patch[i] as number;
    mixed[i] = value + ratio * ((now[i] as number) - value);
  }
  return normalise(mixed, 0) ?? patch;
}

/** Normalises in place. NaN points become 0, the mean. */
function normalise(patch: Patch, mean: number, points = POINTS): Patch | undefined {
  let squares = 0;
  for (let i = 0; i < POINTS; i++) {
    const difference = (patch[i] as number) - mean;
    if (!Number.isNaN(difference)) squares += difference * difference;
  }
  // A patch that was normalised before has length 1; only raw luma is compared with the noise limit.
  if (mean !== 0 && Math.sqrt(squares / points) < CONTRAST_MIN) return undefined;
  if (squares === 0) return undefined;
  const length = Math.sqrt(squares);
  for (let i = 0; i < POINTS; i++) {
    const value = patch[i] as number;
    patch[i] = Number.isNaN(value) ? 0 : (value - mean) / length;
  }
  return patch;
}

function pixelAt({ widthPx, heightPx }: SizePx, x: number, y: number): number {
  const column = Math.min(widthPx - 1, Math.max(0, Math.floor(x)));
  const row = Math.min(heightPx - 1, Math.max(0, Math.floor(y)));
  return row * widthPx + column;
}
