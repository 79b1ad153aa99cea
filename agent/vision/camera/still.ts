/**
 * A still as the camera holds it, and as it gives it out: decoded, scaled, and black under the privacy masks. The JPEG
 * itself stays in this folder.
 *
 * sharp (libvips) is loaded when the first still is decoded: a box that never raises an incident never pays for its
 * memory.
 */
import type Sharp from 'sharp';
import { AgentError, messageOf } from '../../base/errors.ts';
import type { SizePx } from '../../contract/geometry.ts';
import type { Still, StillPixels } from '../../contract/picture.ts';
import type { PrivacyMasks } from './mask.ts';

/** A JPEG of `size`, which is no larger than the source; its pixels are spread by `spreadPx` of its own. */
export type HeldStill = Omit<Still, 'pixels'> & {
  readonly size: SizePx;
  readonly spreadPx: number;
  readonly jpeg: Uint8Array;
};

/**
 * How far the down-scaling spreads a pixel, in pixels of the smaller picture: three for Lanczos with three
 * lobes (libvips, vips_reduce), one more for the whole-number box shrink that libvips runs before it.
 */
const SCALE_REACH_PX = 4;

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

/** The still as it may be seen outside of the camera. */
export function givenOut({ jpeg, size: stored, spreadPx, ...still }: HeldStill, masks: PrivacyMasks): Still {
  const pixels = async (size: SizePx): Promise<StillPixels> => {
    const rgb = await decode(jpeg, stored, size);
    const reachPx = spreadPx + (size.widthPx === stored.widthPx ? 0 : SCALE_REACH_PX);
    return { rgb, reachPx, black: masks.blackenPicture(rgb, size, reachPx) };
  };
  return { ...still, pixels };
}

/**
 * Decodes a still of `stored` size and scales it to `target`: RGB, 8 bits, row-major, no padding.
 * Throws `corrupt` where the bytes are not a whole JPEG of that size: boxes would miss what they hide.
 */
async function decode(jpeg: Uint8Array, stored: SizePx, target: SizePx): Promise<Uint8Array> {
  loading ??= loadSharp();
  const sharp = await loading;
  const options = { failOn: 'error', limitInputPixels: STILL_PIXELS_MAX, autoOrient: false } as const;
  const size = { width: target.widthPx, height: target.heightPx };
  try {
    const image = sharp(jpeg, options);
    const { format, width, height } = await image.metadata();
    if (format !== 'jpeg' || width !== stored.widthPx || height !== stored.heightPx) {
      throw new AgentError(
        'corrupt',
        `the still is ${format} ${width}×${height}, not jpeg ${stored.widthPx}×${stored.heightPx}`,
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
