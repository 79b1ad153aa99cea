/**
 * Evaluates whether the camera is usable: frozen, covered, too dark, moved, blind or defocused.
 *
 *   Frame ─▶ window of 2.4 s (condition-picture) ─▶ compared with the learnt view (condition-view) ─▶ conditions
 *                         └─▶ haze, or objects pass undetected (blindness) ─▶ cannot-see, blind zones
 *
 * The view is learnt from the first 20 s and follows slowly. It stops following when the picture changes suddenly; it
 * is then the reference for a return.
 *
 * A camera that has moved stays so until its old view is back or a person confirms the new one, also over restarts.
 * Outside of vision, only the signature (condition-signature.ts) identifies the view.
 *
 * INVARIANTS:
 * - Times are media times.
 * - At most one condition is active, the first of the list that holds. In addition, `moved` is active while it awaits
 *   confirmation.
 * LIMITS: two frames a second are evaluated. If fewer than `TELLING_MIN` blocks have edges (a dark or empty picture),
 * only `frozen` and `too-dark` are detected. Slow changes are learnt, not reported.
 */

import type { CameraCondition } from '../../contract/condition.ts';
import type { ZoneConfig } from '../../contract/config.ts';
import type { SizePx } from '../../contract/geometry.ts';
import type { KnownView } from '../../contract/link.ts';
import type { Detection, Foreground, Frame } from '../../contract/picture.ts';
import { Blindness } from './blindness.ts';
import { assess, BEGINS_MS, newAssessment, noteSound, WINDOW_MS } from './condition-assessment.ts';
import type { Light } from './condition-light.ts';
import { ConditionPicture } from './condition-picture.ts';
import { isSameView } from './condition-signature.ts';
import { type Comparison, View } from './condition-view.ts';
import type { UnclassifiedObject } from './unclassified-motion.ts';

/** Interval of the evaluated frames, in ms; the shortest required time is 10 s. */
const TICK_MS = 480;
const FRAMES_MIN = 2;
/** Windows after which the view is learnt: 20 s. */
const LEARNT_WINDOWS = 8;
/** Time constant of the view, in ms. The sun's shadows move by a pixel in it, and dusk takes ten times as long. */
const VIEW_MS = 120_000;
/** Usable blocks required: a sixth of the picture. */
const TELLING_MIN = 8;
/**
 * Ratio of blocks with their edges from which the picture is the view, and up to which it is another; neither in
 * between.
 */
const KEPT_MOST = 0.6;
const KEPT_FEW = 0.3;
/** Time within which a change is sudden, in ms; dusk, fog and snow take longer. */
const AT_ONCE_MS = 10_000;
/**
 * Ratios of edge energy at which structure is lost, and at which it is back. A hand leaves under 1 %, a patterned cloth
 * out of focus 15 %.
 */
const LOST_ENERGY = 0.2;
const BACK_ENERGY = 0.3;
/** Ratio of edge energy from which it is another view, with its own edges. Large objects that drive off leave fewer. */
const MOVED_ENERGY = 0.4;
/** Limits of defocus. It leaves the coarse levels in place (0.8 and more); a covered lens does not. */
const COARSE_KEPT = 0.6;
const BLURRED_MOST = 0.8;
const BLURRED_FEW = 0.5;
/**
 * Level below which 19 of 20 cells lie in the dark: a tenth of white. A person in that light differs by a few levels
 * from the ground.
 */
const DARK_LEVEL = 24;
const BRIGHT_LEVEL = 32;
const BRIGHT_RATIO = 0.05;
/** Hazy windows before most edges vanished that make haze the cause: 5 s, in which a hand has come and gone. */
const HAZY_BEFORE = 3;
/** Time after which a picture that is neither covered nor another view becomes the view, in ms. */
const ADOPTED_MS = 600_000;
/** Interval of sending the view's data again, in ms, because it changes with the light. */
const TOLD_EVERY_MS = 600_000;
/** Ratio from which the picture has another shape: more than the rounding of a size to even numbers. */
const SAME_ASPECT = 0.02;
/**
 * Time until another shape requires a technician, in ms. A damaged stream can claim any shape until its next key frame,
 * usually within 10 s. It is reported at once in any case.
 */
const PASSING_MS = 15_000;
/** Gap after which the view is learnt again, in ms, because the light may have changed. */
const GAP_MAX_MS = 600_000;

/**
 * Limits for people and vehicles in front of the camera: minimum score (more than half of such detections are true) and
 * ratio of the picture that they fill. The parts that they hide are neither covered nor moved.
 */
