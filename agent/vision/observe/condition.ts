/**
 * Is the camera fit to be judged by? Tells when the picture is frozen, covered, too dark, moved or defocused:
 *
 *   Frame ─▶ window of 2.5 s (condition-picture) ─▶ compared with the learnt view (condition-view) ─▶ conditions
 *
 * The view is learnt from the first 20 s and follows slowly. It stands still as soon as the picture is another
 * at once: then it is what the picture must look like again.
 *
 * A camera that has moved stays so until its old view is back or a person confirms the new one, over restarts too:
 * what is told outside of vision to know the view again is condition-signature.ts and nothing else.
 *
 * INVARIANTS: times are media times; at most one condition stands, the first of the list that holds, and beside it
 * `moved` while it is to be confirmed.
 * LIMITS: frames are looked at twice a second; where fewer than `TELLING_MIN` blocks have edges (a dark or empty
 * picture) only `frozen` and `too-dark` can be told. What changes slowly is learnt, not told.
 */
import type { SizePx } from '../../contract/geometry.ts';
import type { KnownView } from '../../contract/link.ts';
import type { CameraCondition } from '../../contract/observation.ts';
import type { Detection, Frame } from '../../contract/picture.ts';
import { ConditionPicture } from './condition-picture.ts';
import { isSameView } from './condition-signature.ts';
import { type Compared, View } from './condition-view.ts';

/** The shortest of the times asked for is 10 s. */
const TICK_MS = 480;
/** Five frames: enough for a mean, and three windows within the 10 s of `covered`. */
const WINDOW_MS = 2400;
const FRAMES_MIN = 2;
/** The view is believed after so many windows: 20 s. */
const LEARNT_LOOKS = 8;
/** … and follows with this time constant: shadows of the sun move by a pixel in it, dusk takes ten times as long. */
const VIEW_MS = 120_000;
/** A sixth of the picture. */
const TELLING_MIN = 8;
/** The picture is as it was when most blocks show their edges, and another when few do; between, neither. */
const KEPT_MOST = 0.6;
const KEPT_FEW = 0.3;
/** From one to the other within this is at once; dusk, fog and snow take longer. */
const AT_ONCE_MS = 10_000;
/** Structure is lost with four fifths of the energy of the edges: a hand leaves under 1 %, a patterned cloth out of focus 15 %. */
const LOST_ENERGY = 0.2;
const BACK_ENERGY = 0.3;
/** Another view has edges of its own; what large things that stood leave behind when they go has fewer. */
const MOVED_ENERGY = 0.4;
/** The least that the picture has had when it was well is remembered for so long: a cover leaves far less than that too. */
const LEAST_MS = 600_000;
/** Defocus leaves brightness, coarsely, where it was (0.8 and more); a cover does not. */
const COARSE_KEPT = 0.6;
const BLURRED_MOST = 0.8;
const BLURRED_FEW = 0.5;
/** 19 of 20 cells are darker than a tenth of white: a person in the light of them differs by a few levels from the ground. */
const DARK_LEVEL = 24;
const BRIGHT_LEVEL = 32;
const BRIGHT_SHARE = 0.05;
/** How long each must hold to begin. The windows before and at the change come on top. */
const BEGINS_MS: Readonly<Record<CameraCondition, number>> = {
  // Encoders that save leave a quiet night scene untouched until the next key frame, 10 s and more.
  frozen: 24_000,
  covered: WINDOW_MS,
  'too-dark': 30_000,
  moved: 30_000,
  defocused: 20_000,
};
/** How long it must not hold to end. */
const ENDS_MS: Readonly<Record<CameraCondition, number>> = {
  frozen: 0,
  covered: WINDOW_MS,
  'too-dark': 10_000,
  moved: WINDOW_MS,
  defocused: 10_000,
};
/** What is neither a cover nor another view for so long is the view from then on. */
const ADOPTED_MS = 600_000;
/** How often what is known of a view is told anew, since it changes with the light. */
const TOLD_EVERY_MS = 600_000;
/** Another shape of the picture: more than the rounding of a size to even numbers. */
const SAME_ASPECT = 0.02;
/**
 * A damaged stream can claim any shape until its next key frame, which comes within 10 s as a rule: another shape is
 * told at once, and asks for a technician once it has stood for so long.
 */
