/**
 * Computes a signature that identifies a view after a restart, and from which no picture can be made. It holds, for
 * each of 8 × 6 blocks, the strength of the permanent edges in each of eight directions.
 *
 * A block is an eighth of the picture wide, so nothing smaller has a position in it. Brightness and colour are not
 * stored. (After N. Dalal and B. Triggs, "Histograms of oriented gradients", CVPR 2005, as coarse as possible.)
 */
import { BLOCKS, type ConditionPicture } from './condition-picture.ts';

const DIRECTIONS = 8;
/** Size of a signature, one byte per value. */
export const SIGNATURE_BYTES = BLOCKS * DIRECTIONS;
/**
 * Likeness from which views are the same. The same view had 0.34 and more, at a tenth of the light with noise; other
 * streets 0.38 and less, most under 0.2.
 */
const SAME_LIKENESS = 0.3;

/** Returns the signature of a view's mean steps, in base64. */
export function signatureOf(
  { block }: Pick<ConditionPicture, 'block'>,
  stepX: Float32Array,
  stepY: Float32Array,
): string {
  const sums = new Float64Array(SIGNATURE_BYTES);
  for (let k = 0; k < block.length; k += 1) {
    const x = stepX[k] as number;
    const y = stepY[k] as number;
    // An edge has the same direction whichever of its sides is brighter.
    const turn = (Math.atan2(y, x) / Math.PI + 1) % 1;
    const at = (block[k] as number) * DIRECTIONS + (Math.floor(turn * DIRECTIONS) % DIRECTIONS);
    sums[at] = (sums[at] as number) + Math.hypot(x, y);
  }
  // The square root keeps one strong edge from dominating.
  const maxRoot = Math.sqrt(Math.max(1e-6, ...sums));
  return Buffer.from(sums.map((sum) => Math.round((255 * Math.sqrt(sum)) / maxRoot))).toString('base64');
}

/**
 * Returns the correlation of two signatures after subtracting each block's mean over all directions; 0 for an invalid
 * signature.
 */
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
