/**
 * Is the camera fit to be judged by? Tells when the picture is frozen, covered, too dark, moved, blind or defocused:
 *
 *   Frame ─▶ window of 2.5 s (condition-picture) ─▶ compared with the learnt view (condition-view) ─▶ conditions
 *                         └─▶ veiled, or things pass unseen (blindness) ─▶ cannot-see, blind zones
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

import type { CameraCondition } from '../../contract/condition.ts';
import type { ZoneConfig } from '../../contract/config.ts';
import type { SizePx } from '../../contract/geometry.ts';
import type { KnownView } from '../../contract/link.ts';
import type { Detection, Foreground, Frame } from '../../contract/picture.ts';
import { Blindness } from './blindness.ts';
import { BEGINS_MS, judge, judgementBy, noteSound, WINDOW_MS } from './condition-judgement.ts';
import type { Light } from './condition-light.ts';
import { ConditionPicture } from './condition-picture.ts';
import { isSameView } from './condition-signature.ts';
import { type Compared, View } from './condition-view.ts';
import type { UnknownMover } from './passages.ts';

/** The shortest of the times asked for is 10 s. */
const TICK_MS = 480;
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
/** Defocus leaves brightness, coarsely, where it was (0.8 and more); a cover does not. */
const COARSE_KEPT = 0.6;
const BLURRED_MOST = 0.8;
const BLURRED_FEW = 0.5;
/** 19 of 20 cells are darker than a tenth of white: a person in the light of them differs by a few levels from the ground. */
const DARK_LEVEL = 24;
const BRIGHT_LEVEL = 32;
const BRIGHT_SHARE = 0.05;
/** A veil that has stood for two windows before most edges went has taken them: 5 s, in which a hand has come and gone. */
const VEILED_BEFORE = 3;
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
  readonly zones?: readonly Pick<ZoneConfig, 'id' | 'polygon'>[];
}

/** What the observer knows of a frame beside its pixels and detections. */
export interface Beside {
  /** False where the detections are those of an earlier frame. */
  readonly looked: boolean;
  readonly foreground: Foreground | undefined;
}

/** By what the view is known again; never changed, but replaced. */
interface Knowledge {
  /** What the view was before it had to be learnt anew; compared once, when it is learnt. */
  readonly signature: string | undefined;
  readonly aspect: number | undefined;
  /** The view is another than the one that was known, and nobody has confirmed it. */
  readonly unconfirmed: boolean;
  /** When it was last told. */
  readonly toldMs: number;
}

/** The frames that are being gathered, of one size. */
interface Gathering {
  readonly size: string;
  readonly picture: ConditionPicture;
  sinceMs: number;
}

const NEVER_MS = Number.NEGATIVE_INFINITY;

export class CameraConditions {
  #judged = judgementBy(new View(0), new View(0), NEVER_MS);
  #known: Knowledge;
  #gathering: Gathering | undefined;
  /** Another shape that has not stood for long. */
  #passing: { readonly size: string; readonly aspect: number; readonly sinceMs: number } | undefined;
  #toTell: KnownView | undefined;
  #tickMs: number | undefined;
  /** When somebody or something that has a name last filled the picture. */
  #namedMs = NEVER_MS;
  readonly #blindness: Blindness;
  /** Windows in a row in which the picture was veiled. */
  #veiledLooks = 0;