const PASSING_MS = 15_000;
/** After a longer gap the view is learnt anew: the light may be another. */
const GAP_MAX_MS = 600_000;

/**
 * People and vehicles that the detector names (from the score at which more than half of what it says is true)
 * and that fill so much of the picture stand before the camera: what they hide is neither covered nor moved.
 */
const NAMED_SCORE_MIN = 0.3;
const NAMED_SHARE_MIN = 0.25;

export interface ConditionOptions {
  /** The view as it was known before this process. */
  readonly known?: KnownView | undefined;
}

export class CameraConditions {
  #size = '';
  #aspect: number | undefined;
  /** Another shape that has not stood for long. */
  #passing: { readonly size: string; readonly aspect: number; readonly sinceMs: number } | undefined;
  /** What the view was before it had to be learnt anew; compared once, when it is learnt. */
  #known: string | undefined;
  /** The view is another than the one that was known, and nobody has confirmed it. */
  #unconfirmed: boolean;
  #toldMs = Number.NEGATIVE_INFINITY;
  #toTell: KnownView | undefined;
  #picture: ConditionPicture | undefined;
  #view = new View(0);
  /** What the picture looks like since it is another. */
  #other = new View(0);
  #otherSinceMs = 0;
  #upset = false;
  #upsetMs = 0;
  /** The least energy of edges of the sound pictures, and that of the last one: the next may show that it was none. */
  #least = Number.POSITIVE_INFINITY;
  #lastSound: number | undefined;
  #soundMs = Number.NEGATIVE_INFINITY;
  #tickMs: number | undefined;
  #windowMs = 0;
  #standing: CameraCondition | undefined;
  /** Since when each condition holds (or, of the standing one, does not hold). */
  readonly #sinceMs = new Map<CameraCondition, number>();
  #last: Compared | undefined;
  /** When somebody or something that has a name last filled the picture. */
  #namedMs = Number.NEGATIVE_INFINITY;

  constructor({ known }: ConditionOptions = {}) {
    this.#known = known?.signature ?? undefined;
    this.#aspect = known?.aspect;
    this.#unconfirmed = known?.moved ?? false;
  }

  /** The last comparison with the view; for tests and measurements. */
  get last(): Compared | undefined {
    return this.#last;
  }

  /** What is known of the view, when it is time to tell it; undefined at all other times. */
  viewToTell(): KnownView | undefined {
    const known = this.#toTell;
    this.#toTell = undefined;
    return known;
  }

