/** By how much a cell of the picture must differ from what it was before something has changed there. */

/** The contrast at which a person begins to see an edge (3 %, Weber); a grey coat on grey stone differs by 10. */
const LEVELS_MIN = 8;
/**
 * In the dark the same contrast is fewer levels: as many fewer as the ground lies below a quarter of the scale, down to
 * what two means of eight pixels differ by with the rounding of a codec.
 */
const FULL_FROM = 64;
const LEVELS_DARK_MIN = 3;
/** Nine of ten frames of a place where nothing moves differ by no more than its noise; so many times that is motion. */
const NOISE_TIMES = 2.5;
/** Saving codecs leave a place for a second and then mend it by so much; more is motion that never ends. */
const NOISE_MAX = 8;
/** The ninth tenth is followed by this much a frame upwards, and a ninth of it downwards. */
const NOISE_STEP = 0.36;

/** Levels from which on a cell that was at `level`, and differs by `noise` where nothing moves, has changed. */
export function changeFrom(level: number, noise: number): number {
  const least = Math.min(LEVELS_MIN, (LEVELS_MIN * level) / FULL_FROM);
  return Math.max(LEVELS_DARK_MIN, least, NOISE_TIMES * noise);
}

/** The cell's noise after it has differed by so many levels. */
export function noiseAfter(noise: number, by: number): number {
  return by > noise ? Math.min(NOISE_MAX, noise + NOISE_STEP) : Math.max(0, noise - NOISE_STEP / 9);
}

/**
 * By how much the whole picture has become brighter, levels: the median of every eighth cell that may be read.
 * `offsets`: below 0 where a mask lies; `shifts` has room for an eighth of the cells.
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
