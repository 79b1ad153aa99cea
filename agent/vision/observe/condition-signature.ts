/**
 * A few numbers by which a view can be told from another after a restart, and from which no picture can be made:
 * in each of 8 × 6 blocks of the picture, how much of the edges that stay runs in which of eight directions.
 *
 * A block is an eighth of the picture wide: nothing smaller has a place of its own in it, and brightness and colour
 * are not kept at all. (The idea of N. Dalal and B. Triggs, "Histograms of oriented gradients", CVPR 2005, made
 * as coarse as it can be.)
 */
import { BLOCKS, type ConditionPicture } from './condition-picture.ts';

const DIRECTIONS = 8;
/** One byte each. */
export const SIGNATURE_BYTES = BLOCKS * DIRECTIONS;
/** The same view had 0.34 and more, at a tenth of the light with noise; other streets 0.38 and less, most under 0.2. */
const SAME_LIKENESS = 0.3;

/** Of the mean steps of a view, in base64. */
export function signatureOf(
  { block }: Pick<ConditionPicture, 'block'>,
  stepX: Float32Array,
  stepY: Float32Array,
): string {
  const sums = new Float64Array(SIGNATURE_BYTES);
  for (let k = 0; k < block.length; k += 1) {
    const x = stepX[k] as number;
    const y = stepY[k] as number;
    // An edge runs the same way whichever of its sides is the brighter one.
    const turn = (Math.atan2(y, x) / Math.PI + 1) % 1;
    const at = (block[k] as number) * DIRECTIONS + (Math.floor(turn * DIRECTIONS) % DIRECTIONS);
    sums[at] = (sums[at] as number) + Math.hypot(x, y);
  }
  // The square root: one strong edge does not speak for all.
  const most = Math.sqrt(Math.max(1e-6, ...sums));
  return Buffer.from(sums.map((sum) => Math.round((255 * Math.sqrt(sum)) / most))).toString('base64');
}

/** Correlation of two signatures, less what each block has in all directions; 0 where one is none. */
export function likenessOf(one: string, other: string): number {
  const [a, b] = [structureOf(one), structureOf(other)];
  if (a === undefined || b === undefined) return 0;
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < SIGNATURE_BYTES; i += 1) {
    ab += (a[i] as number) * (b[i] as number);
    aa += (a[i] as number) ** 2;
    bb += (b[i] as number) ** 2;
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}

export function isSameView(one: string, other: string): boolean {
  return likenessOf(one, other) >= SAME_LIKENESS;
}

function structureOf(signature: string): Float64Array | undefined {
  const bytes = Buffer.from(signature, 'base64');
  if (bytes.length !== SIGNATURE_BYTES) return undefined;
  const out = new Float64Array(bytes);
  for (let b = 0; b < SIGNATURE_BYTES; b += DIRECTIONS) {
    const mean = out.subarray(b, b + DIRECTIONS).reduce((sum, v) => sum + v, 0) / DIRECTIONS;
    for (let d = b; d < b + DIRECTIONS; d += 1) out[d] = (out[d] as number) - mean;
  }
  return out;
}