const NAMED_SCORE_MIN = 0.3;
const NAMED_RATIO_MIN = 0.25;

export interface ConditionOptions {
  /** View known from before this process. */
  readonly knownView?: KnownView | undefined;
  readonly zones?: readonly Pick<ZoneConfig, 'id' | 'polygon'>[];
}

/** Observer's data of a frame beside its pixels and detections. */
export interface ObserverData {
  /** False if the detections are from an earlier frame. */
  readonly detectorRan: boolean;
  readonly foreground: Foreground | undefined;
}

/** Data that identifies the view; replaced, never changed. */
interface Knowledge {
  /** Signature of the view before it had to be learnt again; compared once, after learning. */
  readonly signature: string | undefined;
  readonly aspect: number | undefined;
  /** True if the view differs from the known one and is not confirmed. */
  readonly unconfirmed: boolean;
  /** Time when it was last sent. */
  readonly toldMs: number;
}

/** Frames of one size that are being accumulated. */
interface Gathering {
  readonly size: string;
  readonly picture: ConditionPicture;
  sinceMs: number;
}

const NEVER_MS = Number.NEGATIVE_INFINITY;

export class CameraConditions {
  #assessment = newAssessment(new View(0), new View(0), NEVER_MS);
  #knowledge: Knowledge;
  #gathering: Gathering | undefined;
  /** Another shape that has not lasted long. */
  #passing: { readonly size: string; readonly aspect: number; readonly sinceMs: number } | undefined;
  #toTell: KnownView | undefined;
  #tickMs: number | undefined;
  /** Time when a named object last filled the picture. */
  #namedMs = NEVER_MS;
  readonly #blindness: Blindness;
  /** Hazy windows in a row. */
  #hazyWindows = 0;

