/**
 * Kalman filter of one box: centre x, centre y, width and height, each with a position and a velocity (R. E. Kalman,
 * 1960; as in Wojke, Bewley, Paulus, "Simple online and realtime tracking with a deep association metric", 2017, with
 * the width in place of the aspect ratio).
 *
 * All noise is per second, not per frame, so that one set of values serves 3 and 25 frames a second, jitter and gaps.
 * The process noise is white acceleration integrated over the real interval (Bar-Shalom, Li, Kirubarajan, "Estimation
 * with applications to tracking and navigation", 2001, section 6.2.2). The four axes are independent, hence 2 × 2
 * algebra and no matrix library.
 */
import type { XyxyPx } from '../../contract/geometry.ts';

/** Standard deviations, relative to the box's longer side. */
export interface MotionNoise {
  /** Deviation of the detector's box centre at a score of 0.7; see `doubt`. */
  readonly centre: number;
  /** Deviation of the detector's width and height, likewise. */
  readonly size: number;
  /** Time after which the detector's errors are nearly independent of the earlier ones, in s. */
  readonly correlationS: number;
  /** Deviation of a new track's velocity, per second. */
  readonly startVelocity: number;
  /** Deviation of the change of velocity in one second, per second. */
  readonly agility: number;
  /** Vertical velocity and agility, relative to the horizontal ones. */
  readonly verticalRatio: number;
  /** The same as `agility`, for width and height; also their initial velocity. */
  readonly sizeAgility: number;
}

/** Sizes of a box that the frame's edge cuts off. Such a size grows and shrinks as fast as the object moves. */
export interface CutSides {
  readonly width: boolean;
  readonly height: boolean;
}

/**
 * Returns the factor of the detector's errors at this score: 1 at 0.7 and 2 at 0.3 as measured, never below 0.3 (after
 * the NSA Kalman filter, Du et al., "GIAOTracker", 2021).
 */
function doubt(score: number): number {
  return Math.max(0.3, 1 + (0.7 - score) / 0.4);
}

/** One axis: position, velocity and their covariance. */
class Axis {
  position: number;
  velocity: number;
  #pp: number;
  #pv = 0;
  #vv: number;

  constructor(position: number, sigmaPosition: number, sigmaVelocity: number, velocity = 0) {
    this.position = position;
    this.velocity = velocity;
    this.#pp = sigmaPosition ** 2;
    this.#vv = sigmaVelocity ** 2;
  }

  /** `sigma` is the deviation of the change of velocity in one second. */
  predict(seconds: number, sigma: number): void {
    const density = sigma ** 2;
    this.position += this.velocity * seconds;
    this.#pp += seconds * (2 * this.#pv + seconds * this.#vv) + (density * seconds ** 3) / 3;
    this.#pv += seconds * this.#vv + (density * seconds ** 2) / 2;
    this.#vv += density * seconds;
  }

  /** Returns the squared distance of a measurement in standard deviations. */
  distance2(measured: number, variance: number): number {
    return (measured - this.position) ** 2 / (this.#pp + variance);
  }

  correct(measured: number, variance: number): void {
    const total = this.#pp + variance;
    const gainP = this.#pp / total;
    const gainV = this.#pv / total;
    const error = measured - this.position;
    this.position += gainP * error;
    this.velocity += gainV * error;
    this.#vv -= gainV * this.#pv;
    this.#pv -= gainP * this.#pv;
    this.#pp -= gainP * this.#pp;
  }
}

export class BoxFilter {
  readonly #noise: MotionNoise;
  readonly #x: Axis;
  readonly #y: Axis;
  readonly #w: Axis;
  readonly #h: Axis;
  #cutSides: CutSides;