  /** A person has looked at the new view: the zones hold in it. */
  confirm(): void {
    this.#aspect = this.#passing?.aspect ?? this.#aspect;
    this.#passing = undefined;
    if (this.#standing === 'moved') {
      [this.#view, this.#other] = [this.#other, this.#view];
      this.#upset = false;
      this.#soundMs = this.#tickMs ?? 0;
      this.#least = Number.POSITIVE_INFINITY;
      this.#lastSound = undefined;
      this.#standing = undefined;
      this.#sinceMs.clear();
    }
    this.#unconfirmed = false;
    this.#known = undefined;
    this.#toldMs = Number.NEGATIVE_INFINITY;
  }

  /** Takes the next frame and what was found in it; returns the conditions that stand. */
  update(frame: Frame, found: readonly Detection[]): CameraCondition[] {
    const { atMs } = frame;
    if (this.#isPassing(frame)) return this.#told(true);
    if (namedShare(found, frame.source) >= NAMED_SHARE_MIN) this.#namedMs = atMs;
    const elapsedMs = atMs - (this.#tickMs ?? atMs);
    if (this.#tickMs === undefined || elapsedMs >= TICK_MS || sizeOf(frame.source) !== this.#size) {
      const picture = this.#pictureFor(frame, elapsedMs);
      this.#tickMs = atMs;
      const sameMs = picture.add(frame);
      // Of a dark picture nobody can say that it is frozen: noise is cut off at black.
      const dark =
        this.#standing === 'covered' || this.#standing === 'too-dark' || this.#sinceMs.has('too-dark');
      this.#judge('frozen', sameMs >= BEGINS_MS.frozen && !dark, sameMs < BEGINS_MS.frozen, atMs, 0);
      if (atMs - this.#windowMs >= WINDOW_MS && picture.frames >= FRAMES_MIN) {
        this.#look(picture, atMs);
        picture.clear();
        this.#windowMs = atMs;
      }
    }
    return this.#told(this.#unconfirmed);
  }

  #told(moved: boolean): CameraCondition[] {
    const standing = this.#standing === undefined ? [] : [this.#standing];
    return moved && this.#standing !== 'moved' ? [...standing, 'moved'] : standing;
  }

  #isPassing({ source, atMs }: Frame): boolean {
    const aspect = source.widthPx / source.heightPx;
    const size = sizeOf(source);
    if (this.#isSameShape(aspect)) this.#passing = undefined;
    else if (this.#passing?.size !== size) this.#passing = { size, aspect, sinceMs: atMs };
    return this.#passing !== undefined && atMs - this.#passing.sinceMs < PASSING_MS;
  }

  #isSameShape(aspect: number): boolean {
    return Math.abs(aspect / (this.#aspect ?? aspect) - 1) <= SAME_ASPECT;
  }

  /** Anew for another size, and after a long gap; after a short one the window begins anew. */
  #pictureFor(frame: Frame, elapsedMs: number): ConditionPicture {
    const { source, atMs } = frame;
    const size = sizeOf(source);
    const gap = elapsedMs > WINDOW_MS;
    if (this.#picture === undefined || size !== this.#size || elapsedMs > GAP_MAX_MS) {
      const aspect = source.widthPx / source.heightPx;
      // Until now it was told as long as it stood; from now on nothing is left to see its end by.
      if (!this.#isSameShape(aspect) || this.#standing === 'moved') this.#unconfirmed = true;
      this.#aspect = aspect;
      this.#size = size;
      this.#picture = new ConditionPicture(frame);
      this.#view = new View(this.#picture.cells);
      this.#toldMs = Number.NEGATIVE_INFINITY;
      this.#other = new View(this.#picture.cells);
      this.#upset = false;
      this.#least = Number.POSITIVE_INFINITY;
      this.#lastSound = undefined;
      this.#standing = undefined;
      this.#sinceMs.clear();
      this.#windowMs = atMs;
    } else if (gap) {
      // Time in which nothing was seen does not count.
      this.#picture.clear();
      this.#windowMs = atMs;
      this.#soundMs += elapsedMs;
      this.#otherSinceMs += elapsedMs;
      this.#sinceMs.clear();
    }
    return this.#picture;
  }

  #look(picture: ConditionPicture, atMs: number): void {
    const bright = brightLevel(picture);
    const learnt = this.#view.looks >= LEARNT_LOOKS;
    const compared = this.#view.compare(picture);
    this.#last = compared;
    const tells = learnt && compared.telling >= TELLING_MIN;
    const { kept, energy, edges, coarse, blurred } = compared;
    const same = !tells || kept >= KEPT_MOST;
    const unsharp = tells && coarse >= COARSE_KEPT && blurred >= BLURRED_MOST;
    this.#follow(picture, compared, tells, unsharp, atMs);
    const few = energy < LOST_ENERGY && edges < LOST_ENERGY * this.#least;
    const named = atMs - this.#namedMs < WINDOW_MS;
    const lost = this.#upset && few && coarse < COARSE_KEPT && !named;
    const otherMs = this.#upset ? atMs - this.#otherSinceMs : 0;
    const moved = this.#upset && !named && !unsharp && energy >= MOVED_ENERGY && otherMs >= BEGINS_MS.moved;
    this.#judge('covered', lost, same || energy >= BACK_ENERGY || !this.#upset, atMs);
    this.#judge('too-dark', bright < DARK_LEVEL, bright > BRIGHT_LEVEL, atMs);
    this.#judge('moved', moved, !this.#upset, atMs, 0);
    this.#judge('defocused', unsharp, !tells || blurred <= BLURRED_FEW, atMs);
    if (tells && !this.#upset && this.#standing === undefined && !named) this.#tellView(picture, atMs);
  }

  /** Once it is learnt the view is compared with the one that was known before, and told from then on. */
  #tellView(picture: ConditionPicture, atMs: number): void {
    if (this.#unconfirmed || atMs - this.#toldMs < TOLD_EVERY_MS) return;
    const signature = this.#view.signature(picture);
    if (this.#known !== undefined && !isSameView(this.#known, signature)) {
      this.#unconfirmed = true;
      return;
    }
    this.#known = signature;
    this.#toldMs = atMs;
    this.#toTell = { signature, aspect: this.#aspect ?? 1, moved: false };
  }

  /** Learns the view while it is one that changes slowly; notes when it has become another at once. */
  #follow(
    picture: ConditionPicture,
    compared: Compared,
    tells: boolean,
    unsharp: boolean,
    atMs: number,
  ): void {
    const { kept } = compared;
    if (!tells || kept >= KEPT_MOST) {
      this.#soundMs = atMs;
      this.#upset = false;
      this.#noteSound(compared.edges);
    } else if (kept <= KEPT_FEW && !this.#upset && atMs - this.#soundMs <= AT_ONCE_MS) {
      this.#upset = true;
      this.#upsetMs = atMs;
      this.#lastSound = undefined;
      this.#other.forget();
    }
    // Neither a cover nor another view in all this time: what it is like now is all that can be known.
    if (this.#upset && this.#standing === undefined && atMs - this.#upsetMs >= ADOPTED_MS) {
      this.#upset = false;
      this.#view.forget();
      this.#known = undefined;
    }
    if (!this.#upset) {
      if (!unsharp && this.#standing !== 'defocused') this.#view.learn(picture, WINDOW_MS / VIEW_MS);
      return;
    }
    if (this.#other.looks === 0 || this.#other.compare(picture).kept < KEPT_MOST) {
      this.#other.forget();
      this.#otherSinceMs = atMs;
    }
    this.#other.learn(picture, WINDOW_MS / VIEW_MS);
  }

  #noteSound(edges: number): void {
    const sound = this.#lastSound;
    this.#lastSound = edges;
    if (sound === undefined) return;
    const risen = this.#least + (sound - this.#least) * (WINDOW_MS / LEAST_MS);
    this.#least = Number.isFinite(this.#least) ? Math.min(sound, risen) : sound;
  }

  /** `holds` for long enough begins a condition, unless one stands that says more; `over` for long enough ends it. */
  #judge(
    condition: CameraCondition,
    holds: boolean,
    over: boolean,
    atMs: number,
    beginsMs = BEGINS_MS[condition],
  ): void {
    const stands = this.#standing === condition;
    if (stands ? !over : !holds) {
      this.#sinceMs.delete(condition);
      return;
    }
    const sinceMs = this.#sinceMs.get(condition) ?? atMs;
    this.#sinceMs.set(condition, sinceMs);
    if (atMs - sinceMs < (stands ? ENDS_MS[condition] : beginsMs)) return;
    if (stands) this.#standing = undefined;
    else if (this.#standing === undefined || RANK[condition] < RANK[this.#standing])
      this.#standing = condition;
    else return;
    this.#sinceMs.delete(condition);
  }
}

/** What blinds more comes first. */
const RANK: Readonly<Record<CameraCondition, number>> = {
  covered: 0,
  frozen: 1,
  'too-dark': 2,
  moved: 3,
  defocused: 4,
};

/** The level that only `BRIGHT_SHARE` of the cells exceed. */
function brightLevel({ level, frames }: ConditionPicture): number {
  const counts = new Uint32Array(256);
  for (const sum of level) {
    const bin = Math.min(255, Math.round(sum / frames));
    counts[bin] = (counts[bin] as number) + 1;
  }
  let left = BRIGHT_SHARE * level.length;
  for (let bin = 255; bin > 0; bin -= 1) {
    left -= counts[bin] as number;
    if (left < 0) return bin;
  }
  return 0;
}

function sizeOf({ widthPx, heightPx }: SizePx): string {
  return `${widthPx}x${heightPx}`;
}

function namedShare(found: readonly Detection[], { widthPx, heightPx }: SizePx): number {
  let areaPx = 0;
  for (const { group, score, xyxyPx } of found) {
    if (score < NAMED_SCORE_MIN || (group !== 'person' && group !== 'vehicle')) continue;
    const [x1, y1, x2, y2] = xyxyPx;
    areaPx += (x2 - x1) * (y2 - y1);
  }
  return areaPx / (widthPx * heightPx);
}