  constructor({ knownView, zones = [] }: ConditionOptions = {}) {
    this.#blindness = new Blindness({ zones });
    this.#knowledge = {
      signature: knownView?.signature ?? undefined,
      aspect: knownView?.aspect,
      unconfirmed: knownView?.moved ?? false,
      toldMs: NEVER_MS,
    };
  }

  /** Returns the view's data when it is due to be sent; otherwise undefined. */
  viewToTell(): KnownView | undefined {
    const view = this.#toTell;
    this.#toTell = undefined;
    return view;
  }

  /** True if no condition is active or has begun; then one picture in two seconds suffices. */
  get settled(): boolean {
    const { active, upset, sinceMs } = this.#assessment;
    return active === undefined && !upset && sinceMs.size === 0 && this.#passing === undefined;
  }

  /** Undefined while unknown. */
  get light(): Light | undefined {
    return this.#blindness.light;
  }

  /** Moving objects that are not named. */
  get unknown(): UnclassifiedObject[] {
    return this.#blindness.unknown;
  }

  /** Blind zones, as long as no condition states the same of the complete picture. */
  get blindZones(): string[] {
    return this.#assessment.active === undefined || this.#assessment.active === 'defocused'
      ? this.#blindness.zones
      : [];
  }

  /** Takes a person's confirmation that the zones are valid in the new view. */
  confirm(): void {
    this.#blindness.forget();
    const aspect = this.#passing?.aspect ?? this.#knowledge.aspect;
    this.#passing = undefined;
    const { active, view, other } = this.#assessment;
    if (active === 'moved') this.#assessment = newAssessment(other, view, this.#tickMs ?? 0);
    this.#knowledge = { signature: undefined, aspect, unconfirmed: false, toldMs: NEVER_MS };
  }

  /** Takes the next frame and its detections; returns the active conditions. */
  update(frame: Frame, detections: readonly Detection[], observerData?: ObserverData): CameraCondition[] {
    const { atMs, source } = frame;
    if (this.#isPassing(frame)) return this.#activeConditions(true);
    if (observerData !== undefined) this.#blindness.see({ ...observerData, detections }, source, atMs);
    if (namedRatio(detections, source) >= NAMED_RATIO_MIN) this.#namedMs = atMs;
    const elapsedMs = atMs - (this.#tickMs ?? atMs);
    if (this.#tickMs === undefined || elapsedMs >= TICK_MS || sizeOf(source) !== this.#gathering?.size) {
      const gathering = this.#gatheringFor(frame, elapsedMs);
      this.#tickMs = atMs;
      const { picture } = gathering;
      const sameMs = picture.add(frame);
      const { active, sinceMs } = this.#assessment;
      // A dark or white picture cannot be recognised as frozen, because noise is clipped at both ends.
      const unlit = active === 'covered' || active === 'too-dark' || sinceMs.has('too-dark');
      const dark = unlit || active === 'cannot-see' || sinceMs.has('cannot-see');
      assess(
        this.#assessment,
        'frozen',
        sameMs >= BEGINS_MS.frozen && !dark,
        sameMs < BEGINS_MS.frozen,
        atMs,
        0,
      );
      if (atMs - gathering.sinceMs >= WINDOW_MS && picture.frames >= FRAMES_MIN) {
        this.#assessWindow(picture, atMs);
        picture.clear();
        gathering.sinceMs = atMs;
      }
    }
    return this.#activeConditions(this.#knowledge.unconfirmed);
  }

  #activeConditions(hasMoved: boolean): CameraCondition[] {
    const { active } = this.#assessment;
    const conditions = active === undefined ? [] : [active];
    return hasMoved && active !== 'moved' ? [...conditions, 'moved'] : conditions;
  }

  #isPassing({ source, atMs }: Frame): boolean {
    const aspect = source.widthPx / source.heightPx;
    const size = sizeOf(source);
    if (this.#isSameShape(aspect)) this.#passing = undefined;
    else if (this.#passing?.size !== size) this.#passing = { size, aspect, sinceMs: atMs };
    return this.#passing !== undefined && atMs - this.#passing.sinceMs < PASSING_MS;
  }

  #isSameShape(aspect: number): boolean {
    return Math.abs(aspect / (this.#knowledge.aspect ?? aspect) - 1) <= SAME_ASPECT;
  }

  /** Returns the accumulator: a new one for another size or after a long gap. After a short gap its window restarts. */
  #gatheringFor(frame: Frame, elapsedMs: number): Gathering {
    const { source, atMs } = frame;
    const size = sizeOf(source);
    const gathering = this.#gathering;
    if (gathering === undefined || size !== gathering.size || elapsedMs > GAP_MAX_MS) {
      const aspect = source.widthPx / source.heightPx;
      // Until now it was reported while it was active; from now on its end can no longer be detected.
      const hasMoved = !this.#isSameShape(aspect) || this.#assessment.active === 'moved';
      const unconfirmed = this.#knowledge.unconfirmed || hasMoved;
      this.#knowledge = { ...this.#knowledge, aspect, unconfirmed, toldMs: NEVER_MS };
      const picture = new ConditionPicture(frame);
      this.#assessment = newAssessment(new View(picture.cells), new View(picture.cells), NEVER_MS);
      this.#blindness.forget();
      this.#gathering = { size, picture, sinceMs: atMs };
      return this.#gathering;
    }
    if (elapsedMs > WINDOW_MS) {
      // Time without frames does not count.
      gathering.picture.clear();
      gathering.sinceMs = atMs;
      this.#assessment.soundMs += elapsedMs;
      this.#assessment.otherSinceMs += elapsedMs;
      this.#assessment.sinceMs.clear();
    }
    return gathering;
  }

  #assessWindow(picture: ConditionPicture, atMs: number): void {
    const assessment = this.#assessment;
    const bright = brightLevel(picture);
    const learnt = assessment.view.windows >= LEARNT_WINDOWS;
    const comparison = assessment.view.compare(picture);
    const tells = learnt && comparison.telling >= TELLING_MIN;
    const { keptRatio, energy, edges, coarse, blurred } = comparison;
    const isNamed = atMs - this.#namedMs < WINDOW_MS;
    const well =
      !assessment.upset &&
      !isNamed &&
      (assessment.active === undefined || assessment.active === 'cannot-see');
    this.#blindness.assessWindow(picture, WINDOW_MS, well, atMs);
    this.#hazyWindows = this.#blindness.isHazy ? this.#hazyWindows + 1 : 0;
    const same = !tells || keptRatio >= KEPT_MOST;
    const unsharp = tells && coarse >= COARSE_KEPT && blurred >= BLURRED_MOST;
    this.#follow(picture, comparison, tells, unsharp, atMs);
    const { upset } = assessment;
    const few = energy < LOST_ENERGY && edges < LOST_ENERGY * assessment.least;
    const isLost = upset && few && coarse < COARSE_KEPT && !isNamed;
    const otherMs = upset ? atMs - assessment.otherSinceMs : 0;
    const hasMoved = upset && !isNamed && !unsharp && energy >= MOVED_ENERGY && otherMs >= BEGINS_MS.moved;
    assess(assessment, 'covered', isLost, same || energy >= BACK_ENERGY || !upset, atMs);
    assess(assessment, 'too-dark', bright < DARK_LEVEL, bright > BRIGHT_LEVEL, atMs);
    assess(assessment, 'moved', hasMoved, !upset, atMs, 0);
    const { isHazy, missed, over } = this.#blindness.camera;
    const blinds = isHazy && !upset && !isNamed;
    assess(assessment, 'cannot-see', blinds || missed, over, atMs, missed ? 0 : BEGINS_MS['cannot-see']);
    assess(assessment, 'defocused', unsharp, !tells || blurred <= BLURRED_FEW, atMs);
    if (tells && !upset && assessment.active === undefined && !isNamed) this.#tellView(picture, atMs);
  }

  /** Compares the learnt view with the previously known one, and reports it from then on. */
  #tellView(picture: ConditionPicture, atMs: number): void {
    const { signature: before, aspect, unconfirmed, toldMs } = this.#knowledge;
    if (unconfirmed || atMs - toldMs < TOLD_EVERY_MS) return;
    const signature = this.#assessment.view.signature(picture);
    if (before !== undefined && !isSameView(before, signature)) {
      this.#knowledge = { ...this.#knowledge, unconfirmed: true };
      return;
    }
    this.#knowledge = { ...this.#knowledge, signature, toldMs: atMs };
    this.#toTell = { signature, aspect: aspect ?? 1, moved: false };
  }

  /** Learns the view while it changes slowly, and records when it has changed suddenly. */
  #follow(
    picture: ConditionPicture,
    comparison: Comparison,
    tells: boolean,
    unsharp: boolean,
    atMs: number,
  ): void {
    const assessment = this.#assessment;
    const { view, other } = assessment;
    const { keptRatio } = comparison;
    if (!tells || keptRatio >= KEPT_MOST) {
      assessment.soundMs = atMs;
      assessment.upset = false;
      noteSound(assessment, comparison.edges);
    } else if (this.#hazyWindows >= HAZY_BEFORE) {
      // The edges were lost gradually, so nothing has suddenly come in front of the lens.
    } else if (keptRatio <= KEPT_FEW && !assessment.upset && atMs - assessment.soundMs <= AT_ONCE_MS) {
      assessment.upset = true;
      assessment.upsetMs = atMs;
      assessment.lastSound = undefined;
      other.forget();
    }
    // Neither covered nor another view in all this time: only the present appearance is known.
    if (assessment.upset && assessment.active === undefined && atMs - assessment.upsetMs >= ADOPTED_MS) {
      assessment.upset = false;
      view.forget();
      this.#blindness.forget();
      this.#knowledge = { ...this.#knowledge, signature: undefined };
    }
    if (!assessment.upset) {
      if (!unsharp && !this.#blindness.isHazy && assessment.active !== 'defocused')
        view.learn(picture, WINDOW_MS / VIEW_MS);
      return;
    }
    if (other.windows === 0 || other.compare(picture).keptRatio < KEPT_MOST) {
      other.forget();
      assessment.otherSinceMs = atMs;
    }
    other.learn(picture, WINDOW_MS / VIEW_MS);
  }
}

/** Returns the level that only `BRIGHT_RATIO` of the cells exceed. */
function brightLevel({ level, frames }: ConditionPicture): number {
  const counts = new Uint32Array(256);
  for (let k = 0; k < level.length; k += 1) {
    const bin = Math.min(255, Math.round((level[k] as number) / frames));
    counts[bin] = (counts[bin] as number) + 1;
  }
  let remaining = BRIGHT_RATIO * level.length;
  for (let bin = 255; bin > 0; bin -= 1) {
    remaining -= counts[bin] as number;
    if (remaining < 0) return bin;
  }
  return 0;
}

function sizeOf({ widthPx, heightPx }: SizePx): string {
  return `${widthPx}x${heightPx}`;
}

function namedRatio(detections: readonly Detection[], { widthPx, heightPx }: SizePx): number {
  let areaPx = 0;
  for (const { group, score, xyxyPx } of detections) {
    if (score < NAMED_SCORE_MIN || (group !== 'person' && group !== 'vehicle')) continue;
    areaPx += (xyxyPx[2] - xyxyPx[0]) * (xyxyPx[3] - xyxyPx[1]);
  }
  return areaPx / (widthPx * heightPx);
}
