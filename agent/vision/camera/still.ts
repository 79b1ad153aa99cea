/**
 * Decodes and scales the camera's stills and blackens them under the privacy masks. The JPEG itself stays in this
 * folder.
 *
 * sharp (libvips) is loaded when the first still is decoded, so a box without incidents never pays for its memory.
 */
import type Sharp from 'sharp';
import { AgentError, messageOf } from '../../base/errors.ts';
import type { SizePx } from '../../contract/geometry.ts';
import type { Still, StillPixels } from '../../contract/picture.ts';
import type { PrivacyMasks } from './mask.ts';

/** JPEG of `size`, at most the size of the source. Its pixels are spread by `spreadPx` of its own pixels. */
export type StoredStill = Omit<Still, 'pixels'> & {
  readonly size: SizePx;
  readonly spreadPx: number;
  readonly jpeg: Uint8Array;
};

/**
 * Distance by which down-scaling spreads a pixel, in pixels of the smaller picture. Three for Lanczos with three lobes
 * (libvips, vips_reduce), one more for the whole-number box shrink before it.
 */
const SCALE_REACH_PX = 4;

/** Largest still that is decoded, in pixels: 8K. A larger size in a header is an attack or an error. */
const STILL_PIXELS_MAX = 7680 * 4320;

let loading: Promise<typeof Sharp> | undefined;

/** Loads sharp with one thread and no cache: snapshots are rare, and analysed frames have priority. */
async function loadSharp(): Promise<typeof Sharp> {
  const { default: sharp } = await import('sharp');
  sharp.cache(false);
  sharp.concurrency(1);
  return sharp;
}

/** Returns the still as it may leave the camera. */
export function givenOut(
  { jpeg, size: stored, spreadPx, ...still }: StoredStill,
  masks: PrivacyMasks,
): Still {
  const pixels = async (size: SizePx): Promise<StillPixels> => {
    const rgb = await decode(jpeg, stored, size);
    const reachPx = spreadPx + (size.widthPx === stored.widthPx ? 0 : SCALE_REACH_PX);
    return { rgb, reachPx, black: masks.blackenPicture(rgb, size, reachPx) };
  };
  return { ...still, pixels };
}

/**
 * Decodes a still of `stored` size and scales it to `target`: RGB, 8 bits, row-major, no padding.
 *
 * @throws `corrupt` if the bytes are not an intact JPEG of that size, because boxes would then miss their objects.
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
