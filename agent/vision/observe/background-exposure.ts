/**
 * Measures changes of a camera's exposure, white balance and tone curve: for each level of the ground, the median
 * difference of the picture from it. The result is a curve instead of one factor, because cameras compress bright
 * parts, saturate, and brighten dark parts alone.
 */
import { GROUND, OCCLUDED } from './background-state.ts';
import type { SmallPicture } from './small-picture.ts';

/** Number of samples: about 100 in each of 8 bands. Their median is accurate to a level on a noisy street. */
const SAMPLES = 1000;
const BAND_LEVELS = 32;
const BANDS = 256 / BAND_LEVELS;
/** Samples required in a band; with fewer it uses its neighbours, since one object may fill it (5 % of the street). */
const BAND_SAMPLES_MIN = 50;
/** Largest measured difference, in levels; larger ones take a second frame. */
const STEP_MAX = 64;
const BINS = 2 * STEP_MAX + 1;
/** Smallest corrected change, in levels; the slow model follows smaller ones. */
const LEVELS_MIN = 3;
/**
 * Minimum ratio of the distance of two bands after a change to the distance before.
 *
 * Exposure keeps levels apart: half of the gain leaves half of their difference. A band that would merge with another
 * is filled by an undetected object. Merging them would make the ground of both one level permanently.
 */
const APART_MIN = 0.5;
/** Level from which bands may merge, because overexposure merges levels. */
const WHITE = 235;

export class Exposure {
  readonly #bins = new Uint16Array(BANDS * BINS);
  readonly #counts = new Uint16Array(BANDS);
  readonly #bands = new Float64Array(BANDS);
  readonly #order = Uint8Array.from({ length: BANDS }, (_, band) => band);
  readonly #curve = new Float32Array(256);
  readonly #byCount = (a: number, b: number): number =>
    (this.#counts[b] as number) - (this.#counts[a] as number);

  /**
   * Returns the levels to add to each level 0..255 of the ground; undefined if there is no change or no measurement.
   */
  measure(
    { grid: { usedCells } }: SmallPicture,
    present: Float32Array,
    ground: Float32Array,
    state: Uint8Array,
    occlusion: Uint8Array,
  ): Float32Array | undefined {
    const bins = this.#bins.fill(0);
    const counts = this.#counts.fill(0);
    const step = Math.max(1, Math.floor(usedCells.length / SAMPLES));
    for (let k = 0; k < usedCells.length; k += step) {
      const i = usedCells[k] as number;
      if (state[i] !== GROUND || occlusion[i] === OCCLUDED) continue;
      const level = ground[i] as number;
      const change = Math.round((present[i] as number) - level);
      const band = Math.min(BANDS - 1, Math.max(0, Math.floor(level / BAND_LEVELS)));
      const bin = band * BINS + STEP_MAX + Math.max(-STEP_MAX, Math.min(STEP_MAX, change));
      bins[bin] = (bins[bin] as number) + 1;
      counts[band] = (counts[band] as number) + 1;
    }
    const changes = this.#bands.fill(Number.NaN);
    let maxChange = 0;
    // The fullest bands are the most reliable.
    for (const band of this.#order.sort(this.#byCount)) {
      if ((counts[band] as number) < BAND_SAMPLES_MIN) break;
      const by = this.#median(band);
      if (!staysApartOfAll(changes, band, by)) continue;
      changes[band] = by;
      maxChange = Math.max(maxChange, Math.abs(by));
    }
    return maxChange < LEVELS_MIN ? undefined : this.#drawCurve();
  }

  #median(band: number): number {
    const half = (this.#counts[band] as number) / 2;
    let countBelow = 0;
    for (let bin = 0; bin < BINS; bin += 1) {
      const count = this.#bins[band * BINS + bin] as number;
      if (countBelow + count >= half) return bin - STEP_MAX - 0.5 + (half - countBelow) / count;
      countBelow += count;
    }
    return 0;
  }

  /** Draws the curve through the centres of the measured bands, constant beyond the first and the last. */
  #drawCurve(): Float32Array {
    let from = -1;
    for (let band = 0; band < BANDS; band += 1) {
      const to = this.#bands[band] as number;
      if (Number.isNaN(to)) continue;
      const before = from < 0 ? to : (this.#bands[from] as number);
      const start = from < 0 ? 0 : middle(from);
      const end = middle(band);
      for (let level = start; level <= end; level += 1) {
        const ratio = end === start ? 1 : (level - start) / (end - start);
        this.#curve[level] = before + ratio * (to - before);
      }
      from = band;
    }
    this.#curve.fill(this.#bands[from] as number, middle(from));
    return this.#curve;
  }
}

/** Reports whether a band stays apart from all others. `changes` holds the change of each band, NaN if unknown. */
function staysApartOfAll(changes: Float64Array, band: number, by: number): boolean {
  for (let other = 0; other < changes.length; other += 1) {
    const otherBy = changes[other] as number;
    if (!Number.isNaN(otherBy) && !staysApart(other, otherBy, band, by)) return false;
  }
  return true;
}

/** Reports whether two bands stay apart after these changes, in levels. */
function staysApart(one: number, oneBy: number, other: number, otherBy: number): boolean {
  const a = middle(one) + oneBy;
  const b = middle(other) + otherBy;
  return Math.max(a, b) >= WHITE || (b - a) / (middle(other) - middle(one)) >= APART_MIN;
}

function middle(band: number): number {
  return band * BAND_LEVELS + BAND_LEVELS / 2;
}
