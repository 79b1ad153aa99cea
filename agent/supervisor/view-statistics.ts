/**
 * Measures, from the tracks alone, how large people appear and how far objects move between two detector runs.
 *
 * LIMITS: 512 tracks at a time. Counts are halved at `COUNTED_MAX`, so that the statistics follow a camera that was
 * turned.
 */
import type { Config } from '../contract/config.ts';
import type { SizePx } from '../contract/geometry.ts';
import type { Observation, ObservedTrack } from '../contract/observation.ts';
import type { ViewReport } from '../contract/view-report.ts';

/** Bins of a hundredth of the frame's height, which is finer than a box jitters. */
const HEIGHT_BINS = 100;
/** Bins of a twentieth of a box's longer side, up to three sides. The tracker follows nothing beyond. */
const STEP_BINS = 60;
const STEP_BIN = 0.05;
/** Equals some hours of detector runs in a busy street. Rarer events are remembered longer. */
const COUNTED_MAX = 100_000;
/** Same as in the tracker: an object detected twice may be a flicker. */
const SIGHTINGS_MIN = 3;

interface TrackEntry {
  readonly group: ObservedTrack['group'];
  sightings: number;
  /** Steps between consecutive detector runs, in longer sides. */
  steps: number;
  stepSum: number;
  x: number;
  y: number;
  frame: number;
}

/** Values from the configuration, or from the settings that vision got. */
export interface Configured {
  readonly detector: Pick<Config['detector'], 'input'>;
  readonly camera?: { readonly fps: number | null } | undefined;
}

export class ViewStatistics {
  readonly #configured: Pick<ViewReport, 'input' | 'fps'>;
  readonly #heights = new Float64Array(HEIGHT_BINS);
  readonly #steps = new Float64Array(STEP_BINS);
  #tracks = new Map<number, TrackEntry>();
  #source: SizePx | undefined;
  #inferences = 0;

  constructor({ detector, camera }: Configured) {
    this.#configured = { input: detector.input, fps: camera?.fps ?? null };
  }

  /** Adds an observation. A frame without a detector run is ignored. */
  observe({ looked: detectorRan, tracks, source }: Observation): void {
    if (detectorRan === false) return;
    this.#inferences += 1;
    this.#source = source;
    const nextTracks = new Map<number, TrackEntry>();
    for (const track of tracks) {
      const previous = this.#tracks.get(track.id);
      nextTracks.set(
        track.id,
        track.seen || previous === undefined ? this.#addSighting(track, previous, source) : previous,
      );
    }
    for (const [id, one] of this.#tracks) if (!nextTracks.has(id)) this.#count(one);
    this.#tracks = nextTracks;
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

  #addSighting(
    { group, xyxyNorm, ground }: ObservedTrack,
    previous: TrackEntry | undefined,
    source: SizePx,
  ): TrackEntry {
    const aspect = source.widthPx / source.heightPx;
    const height = xyxyNorm[3] - xyxyNorm[1];
    const [x, y] = [ground[0] * aspect, ground[1]];
    const entry = previous ?? { group, sightings: 0, steps: 0, stepSum: 0, x, y, frame: 0 };
    if (group === 'person') add(this.#heights, height * HEIGHT_BINS);
    const side = Math.max(height, (xyxyNorm[2] - xyxyNorm[0]) * aspect);
    if (entry.frame === this.#inferences - 1 && side > 0) {
      entry.steps += 1;
      entry.stepSum += Math.hypot(x - entry.x, y - entry.y) / side;
    }
    entry.sightings += 1;
    entry.x = x;
    entry.y = y;
    entry.frame = this.#inferences;
    return entry;
  }

  /** Counts each object once, however long it stays, because fast objects are seen only a few times. */
  #count({ group, sightings, steps, stepSum }: TrackEntry): void {
    const moves = group === 'person' || group === 'vehicle' || group === 'cycle';
    if (moves && sightings >= SIGHTINGS_MIN && steps > 0) add(this.#steps, stepSum / steps / STEP_BIN);
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

/** Returns the bin in which the given ratio of the counts is reached. */
function quantile(bins: Float64Array, ratio: number): number {
  let remaining = ratio * sum(bins);
  for (let bin = 0; bin < bins.length; bin += 1) {
    remaining -= bins[bin] as number;
    if (remaining < 0) return bin;
  }
  return bins.length - 1;
}