  constructor({ known, zones = [] }: ConditionOptions = {}) {
    this.#blindness = new Blindness({ zones });
    this.#known = {
      signature: known?.signature ?? undefined,
      aspect: known?.aspect,
      unconfirmed: known?.moved ?? false,
      toldMs: NEVER_MS,
    };
  }

  /** What is known of the view, when it is time to tell it; undefined at all other times. */
  viewToTell(): KnownView | undefined {
    const known = this.#toTell;
    this.#toTell = undefined;
    return known;
  }

  /** Whether no condition stands or has begun: then none needs more than a picture in two seconds. */
  get settled(): boolean {
    const { active, upset, sinceMs } = this.#judged;
    return active === undefined && !upset && sinceMs.size === 0 && this.#passing === undefined;
  }

  /** Undefined where it is not known yet. */
  get light(): Light | undefined {
    return this.#blindness.light;
  }

  /** What travels through the picture and is not named. */
  get unknown(): UnknownMover[] {
    return this.#blindness.unknown;
  }

  /** Zones in which nothing can be seen, while no condition says the same of all of the picture. */
  get blindZones(): string[] {
    return this.#judged.active === undefined || this.#judged.active === 'defocused'
      ? this.#blindness.zones
      : [];
  }

  /** A person has looked at the new view: the zones hold in it. */
  confirm(): void {
    this.#blindness.forget();
    const aspect = this.#passing?.aspect ?? this.#known.aspect;
    this.#passing = undefined;
    const { active, view, other } = this.#judged;
    if (active === 'moved') this.#judged = judgementBy(other, view, this.#tickMs ?? 0);
    this.#known = { signature: undefined, aspect, unconfirmed: false, toldMs: NEVER_MS };
  }

  /** Takes the next frame and what was found in it; returns the conditions that stand. */
  update(frame: Frame, found: readonly Detection[], beside?: Beside): CameraCondition[] {
    const { atMs, source } = frame;
    if (this.#isPassing(frame)) return this.#told(true);
    if (beside !== undefined) this.#blindness.see({ ...beside, found }, source, atMs);
    if (namedShare(found, source) >= NAMED_SHARE_MIN) this.#namedMs = atMs;
    const elapsedMs = atMs - (this.#tickMs ?? atMs);
    if (this.#tickMs === undefined || elapsedMs >= TICK_MS || sizeOf(source) !== this.#gathering?.size) {
      const gathering = this.#gatheringFor(frame, elapsedMs);
      this.#tickMs = atMs;
      const { picture } = gathering;
      const sameMs = picture.add(frame);
      const { active, sinceMs } = this.#judged;
      // Of a dark or white picture nobody can say that it is frozen: noise is cut off at both ends.
      const unlit = active === 'covered' || active === 'too-dark' || sinceMs.has('too-dark');
      const dark = unlit || active === 'cannot-see' || sinceMs.has('cannot-see');
      judge(this.#judged, 'frozen', sameMs >= BEGINS_MS.frozen && !dark, sameMs < BEGINS_MS.frozen, atMs, 0);
      if (atMs - gathering.sinceMs >= WINDOW_MS && picture.frames >= FRAMES_MIN) {
        this.#look(picture, atMs);
        picture.clear();
        gathering.sinceMs = atMs;
      }
    }
    return this.#told(this.#known.unconfirmed);
  }

  #told(moved: boolean): CameraCondition[] {
    const { active } = this.#judged;
    const told = active === undefined ? [] : [active];
    return moved && active !== 'moved' ? [...told, 'moved'] : told;
  }

  #isPassing({ source, atMs }: Frame): boolean {
    const aspect = source.widthPx / source.heightPx;
    const size = sizeOf(source);
    if (this.#isSameShape(aspect)) this.#passing = undefined;
    else if (this.#passing?.size !== size) this.#passing = { size, aspect, sinceMs: atMs };
    return this.#passing !== undefined && atMs - this.#passing.sinceMs < PASSING_MS;
  }

  #isSameShape(aspect: number): boolean {
    return Math.abs(aspect / (this.#known.aspect ?? aspect) - 1) <= SAME_ASPECT;
  }

  /** Anew for another size, and after a long gap; after a short one the window begins anew. */
  #gatheringFor(frame: Frame, elapsedMs: number): Gathering {
    const { source, atMs } = frame;
    const size = sizeOf(source);
    const gathering = this.#gathering;
    if (gathering === undefined || size !== gathering.size || elapsedMs > GAP_MAX_MS) {
      const aspect = source.widthPx / source.heightPx;
      // Until now it was told as long as it stood; from now on nothing is left to see its end by.
      const moved = !this.#isSameShape(aspect) || this.#judged.active === 'moved';
      const unconfirmed = this.#known.unconfirmed || moved;
      this.#known = { ...this.#known, aspect, unconfirmed, toldMs: NEVER_MS };
      const picture = new ConditionPicture(frame);
      this.#judged = judgementBy(new View(picture.cells), new View(picture.cells), NEVER_MS);
      this.#blindness.forget();
      this.#gathering = { size, picture, sinceMs: atMs };
      return this.#gathering;
    }
    if (elapsedMs > WINDOW_MS) {
      // Time in which nothing was seen does not count.
      gathering.picture.clear();
      gathering.sinceMs = atMs;
      this.#judged.soundMs += elapsedMs;
      this.#judged.otherSinceMs += elapsedMs;
      this.#judged.sinceMs.clear();
    }
    return gathering;
  }

  #look(picture: ConditionPicture, atMs: number): void {
    const judged = this.#judged;
    const bright = brightLevel(picture);
    const learnt = judged.view.looks >= LEARNT_LOOKS;
    const compared = judged.view.compare(picture);
    const tells = learnt && compared.telling >= TELLING_MIN;
    const { kept, energy, edges, coarse, blurred } = compared;
    const named = atMs - this.#namedMs < WINDOW_MS;
    const well = !judged.upset && !named && (judged.active === undefined || judged.active === 'cannot-see');
    this.#blindness.look(picture, WINDOW_MS, well, atMs);
    this.#veiledLooks = this.#blindness.veiled ? this.#veiledLooks + 1 : 0;
    const same = !tells || kept >= KEPT_MOST;
    const unsharp = tells && coarse >= COARSE_KEPT && blurred >= BLURRED_MOST;
    this.#follow(picture, compared, tells, unsharp, atMs);
    const { upset } = judged;
    const few = energy < LOST_ENERGY && edges < LOST_ENERGY * judged.least;
    const lost = upset && few && coarse < COARSE_KEPT && !named;
    const otherMs = upset ? atMs - judged.otherSinceMs : 0;
    const moved = upset && !named && !unsharp && energy >= MOVED_ENERGY && otherMs >= BEGINS_MS.moved;
    judge(judged, 'covered', lost, same || energy >= BACK_ENERGY || !upset, atMs);
    judge(judged, 'too-dark', bright < DARK_LEVEL, bright > BRIGHT_LEVEL, atMs);
    judge(judged, 'moved', moved, !upset, atMs, 0);
    const { veils, missed, over } = this.#blindness.camera;
    const blinds = veils && !upset && !named;
    judge(judged, 'cannot-see', blinds || missed, over, atMs, missed ? 0 : BEGINS_MS['cannot-see']);
    judge(judged, 'defocused', unsharp, !tells || blurred <= BLURRED_FEW, atMs);
    if (tells && !upset && judged.active === undefined && !named) this.#tellView(picture, atMs);
  }

  /** Once it is learnt the view is compared with the one that was known before, and told from then on. */
  #tellView(picture: ConditionPicture, atMs: number): void {
    const { signature: before, aspect, unconfirmed, toldMs } = this.#known;
    if (unconfirmed || atMs - toldMs < TOLD_EVERY_MS) return;
    const signature = this.#judged.view.signature(picture);
    if (before !== undefined && !isSameView(before, signature)) {
      this.#known = { ...this.#known, unconfirmed: true };
      return;
    }
    this.#known = { ...this.#known, signature, toldMs: atMs };
    this.#toTell = { signature, aspect: aspect ?? 1, moved: false };
  }

  /** Learns the view while it is one that changes slowly; notes when it has become another at once. */
  #follow(
    picture: ConditionPicture,
    compared: Compared,
    tells: boolean,
    unsharp: boolean,
    atMs: number,
  ): void {
    const judged = this.#judged;
    const { view, other } = judged;
    const { kept } = compared;
    if (!tells || kept >= KEPT_MOST) {
      judged.soundMs = atMs;
      judged.upset = false;
      noteSound(judged, compared.edges);
    } else if (this.#veiledLooks >= VEILED_BEFORE) {
      // What is lost now was lost little by little: nothing has come before the lens at once.
    } else if (kept <= KEPT_FEW && !judged.upset && atMs - judged.soundMs <= AT_ONCE_MS) {
      judged.upset = true;
      judged.upsetMs = atMs;
      judged.lastSound = undefined;
      other.forget();
    }
    // Neither a cover nor another view in all this time: what it is like now is all that can be known.
    if (judged.upset && judged.active === undefined && atMs - judged.upsetMs >= ADOPTED_MS) {
      judged.upset = false;
      view.forget();
      this.#blindness.forget();
      this.#known = { ...this.#known, signature: undefined };
    }
    if (!judged.upset) {
      if (!unsharp && !this.#blindness.veiled && judged.active !== 'defocused')
        view.learn(picture, WINDOW_MS / VIEW_MS);
      return;
    }
    if (other.looks === 0 || other.compare(picture).kept < KEPT_MOST) {
      other.forget();
      judged.otherSinceMs = atMs;
    }
    other.learn(picture, WINDOW_MS / VIEW_MS);
  }
}

/** The level that only `BRIGHT_SHARE` of the cells exceed. */
function brightLevel({ level, frames }: ConditionPicture): number {
  const counts = new Uint32Array(256);
  for (let k = 0; k < level.length; k += 1) {
    const bin = Math.min(255, Math.round((level[k] as number) / frames));
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
    areaPx += (xyxyPx[2] - xyxyPx[0]) * (xyxyPx[3] - xyxyPx[1]);
  }
  return areaPx / (widthPx * heightPx);
}
