/**
 * Encodes RGB as JPEG with sharp (libvips). The input is pixels only, so no metadata, thumbnail, colour profile or DCT
 * coefficient of the camera's JPEG can reach the output.
 *
 * sharp is loaded at the first snapshot, so a box without incidents never pays for its memory.
 */
import type Sharp from 'sharp';
import { AgentError, messageOf } from '../../base/errors.ts';
import { type SizePx, sameSize } from '../../contract/geometry.ts';

let loading: Promise<typeof Sharp> | undefined;

/** Loads sharp with one thread and no cache: snapshots are rare, and analysed frames have priority. */
async function loadSharp(): Promise<typeof Sharp> {
  const { default: sharp } = await import('sharp');
  sharp.cache(false);
  sharp.concurrency(1);
  return sharp;
}

/**
 * Encodes RGB as a baseline JPEG, scaled to `target`, without chroma subsampling, which would lose thin coloured lines.
 *
 * mozjpeg's search would save 13 to 20 % of the bytes for seven times the CPU, optimised Huffman tables 5 % for 2.6
 * times.
 */
export async function encode(
  rgb: Uint8Array,
  size: SizePx,
  quality: number,
  target: SizePx = size,
): Promise<Uint8Array> {
  loading ??= loadSharp();
  const sharp = await loading;
  const raw = { width: size.widthPx, height: size.heightPx, channels: 3 } as const;
  try {
    const image = sharp(rgb, { raw });
    if (!sameSize(target, size)) {
      image.resize({ width: target.widthPx, height: target.heightPx, fit: 'fill' });
    }
    return await image.jpeg({ quality, chromaSubsampling: '4:4:4', optimiseCoding: false }).toBuffer();
  } catch (error) {
    throw new AgentError('bug', `the snapshot cannot be encoded (${messageOf(error)})`, error);
  }
}
