/**
 * Models the ground cell by cell, and detects where it has come to look different permanently.
 *
 * Two models have different speeds (after Porikli, Ivanov, Haga, "Robust abandoned object detection using dual
 * foregrounds", 2008). `now` follows within a second and shows whether a cell rests. `ground` is the previous
 * appearance; it learns from resting cells only while they look like it.
 *
 * A resting cell that differs from its ground is `changed`, from the moment it came to rest. It stays so while people
 * pass in front, until it rests again and looks like its ground.
 *
 * Before each comparison the models are converted to the picture's exposure (background-exposure). So automatic
 * exposure, white balance and clouds have no effect here.
 *
 * INVARIANTS:
 * - A cell under an object's box neither learns nor changes.
 * - A changed cell becomes ground only by looking like it again, or by `absorb`.
 */
import { MOVING, SETTLED } from '../../contract/picture.ts';
import { Exposure } from './background-exposure.ts';
import { CHANGED, GROUND, OCCLUDED, type Planes, UNKNOWN } from './background-state.ts';
import type { SmallPicture } from './small-picture.ts';

/** Time of the same appearance after which a cell rests, in ms; longer than a walker pauses between steps. */
const REST_MS = 1500;
/** Two frames at 5 a second, in ms: the delay until a complete rest is noticed. */
const TICKS_MS = 400;
/** Time constant of `now`, in ms: short enough to follow, long enough to average out a sensor's noise. */
const NOW_MS = 1000;
/** Time constant of `ground`, in ms; daylight changes by less than a level in this time. */
const GROUND_MS = 60_000;
/**
 * Smallest difference of luma, of 255. Codecs change a cell by up to 4 levels at a key frame. 8 is the contrast at
 * which a person begins to see an edge (3 %, Weber).
 */
const LUMA_MIN = 8;
/**
 * Ratio of the chroma limit to the luma limit. Chroma is coded at half the resolution and a coarser scale; by day its
 * noise is about 1.5 times as large.
 */
const CHROMA_RATIO = 1.6;
/** Limit in mean absolute deviations, which hold 99.99 % of a normal distribution. */
const DEVIATIONS = 5;
/** Time constant of the noise estimate, in ms. */
const NOISE_MS = 20_000;
/**
 * First frames, as many as a rest has, in which a cell uses the noise of the complete picture, most of which is still.
 * Otherwise a sensor at full gain would keep it from resting for a minute. The noise is at least FIRST_NOISE_MIN
 * levels.
 */
const FIRST_FRAMES = 8;
const FIRST_NOISE_MIN = 1;
const FIRST_SAMPLES = 1000;
/** Ratio of mean to median of a normal distribution's absolute deviations. */
const MEAN_TO_MEDIAN = 1.18;
/** Multiple of the limits from which a changed cell shows another object. */
const OTHER_TIMES = 3;
/** Different rests within this time (ms) from which a cell is a screen or a flag, not a wall. */
const RESTLESS_TIMES = 4;
const RESTLESS_MS = 600_000;

function planes(cells: number): Planes {
  return { red: new Float32Array(cells), green: new Float32Array(cells), blue: new Float32Array(cells) };
}

export class Background {
  readonly picture: SmallPicture;
  readonly ground: Planes;
  readonly now: Planes;
  /** Changed appearance of a cell; valid where the state is CHANGED. */
  readonly changedPlanes: Planes;
  /** UNKNOWN, GROUND or CHANGED. */
  readonly state: Uint8Array;
  /** Media time since which the cell has its changed appearance. */
  readonly changedMs: Float64Array;
  /** 1 where the cell rests now and is not covered. */
  readonly resting: Uint8Array;
  /** COVERED where an object is in front of the cell, BESIDE_OBJECT near it, else 0. */
  readonly occlusion: Uint8Array;
  readonly #nowMs: Float64Array;
  readonly #noise: Float32Array;
  /** A sensor at full gain has far more chroma noise than luma noise. */
  readonly #chromaNoise: Float32Array;
  /** Number of frames, up to `FIRST_FRAMES`. */
  #frames = 0;
  readonly #turns: Float32Array;
  readonly #turnedMs: Float64Array;
  readonly #exposure: Exposure;
  #atMs: number | undefined;
  #firstMs = 0;
  #changedCells = 0;
  #exposures = 0;

  constructor(picture: SmallPicture) {
    const cells = picture.red.length;
    this.picture = picture;
    this.ground = planes(cells);
    this.now = planes(cells);
    this.changedPlanes = planes(cells);
    this.state = new Uint8Array(cells);
    this.changedMs = new Float64Array(cells);
    this.resting = new Uint8Array(cells);
    this.occlusion = new Uint8Array(cells);
    this.#nowMs = new Float64Array(cells);
    this.#noise = new Float32Array(cells).fill(FIRST_NOISE_MIN);
    this.#chromaNoise = new Float32Array(cells).fill(FIRST_NOISE_MIN);
    this.#turns = new Float32Array(cells);
    this.#turnedMs = new Float64Array(cells);
    this.#exposure = new Exposure();
  }

