/**
 * What the ground looks like, cell by cell, and where it has come to look different for good.
 *
 * Two models of different speed (after Porikli, Ivanov, Haga, "Robust abandoned object detection using
 * dual foregrounds", 2008): `now` follows within a second and tells whether a cell rests; `ground` is
 * what was there before and learns from resting cells only while they look like it. A cell that rests
 * and differs from its ground is `changed`, since the moment it came to rest, and stays so while people
 * pass before it, until it rests again and looks like its ground.
 *
 * Before each comparison the models are taken over to the exposure of the picture (background-exposure):
 * automatic exposure, white balance and a cloud change nothing here.
 *
 * INVARIANTS: a cell under somebody's box neither learns nor changes; only `absorb` makes a changed cell
 * ground other than by its looking so again.
 */
import { MOVING, SETTLED } from '../../contract/picture.ts';
import { Exposure } from './background-exposure.ts';
import { CHANGED, COVERED, GROUND, type Planes, UNKNOWN } from './background-state.ts';
import type { SmallPicture } from './small-picture.ts';

/** A cell rests when it has looked the same for so long: longer than the pause of a walker between steps. */
const REST_MS = 1500;
/** Two frames at 5 a second: a rest is noticed so much later than it is complete. */
const TICKS_MS = 400;
/** Time constant of `now`: short enough to follow, long enough to average out a sensor's noise. */
const NOW_MS = 1000;
/** Time constant of `ground`: daylight moves by less than a level in this time. */
const GROUND_MS = 60_000;
/**
 * Least difference of brightness, of 255: codecs move a cell by up to 4 levels at a key frame, and 8 is
 * the contrast at which a person begins to see an edge (3 %, Weber).
 */
const LUMA_MIN = 8;
/** Colour is coded at half the resolution and a coarser scale; by day its noise is about 1.5 times as large. */
const CHROMA_SHARE = 1.6;
/** Mean absolute deviations of a normal distribution that hold 99.99 % of it. */
const DEVIATIONS = 5;
/** Time constant of the noise estimate. */
const NOISE_MS = 20_000;
/**
 * In the first frames, as many as a rest has, a cell's noise is that of the picture, of which most stands still: a sensor
 * at full gain would keep it from resting for a minute. At least this, levels.
 */
const FIRST_FRAMES = 8;
const FIRST_NOISE_MIN = 1;
const FIRST_SAMPLES = 1000;
/** Mean to median of a normal distribution's absolute deviations. */
const MEAN_TO_MEDIAN = 1.18;
/** A changed cell shows something else only when it differs from before by so many limits (a quarter of white). */
const OTHER_TIMES = 3;
/** A cell that came to rest differently so often, within this time, is a screen or a flag, not a wall. */
const RESTLESS_TIMES = 4;
const RESTLESS_MS = 600_000;

function planes(cells: number): Planes {
  return { red: new Float32Array(cells), green: new Float32Array(cells), blue: new Float32Array(cells) };
}

