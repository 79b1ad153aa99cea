/**
 * JPEG in and out, by sharp (libvips). Only raw RGB passes between `decode` and `encode`, so that no
 * metadata, thumbnail, colour profile or DCT coefficient of the input can reach the output.
 *
 * sharp is loaded at the first snapshot: a box that never raises an incident never pays for its memory.
 */
import type Sharp from 'sharp';
import { AgentError, messageOf } from '../../base/errors.ts';
import type { SizePx } from '../../contract/geometry.ts';

/**
 * How far the down-scaling spreads a pixel, in pixels of the smaller picture: three for Lanczos with three
 * lobes (libvips, vips_reduce), one more for the whole-number box shrink that libvips runs before it.
 */
export const SCALE_REACH_PX = 4;

/** The largest still that is decoded: 8K. A larger claim in a header is an attack or a mistake. */
const STILL_PIXELS_MAX = 7680 * 4320;

let loading: Promise<typeof Sharp> | undefined;

/** One thread and no cache: snapshots are rare, and the frames that are analysed meanwhile go first. */
async function loadSharp(): Promise<typeof Sharp> {
  const { default: sharp } = await import('sharp');
  sharp.cache(false);
  sharp.concurrency(1);
  return sharp;
}

function sharpOnce(): Promise<typeof Sharp> {
  loading ??= loadSharp();
  return loading;
}

/**
 * Decodes a still of `source` size and scales it to `target`: RGB, 8 bits, row-major, no padding.
 * Throws `corrupt` where the bytes are not a whole JPEG of that size: boxes would miss what they hide.
 */
export async function decode(jpeg: Uint8Array, source: SizePx, target: SizePx): Promise<Uint8Array> {
  const sharp = await sharpOnce();
  const options = { failOn: 'error', limitInputPixels: STILL_PIXELS_MAX, autoOrient: false } as const;
  const size = { width: target.widthPx, height: target.heightPx };
  try {
    const image = sharp(jpeg, options);
    const { format, width, height } = await image.metadata();
    if (format !== 'jpeg' || width !== source.widthPx || height !== source.heightPx) {
      throw new AgentError(
        'corrupt',
        `the still is ${format} ${width}×${height}, not jpeg ${source.widthPx}×${source.heightPx}`,
      );
    }
    const { data, info } = await image
      .resize({ ...size, fit: 'fill', kernel: 'lanczos3', fastShrinkOnLoad: false })
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3)
      throw new AgentError('corrupt', `the still has ${info.channels} channels, not 3`);
    return data;
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError('corrupt', `the still cannot be decoded (${messageOf(error)})`, error);
  }
}

/**
 * Encodes RGB as a baseline JPEG without chroma subsampling: with it, one block of colour would cover four
 * blocks of brightness, and redacted and public colours would mix. mozjpeg's search would save 13 to 20 % of
 * the bytes for seven times the CPU.
 */
export async function encode(rgb: Uint8Array, size: SizePx, quality: number): Promise<Uint8Array> {
  const sharp = await sharpOnce();
  const raw = { width: size.widthPx, height: size.heightPx, channels: 3 } as const;
  try {
    return await sharp(rgb, { raw }).jpeg({ quality, chromaSubsampling: '4:4:4' }).toBuffer();
  } catch (error) {
    throw new AgentError('bug', `the snapshot cannot be encoded (${messageOf(error)})`, error);
  }
}
