/**
 * How large people are in the picture and how far things move between two looks, from the tracks alone.
 *
 * LIMITS: 512 tracks at a time; counts are halved at `COUNTED_MAX`, so that the figures follow a camera that was turned.
 */
import type { Config } from '../contract/config.ts';
import type { SizePx } from '../contract/geometry.ts';
import type { Observation, ObservedTrack } from '../contract/observation.ts';
import type { ViewReport } from '../contract/view-report.ts';

/** A hundredth of the frame's height: finer than a box jitters. */
const HEIGHT_BINS = 100;
/** Twentieths of a longer side, up to three sides: further nothing is followed. */
const STEP_BINS = 60;
const STEP_BIN = 0.05;
/** Some hours of a busy street's looks; what is rarer is remembered for longer. */
const COUNTED_MAX = 100_000;
/** As the tracker: what was found twice may be a flicker. */
const LOOKS_MIN = 3;

interface Followed {
  readonly group: ObservedTrack['group'];
  looks: number;
  /** Ways between two looks that follow each other, in longer sides. */
  steps: number;
  stepSum: number;
  x: number;
  y: number;
  frame: number;
}

/** Of the configuration, or of the settings that vision got. */
export interface Configured {
  readonly detector: Pick<Config['detector'], 'input'>;
  readonly camera?: { readonly fps: number | null } | undefined;
}

export class ViewStatistics {
  readonly #configured: Pick<ViewReport, 'input' | 'fps'>;
  readonly #heights = new Float64Array(HEIGHT_BINS);
  readonly #steps = new Float64Array(STEP_BINS);
  #followed = new Map<number, Followed>();
  #source: SizePx | undefined;
  #looks = 0;

  constructor({ detector, camera }: Configured) {
    this.#configured = { input: detector.input, fps: camera?.fps ?? null };
  }

  /** Takes an observation in; a frame that nobody looked at says nothing. */
  observe({ looked, tracks, source }: Observation): void {
    if (looked === false) return;
    this.#looks += 1;
    this.#source = source;
    const followed = new Map<number, Followed>();
    for (const track of tracks) {
      const known = this.#followed.get(track.id);
      followed.set(track.id, track.seen || known === undefined ? this.#seen(track, known, source) : known);
    }
    for (const [id, one] of this.#followed) if (!followed.has(id)) this.#count(one);
    this.#followed = followed;
  }

  get report(): ViewReport {
    const people = sum(this.#heights);
    const tenth = people === 0 ? 0 : (quantile(this.#heights, 0.1) + 0.5) / HEIGHT_BINS;
    const half = people === 0 ? 0 : (quantile(this.#heights, 0.5) + 0.5) / HEIGHT_BINS;
    const moving = sum(this.#steps);
    return {
      ...this.#configured,
      people: Math.round(people),
      heightTenthNorm: tenth,
      heightHalfNorm: half,
      source: this.#source ?? null,
      moving: Math.round(moving),
      stepNineTenths:
        moving === 0 ? 0 : Math.round(100 * (quantile(this.#steps, 0.9) + 0.5) * STEP_BIN) / 100,
    };
  }

  #seen({ group, xyxyNorm, ground }: ObservedTrack, known: Followed | undefined, source: SizePx): Followed {
    const aspect = source.widthPx / source.heightPx;
    const height = xyxyNorm[3] - xyxyNorm[1];
    const [x, y] = [ground[0] * aspect, ground[1]];
    const followed = known ?? { group, looks: 0, steps: 0, stepSum: 0, x, y, frame: 0 };
    if (group === 'person') add(this.#heights, height * HEIGHT_BINS);
    const side = Math.max(height, (xyxyNorm[2] - xyxyNorm[0]) * aspect);
    if (followed.frame === this.#looks - 1 && side > 0) {
      followed.steps += 1;
      followed.stepSum += Math.hypot(x - followed.x, y - followed.y) / side;
    }
    followed.looks += 1;
    followed.x = x;
    followed.y = y;
    followed.frame = this.#looks;
    return followed;
  }

  /** Each thing once, however long it stays: what is fast is seen a few times only. */
  #count({ group, looks, steps, stepSum }: Followed): void {
    const moves = group === 'person' || group === 'vehicle' || group === 'cycle';
    if (moves && looks >= LOOKS_MIN && steps > 0) add(this.#steps, stepSum / steps / STEP_BIN);
  }
}

function add(bins: Float64Array, at: number): void {
  if (sum(bins) >= COUNTED_MAX) for (let i = 0; i < bins.length; i += 1) bins[i] = (bins[i] as number) / 2;
  const bin = Math.min(bins.length - 1, Math.max(0, Math.floor(at)));
  bins[bin] = (bins[bin] as number) + 1;
}

function sum(bins: Float64Array): number {
  return bins.reduce((total, count) => total + count, 0);
}

/** The bin below whose end the share of the counts lies. */
function quantile(bins: Float64Array, share: number): number {
  let left = share * sum(bins);
  for (let bin = 0; bin < bins.length; bin += 1) {
    left -= bins[bin] as number;
    if (left < 0) return bin;
  }
  return bins.length - 1;
}