export class Background {
  readonly picture: SmallPicture;
  readonly ground: Planes;
  readonly now: Planes;
  /** The changed look of a cell; valid where the state is CHANGED. */
  readonly changed: Planes;
  /** UNKNOWN, GROUND or CHANGED. */
  readonly state: Uint8Array;
  /** Media time since which the cell has its changed look. */
  readonly changedMs: Float64Array;
  /** 1 where the cell rests now and is not covered. */
  readonly resting: Uint8Array;
  /** COVERED where somebody stands before the cell, BESIDE near him, else 0. */
  readonly covered: Uint8Array;
  readonly #nowMs: Float64Array;
  readonly #noise: Float32Array;
  /** A sensor at full gain errs by far more in colour than in brightness. */
  readonly #chromaNoise: Float32Array;
  /** Frames so far, up to `FIRST_FRAMES`. */
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
    this.changed = planes(cells);
    this.state = new Uint8Array(cells);
    this.changedMs = new Float64Array(cells);
    this.resting = new Uint8Array(cells);
    this.covered = new Uint8Array(cells);
    this.#nowMs = new Float64Array(cells);
    this.#noise = new Float32Array(cells).fill(FIRST_NOISE_MIN);
    this.#chromaNoise = new Float32Array(cells).fill(FIRST_NOISE_MIN);
    this.#turns = new Float32Array(cells);
    this.#turnedMs = new Float64Array(cells);
    this.#exposure = new Exposure();
  }

  /** Cells that differ from their ground for good. */
  get changedCells(): number {
    return this.#changedCells;
  }

  /** Takes the picture that was read last, seen at `atMs`; `covered` has been filled in for it. */
  update(atMs: number): void {
    const first = this.#atMs === undefined;
    const elapsedMs = first ? 0 : Math.min(REST_MS, Math.max(0, atMs - (this.#atMs as number)));
    this.#atMs = atMs;
    if (first) this.#firstMs = atMs;
    this.#expose();
    if (this.#frames > 0 && this.#frames <= FIRST_FRAMES) this.#hearAll();
    this.#frames = Math.min(this.#frames + 1, FIRST_FRAMES + 1);
    const { used } = this.picture.grid;
    const { red, green, blue } = this.picture;
    const { now, resting, covered } = this;
    const follow = first ? 1 : 1 - Math.exp(-elapsedMs / NOW_MS);
    const learn = 1 - Math.exp(-elapsedMs / GROUND_MS);
    const listen = 1 - Math.exp(-elapsedMs / NOISE_MS);
    let changedCells = 0;
    for (let k = 0; k < used.length; k += 1) {
      const i = used[k] as number;
      const dr = (red[i] as number) - (now.red[i] as number);
      const dg = (green[i] as number) - (now.green[i] as number);
      const db = (blue[i] as number) - (now.blue[i] as number);
      const dy = lumaBy(dr, dg, db);
      const dc = chromaBy(dr, dg, db);
      if (first || covered[i] === COVERED || dy > this.#lumaFrom(i) || dc > this.#chromaFrom(i)) {
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

  /** Fills in, for the picture that was taken last, which cells show something before their ground. */
  foreground(cells: Uint8Array): void {
    const { used } = this.picture.grid;
    for (let k = 0; k < used.length; k += 1) {
      const i = used[k] as number;
      cells[i] = this.#shownBy(i);
    }
  }

  #shownBy(i: number): number {
    const { picture, ground, changed, state } = this;
    if (this.resting[i] === 1) return state[i] === CHANGED ? SETTLED : 0;
    // What has never rested moves, but for the first moments, in which nothing could rest yet.
    if (state[i] === UNKNOWN) return (this.#nowMs[i] as number) > this.#firstMs ? MOVING : 0;
    if (!this.#differ(picture, ground, i)) return 0;
    return state[i] === CHANGED && !this.#differ(picture, changed, i) ? SETTLED : MOVING;
  }

  /** A camera's noise is alike in all of the picture, or nearly: it is known from one pair of frames. */
  #hearAll(): void {
    const { picture, now } = this;
    const { used } = picture.grid;
    const step = Math.max(1, Math.floor(used.length / FIRST_SAMPLES));
    const [luma, chroma]: [number[], number[]] = [[], []];
    for (let k = 0; k < used.length; k += step) {
      const i = used[k] as number;
      const dr = (picture.red[i] as number) - (now.red[i] as number);
      const dg = (picture.green[i] as number) - (now.green[i] as number);
      const db = (picture.blue[i] as number) - (now.blue[i] as number);
      luma.push(lumaBy(dr, dg, db));
      chroma.push(chromaBy(dr, dg, db));
    }
    this.#noise.fill(Math.max(FIRST_NOISE_MIN, MEAN_TO_MEDIAN * median(luma)));
    this.#chromaNoise.fill(Math.max(FIRST_NOISE_MIN, MEAN_TO_MEDIAN * median(chroma)));
  }

  /** Differences of brightness and of colour that are more than a cell's noise, levels. */
  #lumaFrom(i: number): number {
    return Math.max(LUMA_MIN, DEVIATIONS * (this.#noise[i] as number));
  }

  #chromaFrom(i: number): number {
    return Math.max(CHROMA_SHARE * this.#lumaFrom(i), DEVIATIONS * (this.#chromaNoise[i] as number));
  }

  /** What a cell shows now becomes its ground. */
  absorb(i: number): void {
    const { ground, now, changed } = this;
    // A covered or moving cell shows somebody; its changed look is what lies behind.
    const from = this.resting[i] === 1 || this.state[i] !== CHANGED ? now : changed;
    ground.red[i] = from.red[i] as number;
    ground.green[i] = from.green[i] as number;
    ground.blue[i] = from.blue[i] as number;
    if (this.state[i] === CHANGED) this.state[i] = GROUND;
  }

  /**
   * Takes the models over to the exposure and white balance of the picture that was read. Green is most of
   * the brightness and is asked each time; red and blue in turn, and both where green has moved.
   */
  #expose(): void {
    this.#exposures += 1;
    const moved = this.#exposeChannel('green');
    if (moved || this.#exposures % 2 === 0) this.#exposeChannel('red');
    if (moved || this.#exposures % 2 === 1) this.#exposeChannel('blue');
  }

  #exposeChannel(channel: keyof Planes): boolean {
    const { picture, ground, now, changed, state, covered } = this;
    const curve = this.#exposure.measure(picture, picture[channel], ground[channel], state, covered);
    if (curve === undefined) return false;
    const { used } = picture.grid;
    for (const model of [ground[channel], now[channel], changed[channel]]) {
      for (let k = 0; k < used.length; k += 1) {
        const i = used[k] as number;
        const level = model[i] as number;
        model[i] = level + (curve[Math.max(0, Math.min(255, Math.round(level)))] as number);
      }
    }
    return true;
  }

  #rest(i: number, atMs: number, learn: number): void {
    const { ground, now, changed, state } = this;
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
    if (state[i] === CHANGED && !this.#differ(now, changed, i)) {
      blend(changed, now, i, 0.1);
      return;
    }
    if (state[i] === CHANGED && !this.#differ(now, changed, i, OTHER_TIMES)) {
      // The same thing in another light.
      copy(now, changed, i);
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
    copy(now, changed, i);
    state[i] = CHANGED;
    // A slow change never leaves rest; it is a change from when it could be told.
    this.changedMs[i] = Math.max(this.#nowMs[i] as number, atMs - REST_MS - TICKS_MS);
  }

  #turnsAt(i: number, atMs: number): number {
    return (this.#turns[i] as number) * Math.exp(((this.#turnedMs[i] as number) - atMs) / RESTLESS_MS);
  }

  /** Whether they differ by so many times what a cell must. */
  #differ(a: Planes, b: Planes, i: number, times = 1): boolean {
    const dr = (a.red[i] as number) - (b.red[i] as number);
    const dg = (a.green[i] as number) - (b.green[i] as number);
    const db = (a.blue[i] as number) - (b.blue[i] as number);
    return (
      lumaBy(dr, dg, db) > times * this.#lumaFrom(i) || chromaBy(dr, dg, db) > times * this.#chromaFrom(i)
    );
  }
}

/** By how much brightness and colour differ where red, green and blue differ by so many levels. */
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

function blend(model: Planes, seen: Planes, i: number, share: number): void {
  model.red[i] = (model.red[i] as number) + share * ((seen.red[i] as number) - (model.red[i] as number));
  model.green[i] =
    (model.green[i] as number) + share * ((seen.green[i] as number) - (model.green[i] as number));
  model.blue[i] = (model.blue[i] as number) + share * ((seen.blue[i] as number) - (model.blue[i] as number));
}
