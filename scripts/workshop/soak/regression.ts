/** Fits a straight line to samples, with the confidence interval of its slope. */

export interface Sample {
  /** Hours since the start. */
  readonly hours: number;
  readonly value: number;
}

export interface Slope {
  /** Units of the value per hour. */
  readonly perHour: number;
  /** Half of the 95 % confidence interval of the slope. */
  readonly plusMinus: number;
  /** Value of the line at the first sample. */
  readonly from: number;
}

/** Number of blocks. Neighbouring samples are correlated; means over blocks are independent. */
const BLOCKS = 20;
/** Student's t, 97.5 %, for BLOCKS − 2 degrees of freedom (NIST/SEMATECH e-Handbook, 1.3.6.7.2). */
const T_18 = 2.101;

/**
 * Fits by least squares over the means of `BLOCKS` equal spans of time. Memory varies over minutes, and single samples
 * would suggest a false certainty. Undefined for fewer samples than blocks.
 */
export function slopeOf(samples: readonly Sample[]): Slope | undefined {
  const blocks = blockMeans(samples);
  if (blocks === undefined) return undefined;
  const n = blocks.length;
  const meanX = blocks.reduce((sum, { hours }) => sum + hours, 0) / n;
  const meanY = blocks.reduce((sum, { value }) => sum + value, 0) / n;
  const sxx = blocks.reduce((sum, { hours }) => sum + (hours - meanX) ** 2, 0);
  const sxy = blocks.reduce((sum, { hours, value }) => sum + (hours - meanX) * (value - meanY), 0);
  const perHour = sxy / sxx;
  const residual = blocks.reduce(
    (sum, { hours, value }) => sum + (value - meanY - perHour * (hours - meanX)) ** 2,
    0,
  );
  const error = Math.sqrt(residual / (n - 2) / sxx);
  const firstHours = samples[0]?.hours ?? 0;
  return { perHour, plusMinus: T_18 * error, from: meanY + perHour * (firstHours - meanX) };
}

function blockMeans(samples: readonly Sample[]): Sample[] | undefined {
  if (samples.length < BLOCKS) return undefined;
  return Array.from({ length: BLOCKS }, (_, block) => {
    const from = Math.floor((block * samples.length) / BLOCKS);
    const part = samples.slice(from, Math.floor(((block + 1) * samples.length) / BLOCKS));
    const mean = (of: (sample: Sample) => number): number =>
      part.reduce((sum, sample) => sum + of(sample), 0) / part.length;
    return { hours: mean(({ hours }) => hours), value: mean(({ value }) => value) };
  });
}