  /** Cells that differ from their ground permanently. */
  get changedCells(): number {
    return this.#changedCells;
  }

  /** Takes the last read picture, seen at `atMs`; the hidden cells must already be filled in for it. */
  update(atMs: number): void {
    const first = this.#atMs === undefined;
    const elapsedMs = first ? 0 : Math.min(REST_MS, Math.max(0, atMs - (this.#atMs as number)));
    this.#atMs = atMs;
    if (first) this.#firstMs = atMs;
    this.#expose();
    if (this.#frames > 0 && this.#frames <= FIRST_FRAMES) this.#hearAll();
    this.#frames = Math.min(this.#frames + 1, FIRST_FRAMES + 1);
    const { usedCells } = this.picture.grid;
    const { red, green, blue } = this.picture;
    const { now, resting, occlusion } = this;
    const follow = first ? 1 : 1 - Math.exp(-elapsedMs / NOW_MS);
    const learn = 1 - Math.exp(-elapsedMs / GROUND_MS);
    const listen = 1 - Math.exp(-elapsedMs / NOISE_MS);
    let changedCells = 0;
    for (let k = 0; k < usedCells.length; k += 1) {
      const i = usedCells[k] as number;
      const dr = (red[i] as number) - (now.red[i] as number);
      const dg = (green[i] as number) - (now.green[i] as number);
      const db = (blue[i] as number) - (now.blue[i] as number);
      const dy = lumaBy(dr, dg, db);
      const dc = chromaBy(dr, dg, db);
      if (first || occlusion[i] === OCCLUDED || dy > this.#lumaFrom(i) || dc > this.#chromaFrom(i)) {
        copy(this.picture, now, i);
        this.#nowMs[i] = atMs;
        resting[i] = 0;
      } else {
        now.red[i] = (now.red[i] as number) + follow * dr;
        now.green[i] = (now.green[i] as number) + follow * dg;
        now.blue[i] = (now.blue[i] as number) + follow * db;
        this.#noise[i] = (this.#noise[i] as number) + listen * (dy - (this.#noise[i] as number));
        this.#chromaNoise[i] =
          (this.#chromaNoise[i] as number) + listen * (dc - (this.#chromaNoise[i] as number));
        const rests = atMs - (this.#nowMs[i] as number) >= REST_MS;
        resting[i] = rests ? 1 : 0;
        if (rests) this.#rest(i, atMs, learn);
      }
      if (this.state[i] === CHANGED) changedCells += 1;
    }
    this.#changedCells = changedCells;
  }

  /** Writes which cells of the last picture show something in front of their ground. */
  foreground(cells: Uint8Array): void {
    const { usedCells } = this.picture.grid;
    for (let k = 0; k < usedCells.length; k += 1) {
      const i = usedCells[k] as number;
      cells[i] = this.#shownBy(i);
    }
  }

  #shownBy(i: number): number {
    const { picture, ground, changedPlanes, state } = this;
    if (this.resting[i] === 1) return state[i] === CHANGED ? SETTLED : 0;
    // A cell that has never rested is moving, except in the first moments, when no cell could rest yet.
    if (state[i] === UNKNOWN) return (this.#nowMs[i] as number) > this.#firstMs ? MOVING : 0;
    if (!this.#differ(picture, ground, i)) return 0;
    return state[i] === CHANGED && !this.#differ(picture, changedPlanes, i) ? SETTLED : MOVING;
  }

  /**
   * Measures the noise from one pair of frames, because a camera's noise is nearly the same in the complete picture.
   */
  #hearAll(): void {
    const { picture, now } = this;
    const { usedCells } = picture.grid;
    const step = Math.max(1, Math.floor(usedCells.length / FIRST_SAMPLES));
    const [luma, chroma]: [number[], number[]] = [[], []];
    for (let k = 0; k < usedCells.length; k += step) {
      const i = usedCells[k] as number;
      const dr = (picture.red[i] as number) - (now.red[i] as number);
      const dg = (picture.green[i] as number) - (now.green[i] as number);
      const db = (picture.blue[i] as number) - (now.blue[i] as number);
      luma.push(lumaBy(dr, dg, db));
      chroma.push(chromaBy(dr, dg, db));
    }
    this.#noise.fill(Math.max(FIRST_NOISE_MIN, MEAN_TO_MEDIAN * median(luma)));
    this.#chromaNoise.fill(Math.max(FIRST_NOISE_MIN, MEAN_TO_MEDIAN * median(chroma)));
  }

  /** Returns the luma and chroma differences that exceed a cell's noise, in levels. */
  #lumaFrom(i: number): number {
    return Math.max(LUMA_MIN, DEVIATIONS * (this.#noise[i] as number));
  }

  #chromaFrom(i: number): number {
    return Math.max(CHROMA_RATIO * this.#lumaFrom(i), DEVIATIONS * (this.#chromaNoise[i] as number));
  }

  /** Makes the present appearance of a cell its ground. */
  absorb(i: number): void {
    const { ground, now, changedPlanes } = this;
    // A covered or moving cell shows another object; its changed appearance lies behind that.
    const from = this.resting[i] === 1 || this.state[i] !== CHANGED ? now : changedPlanes;
    ground.red[i] = from.red[i] as number;
    ground.green[i] = from.green[i] as number;
    ground.blue[i] = from.blue[i] as number;
    if (this.state[i] === CHANGED) this.state[i] = GROUND;
  }

  /**
   * Converts the models to the exposure and white balance of the picture. Green is most of the luma and is measured
   * each time. Red and blue are measured alternately, and both if green has changed.
   */
  #expose(): void {
    this.#exposures += 1;
    const hasGreenChanged = this.#exposeChannel('green');
    if (hasGreenChanged || this.#exposures % 2 === 0) this.#exposeChannel('red');
    if (hasGreenChanged || this.#exposures % 2 === 1) this.#exposeChannel('blue');
  }

  #exposeChannel(channel: keyof Planes): boolean {
    const { picture, ground, now, changedPlanes, state, occlusion } = this;
    const curve = this.#exposure.measure(picture, picture[channel], ground[channel], state, occlusion);
    if (curve === undefined) return false;
    const { usedCells } = picture.grid;
    for (const model of [ground[channel], now[channel], changedPlanes[channel]]) {
      for (let k = 0; k < usedCells.length; k += 1) {
        const i = usedCells[k] as number;
        const level = model[i] as number;
        model[i] = level + (curve[Math.max(0, Math.min(255, Math.round(level)))] as number);
      }
    }
    return true;
  }

  #rest(i: number, atMs: number, learn: number): void {
    const { ground, now, changedPlanes, state } = this;
    if (state[i] === UNKNOWN) {
      copy(now, ground, i);
      state[i] = GROUND;
      return;
    }
    if (!this.#differ(now, ground, i)) {
      blend(ground, now, i, learn);
      state[i] = GROUND;
      return;
    }
    if (state[i] === CHANGED && !this.#differ(now, changedPlanes, i)) {
      blend(changedPlanes, now, i, 0.1);
      return;
    }
    if (state[i] === CHANGED && !this.#differ(now, changedPlanes, i, OTHER_TIMES)) {
      // The same object in another light.
      copy(now, changedPlanes, i);
      return;
    }
    const turns = this.#turnsAt(i, atMs) + 1;
    this.#turns[i] = turns;
    this.#turnedMs[i] = atMs;
    if (turns > RESTLESS_TIMES) {
      copy(now, ground, i);
      state[i] = GROUND;
      return;
    }
    copy(now, changedPlanes, i);
    state[i] = CHANGED;
    // A slow change never leaves rest; it counts from when it was detectable.
    this.changedMs[i] = Math.max(this.#nowMs[i] as number, atMs - REST_MS - TICKS_MS);
  }

  #turnsAt(i: number, atMs: number): number {
    return (this.#turns[i] as number) * Math.exp(((this.#turnedMs[i] as number) - atMs) / RESTLESS_MS);
  }

  /** Reports whether two cells differ by `times` their limits. */
  #differ(a: Planes, b: Planes, i: number, times = 1): boolean {
    const dr = (a.red[i] as number) - (b.red[i] as number);
    const dg = (a.green[i] as number) - (b.green[i] as number);
    const db = (a.blue[i] as number) - (b.blue[i] as number);
    return (
      lumaBy(dr, dg, db) > times * this.#lumaFrom(i) || chromaBy(dr, dg, db) > times * this.#chromaFrom(i)
    );
  }
}

/** Returns the luma and chroma differences for differences of red, green and blue, in levels. */
function lumaBy(dr: number, dg: number, db: number): number {
  return Math.abs(0.25 * (dr + 2 * dg + db));
}

function chromaBy(dr: number, dg: number, db: number): number {
  return Math.abs(dr - dg) + Math.abs(db - dg);
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

function copy(from: Planes, to: Planes, i: number): void {
  to.red[i] = from.red[i] as number;
  to.green[i] = from.green[i] as number;
  to.blue[i] = from.blue[i] as number;
}

function blend(model: Planes, present: Planes, i: number, ratio: number): void {
  model.red[i] = (model.red[i] as number) + ratio * ((present.red[i] as number) - (model.red[i] as number));
  model.green[i] =
    (model.green[i] as number) + ratio * ((present.green[i] as number) - (model.green[i] as number));
  model.blue[i] =
    (model.blue[i] as number) + ratio * ((present.blue[i] as number) - (model.blue[i] as number));
}
