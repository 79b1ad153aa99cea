/** Thresholds for a change of a picture cell. */

/**
 * Minimum difference in levels: the contrast at which a person begins to see an edge (3 %, Weber). A grey coat on grey
 * stone differs by 10.
 */
const LEVELS_MIN = 8;
/**
 * Level from which the full minimum applies, a quarter of the scale, and the lowest minimum. In the dark the same
 * contrast is fewer levels, so the minimum falls in proportion to the level. Its lower bound is the difference of two
 * means of eight pixels after a codec's rounding.
 */
const FULL_FROM = 64;
const LEVELS_DARK_MIN = 3;
/**
 * Multiple of the noise from which a difference is motion. In a still place, nine of ten frames differ by no more than
 * the noise.
 */
const NOISE_TIMES = 2.5;
/**
 * Maximum noise, in levels. Low-bitrate codecs leave a place for a second and then correct it by that much; more is
 * endless motion.
 */
const NOISE_MAX = 8;
/** Step per frame by which the 90th percentile is followed upwards; a ninth of it downwards. */
const NOISE_STEP = 0.36;

/** Returns the levels from which a cell has changed, given its previous `level` and its `noise` without motion. */
export function changeFrom(level: number, noise: number): number {
  const least = Math.min(LEVELS_MIN, (LEVELS_MIN * level) / FULL_FROM);
  return Math.max(LEVELS_DARK_MIN, least, NOISE_TIMES * noise);
}

/** Returns the cell's noise after it has differed by this number of levels. */
export function noiseAfter(noise: number, by: number): number {
  return by > noise ? Math.min(NOISE_MAX, noise + NOISE_STEP) : Math.max(0, noise - NOISE_STEP / 9);
}

/**
 * Returns by how many levels the complete picture has become brighter: the median of every eighth unmasked cell.
 * `offsets` is below 0 under a mask; `shifts` has room for an eighth of the cells.
 */
export function shiftOf(
  now: Float32Array,
  before: Float32Array,
  offsets: Int32Array,
  shifts: Float32Array,
): number {
  let count = 0;
  for (let k = 0; k < now.length; k += 8) {
    if ((offsets[k] as number) < 0) continue;
    shifts[count] = (now[k] as number) - (before[k] as number);
    count += 1;
  }
  return shifts.subarray(0, count).sort()[count >> 1] ?? 0;
}
