/** Stills of made-up pictures, and the pixels of published files. Sharp is loaded by the first use. */
import type { SizePx } from '../../agent/contract/geometry.ts';
import type { Still, YuvPlanes } from '../../agent/contract/picture.ts';
import { type StillOptions, stillFrom } from './pictures.ts';

/** Reproducible bytes of a seed (xorshift32). */
export function noiseBytes(count: number, seed: number): Uint8Array {
  let state = seed | 1;
  return Uint8Array.from({ length: count }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 255;
  });
}

export async function sharpOf(rgb: Uint8Array, { widthPx, heightPx }: SizePx) {
  const { default: sharp } = await import('sharp');
  return sharp(rgb, { raw: { width: widthPx, height: heightPx, channels: 3 } });
}

/** A still whose blocks of 8 × 8 px are coded independently: a change stays within the blocks that it touches. */
export async function stillOf(
  rgb: Uint8Array,
  source: SizePx,
  options: StillOptions = {},
): Promise<Still & { jpeg: Uint8Array }> {
  const jpeg = await (await sharpOf(rgb, source))
    .jpeg({ quality: 97, chromaSubsampling: '4:4:4' })
    .toBuffer();
  return { ...stillFrom(jpeg, source, options), jpeg };
}

export async function pixelsOf(jpeg: Uint8Array): Promise<{ rgb: Buffer; size: SizePx }> {
  const { default: sharp } = await import('sharp');
  const { data, info } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true });
  return { rgb: data, size: { widthPx: info.width, heightPx: info.height } };
}

/** Brightness of the pixel whose red byte is at `at`. */
export function lumaAt(rgb: Uint8Array, at: number): number {
  return 0.299 * (rgb[at] as number) + 0.587 * (rgb[at + 1] as number) + 0.114 * (rgb[at + 2] as number);
}

/** A camera's picture in planes, from which a place is learnt (ITU-T T.871). */
export function planesOf(rgb: Uint8Array, size: SizePx): YuvPlanes {
  const { widthPx, heightPx } = size;
  const [strideY, strideUv] = [widthPx, (widthPx + 1) >> 1];
  const y = new Uint8Array(strideY * heightPx);
  const [u, v] = [0, 1].map(() => new Uint8Array(strideUv * ((heightPx + 1) >> 1))) as [
    Uint8Array,
    Uint8Array,
  ];
  for (let i = 0; i < y.length; i += 1) {
    const [r, b] = [rgb[i * 3] as number, rgb[i * 3 + 2] as number];
    const luma = lumaAt(rgb, i * 3);
    y[i] = Math.round(luma);
    const at = (Math.floor(i / widthPx) >> 1) * strideUv + ((i % widthPx) >> 1);
    u[at] = Math.round(128 + (b - luma) / 1.772);
    v[at] = Math.round(128 + (r - luma) / 1.402);
  }
  return { size, y, u, v, strideY, strideUv };
}
