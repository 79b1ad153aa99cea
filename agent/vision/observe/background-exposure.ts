/**
 * How a camera's exposure, white balance and tone curve have moved: for each level of the ground, the
 * median difference of the picture from it. A curve instead of one factor, since cameras compress bright
 * parts, saturate, and brighten the dark ones alone.
 */
import { COVERED, GROUND } from './background-state.ts';
import type { SmallPicture } from './small-picture.ts';

/** Samples: with 8 bands some 100 to a band; their median is exact to a level where a street is noisy. */
const SAMPLES = 1000;
const BAND_LEVELS = 32;
const BANDS = 256 / BAND_LEVELS;
/** A band with fewer samples takes after its neighbours: one thing of its own may fill it (5 % of the street). */
const BAND_SAMPLES_MIN = 50;
/** Differences beyond this take a second frame. */
const STEP_MAX = 64;
const BINS = 2 * STEP_MAX + 1;
/** Smaller movements are left to the slow model. */
const LEVELS_MIN = 3;
/**
 * Exposure keeps levels apart: half of the gain leaves half of their difference. A band that would fall upon another is
 * full of something that nobody has found yet; the ground of the two would be one level from then on, for good.
 */
const APART_MIN = 0.5;
/** But for what becomes white: there levels do fall together. */
const WHITE = 235;

export class Exposure {
  readonly #bins = new Uint16Array(BANDS * BINS);
  readonly #counts = new Uint16Array(BANDS);
  readonly #bands = new Float64Array(BANDS);
  readonly #order = Uint8Array.from({ length: BANDS }, (_, band) => band);
  readonly #curve = new Float32Array(256);
  readonly #byCount = (a: number, b: number): number =>
    (this.#counts[b] as number) - (this.#counts[a] as number);

  /** Levels to add to each level 0..255 of the ground; undefined where nothing has moved or nothing can be told. */
  measure(
    { grid: { used } }: SmallPicture,
    seen: Float32Array,
    ground: Float32Array,
    state: Uint8Array,
    covered: Uint8Array,
  ): Float32Array | undefined {
    const bins = this.#bins.fill(0);
    const counts = this.#counts.fill(0);
    const step = Math.max(1, Math.floor(used.length / SAMPLES));
    for (let k = 0; k < used.length; k += step) {
      const i = used[k] as number;
      if (state[i] !== GROUND || covered[i] === COVERED) continue;
      const level = ground[i] as number;
      const moved = Math.round((seen[i] as number) - level);
      const band = Math.min(BANDS - 1, Math.max(0, Math.floor(level / BAND_LEVELS)));
      const bin = band * BINS + STEP_MAX + Math.max(-STEP_MAX, Math.min(STEP_MAX, moved));
      bins[bin] = (bins[bin] as number) + 1;
      counts[band] = (counts[band] as number) + 1;
    }
    const moved = this.#bands.fill(Number.NaN);
    let most = 0;
    // The fullest bands are believed first.
    for (const band of this.#order.sort(this.#byCount)) {
      if ((counts[band] as number) < BAND_SAMPLES_MIN) break;
      const by = this.#median(band);
      if (!staysApartOfAll(moved, band, by)) continue;
      moved[band] = by;
      most = Math.max(most, Math.abs(by));
    }
    return most < LEVELS_MIN ? undefined : this.#drawn();
  }

  #median(band: number): number {
    const half = (this.#counts[band] as number) / 2;
    let below = 0;
    for (let bin = 0; bin < BINS; bin += 1) {
      const here = this.#bins[band * BINS + bin] as number;
      if (below + here >= half) return bin - STEP_MAX - 0.5 + (half - below) / here;
      below += here;
    }
    return 0;
  }

  /** The curve through the middles of the bands that can tell, level beyond the first and the last. */
  #drawn(): Float32Array {
    let from = -1;
    for (let band = 0; band < BANDS; band += 1) {
      const to = this.#bands[band] as number;
      if (Number.isNaN(to)) continue;
      const before = from < 0 ? to : (this.#bands[from] as number);
      const start = from < 0 ? 0 : middle(from);
      const end = middle(band);
      for (let level = start; level <= end; level += 1) {
        const share = end === start ? 1 : (level - start) / (end - start);
        this.#curve[level] = before + share * (to - before);
      }
      from = band;
    }
    this.#curve.fill(this.#bands[from] as number, middle(from));
    return this.#curve;
  }
}

/** `moved`: of each band, or not a number where it is not known. */
function staysApartOfAll(moved: Float64Array, band: number, by: number): boolean {
  for (let other = 0; other < moved.length; other += 1) {
    const otherBy = moved[other] as number;
    if (!Number.isNaN(otherBy) && !staysApart(other, otherBy, band, by)) return false;
  }
  return true;
}

/** Whether two bands that move by so many levels are still two. */
function staysApart(one: number, oneBy: number, other: number, otherBy: number): boolean {
  const a = middle(one) + oneBy;
  const b = middle(other) + otherBy;
  return Math.max(a, b) >= WHITE || (b - a) / (middle(other) - middle(one)) >= APART_MIN;
}

function middle(band: number): number {
  return band * BAND_LEVELS + BAND_LEVELS / 2;
}