  /** `expected` is the usual velocity at this place, in sizes of the box (its longer side) a second. */
  constructor(
    xyxyPx: XyxyPx,
    score: number,
    cutSides: CutSides,
    noise: MotionNoise,
    expected: readonly [number, number] = [0, 0],
  ) {
    this.#noise = noise;
    this.#cutSides = cutSides;
    const [x1, y1, x2, y2] = xyxyPx;
    const scale = Math.max(x2 - x1, y2 - y1);
    const centre = noise.centre * doubt(score) * scale;
    const size = noise.size * doubt(score) * scale;
    const velocity = noise.startVelocity * scale;
    this.#x = new Axis((x1 + x2) / 2, centre, velocity, expected[0] * scale);
    this.#y = new Axis((y1 + y2) / 2, centre, velocity * noise.verticalRatio, expected[1] * scale);
    this.#w = new Axis(x2 - x1, size, cutSides.width ? velocity : noise.sizeAgility * scale);
    this.#h = new Axis(y2 - y1, size, cutSides.height ? velocity : noise.sizeAgility * scale);
  }

  /** Moves the state on by `seconds` ≥ 0. */
  predict(seconds: number): void {
    const { agility, verticalRatio, sizeAgility, startVelocity } = this.#noise;
    const scale = this.#scalePx;
    this.#x.predict(seconds, agility * scale);
    this.#y.predict(seconds, agility * verticalRatio * scale);
    this.#w.predict(seconds, (this.#cutSides.width ? startVelocity : sizeAgility) * scale);
    this.#h.predict(seconds, (this.#cutSides.height ? startVelocity : sizeAgility) * scale);
  }

  /** Stops the change of size during a missed detection, unless the object is entering or leaving. */
  holdSize(): void {
    if (!this.#cutSides.width) this.#w.velocity = 0;
    if (!this.#cutSides.height) this.#h.velocity = 0;
  }

  /** Returns the squared Mahalanobis distance of a detection, four degrees of freedom. */
  distance2(xyxyPx: XyxyPx, score: number): number {
    const x1 = xyxyPx[0];
    const y1 = xyxyPx[1];
    const x2 = xyxyPx[2];
    const y2 = xyxyPx[3];
    const variance = (doubt(score) * this.#scalePx) ** 2;
    const centre = variance * this.#noise.centre ** 2;
    const size = variance * this.#noise.size ** 2;
    return (
      this.#x.distance2((x1 + x2) / 2, centre) +
      this.#y.distance2((y1 + y2) / 2, centre) +
      this.#w.distance2(x2 - x1, size) +
      this.#h.distance2(y2 - y1, size)
    );
  }

  /** Corrects the state by a detection, `seconds` > 0 after the previous one. */
  correct(xyxyPx: XyxyPx, score: number, cutSides: CutSides, seconds: number): void {
    this.#cutSides = cutSides;
    const x1 = xyxyPx[0];
    const y1 = xyxyPx[1];
    const x2 = xyxyPx[2];
    const y2 = xyxyPx[3];
    // Errors with autocorrelation ρ carry as little information as independent ones of (1 + ρ) / (1 − ρ) times the
    // variance.
    const rho = Math.exp(-seconds / this.#noise.correlationS);
    const variance = ((doubt(score) * this.#scalePx) ** 2 * (1 + rho)) / (1 - rho);
    const centre = variance * this.#noise.centre ** 2;
    const size = variance * this.#noise.size ** 2;
    this.#x.correct((x1 + x2) / 2, centre);
    this.#y.correct((y1 + y2) / 2, centre);
    this.#w.correct(x2 - x1, size);
    this.#h.correct(y2 - y1, size);
  }

  /** Sides are at least 1 px. */
  get xyxyPx(): XyxyPx {
    const halfW = Math.max(this.#w.position, 1) / 2;
    const halfH = Math.max(this.#h.position, 1) / 2;
    const x = this.#x.position;
    const y = this.#y.position;
    return [x - halfW, y - halfH, x + halfW, y + halfH];
  }

  get velocityPxPerS(): readonly [number, number] {
    return [this.#x.velocity, this.#y.velocity];
  }

  /** The longer side: a box cut off by the frame's edge keeps it, and for an upright person it is the height. */
  get #scalePx(): number {
    return Math.max(this.#w.position, this.#h.position, 1);
  }
}
