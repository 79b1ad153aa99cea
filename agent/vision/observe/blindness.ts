/**
 * Detects that nothing can be seen: the picture is hazy (condition-haze.ts), or objects pass and the detector names
 * none of them (unclassified-motion.ts). The rules would then be silent for no visible reason.
 *
 * Reporting it pauses all rules, and much motion is rightly not named. Examples are headlight beams, cloud shadows,
 * water, animals, and people who are too small or behind glass. So unclassified motion counts only in a light in which
 * detectors fail (condition-light.ts). At night, when beams sweep over empty streets, it counts only if the detector
 * finds nothing at all.
 *
 *   window of 2.4 s ─▶ haze of each block ──────┐
 *   moving cells, detections ─▶ passed objects ─┴─▶ the whole camera is blind; zones that are
 *                light of the street ────────────┘
 *
 * INVARIANTS: times are media times; a camera whose detector names passing objects is not blind, however hazy.
 */
import { wilson } from '../../base/wilson.ts';
import type { ZoneConfig } from '../../contract/config.ts';
import type { SizePx } from '../../contract/geometry.ts';
import type { Detection, Foreground } from '../../contract/picture.ts';
import { isInside } from '../../contract/plane.ts';
import { ClearView, type Haze } from './condition-haze.ts';
import { type Light, lightOf } from './condition-light.ts';
import { BLOCK_COLUMNS, BLOCK_ROWS, BLOCKS, type ConditionPicture } from './condition-picture.ts';
import {
  type PassedObject,
  SEEN_SCORE,
  UnclassifiedMotion,
  type UnclassifiedObject,
} from './unclassified-motion.ts';

/** Ratio of hazy blocks that blinds the camera, and the ratio at which it sees again. Haze affects 0.94 and more. */
const HAZY_MOST = 0.85;
const HAZY_FEW = 0.5;
/**
 * Time without contrast until the picture counts as blind, in ms. On an empty road without contrast, an object usually
 * passes within it.
 */
const FLAT_MS = 20_000;
/** Usable blocks required: a sixth of the picture. */
const TELLING_MIN = 8;
/**
 * Ratios for a zone: hazy part of its usable blocks that blinds it, part at which it sees again, and usable part
 * required.
 */
const ZONE_MOST = 0.75;
const ZONE_FEW = 0.5;
const ZONE_TELLING_MIN = 0.5;
/**
 * Times until a zone is blind, and until it sees again, in ms. A vehicle that stops in front of part of the view has
 * left by then, or is named; 20 s as for `defocused`.
 */
const ZONE_BEGINS_MS = 20_000;
const ZONE_ENDS_MS = 10_000;
/** Time constant in ms, and minimum ratio of detector runs with a named object, for a camera that sees. */
const NAMED_MS = 20_000;
const NAMED_RATIO = 0.5;
/** Time for which passing objects count, in ms. The goal is a report within a minute if four or more pass in it. */
const PASSED_MS = 180_000;
/** Minimum time between the first and the last one, in ms: one gust or one beam of light is a single cause. */
const SPREAD_MS = 20_000;
/**
 * Missed objects required at night, with no detected or hinted one in that time. Four beams that sweep over an empty
 * street in three minutes are common. A detector that sees one of ten is not caught by such a small count.
 */
const NIGHT_PASSED = 8;
/** Maximum ratio of detector runs with a named object at night, which noise alone can cause. */
const SILENT_RATIO = 0.05;
/** Maximum number of stored passing objects; the oldest are removed first. */
const PASSED_MAX = 64;
/** Upper 97.5 % bound of the detected ratio: fewer than half are detected, so at least 4 of 4 are missed. */
const SEEN_HALF = 0.5;
/** Sampling points of a zone, across the picture and down. */
const POINTS = 64;

/** Observer's data of a frame beside its pixels. */
export interface ObservedFrame {
  readonly detections: readonly Detection[];
  /** False if `detections` is from an earlier frame. */
  readonly detectorRan: boolean;
  readonly foreground: Foreground | undefined;
}

interface BlindZone {
  readonly id: string;
  /** Ratio of the zone in each block. */
  readonly ratios: Float64Array;
  blind: boolean;
  /** Time since which the opposite of `blind` holds. */
  contraryMs: number | undefined;
}

export class Blindness {
  readonly #zones: readonly BlindZone[];
  readonly #unclassifiedMotion = new UnclassifiedMotion();
  /** Passing objects of the last PASSED_MS, the oldest first. */
  #passed: PassedObject[] = [];
  #clear: ClearView | undefined;
  #haze: Haze | undefined;
  /** Time since which the picture has had no contrast. */
  #flatMs: number | undefined;
  #light: Light | undefined;
  #atMs = 0;
  #namedRatio = 0;
  /** The same ratio with the time constant PASSED_MS. */
  #namedLong = 0;
  #namedMs: number | undefined;

  constructor({ zones }: { readonly zones: readonly Pick<ZoneConfig, 'id' | 'polygon'>[] }) {
    this.#zones = zones.map(({ id, polygon }) => ({
      id,
      ratios: ratiosOf(polygon),
      blind: false,
      contraryMs: undefined,
    }));
  }

  /** Zones that are blind while the rest of the picture is fine. */
  get zones(): string[] {
    return this.#zones.filter(({ blind }) => blind).map(({ id }) => id);
  }

  /** True if most blocks are hazy: the picture must not be learnt from, even if it looks unchanged. */
  get isHazy(): boolean {
    return this.#haze !== undefined && this.#haze.telling >= TELLING_MIN && this.#haze.hazyRatio >= HAZY_MOST;
  }

  /**
   * State of the camera. `isHazy`: blind because of haze, if that lasts. `missed`: blind because objects are missed.
   * `over`: no longer blind, if that lasts.
   */
  get camera(): { readonly isHazy: boolean; readonly missed: boolean; readonly over: boolean } {
    const { telling = 0, hazyRatio = 0, flat = false } = this.#haze ?? {};
    const isNamed = this.#namedRatio >= NAMED_RATIO;
    const missed = this.#isMissed();
    const clear = !flat && (telling < TELLING_MIN || hazyRatio <= HAZY_FEW);
    const lasts = this.#flatMs !== undefined && this.#atMs - this.#flatMs >= FLAT_MS;
    return { isHazy: !isNamed && (this.isHazy || lasts), missed, over: !missed && (isNamed || clear) };
  }

  /** Light of the last window; undefined if none of this view was evaluated. */
  get light(): Light | undefined {
    return this.#light;
  }

  /** Moving objects that are not named. */
  get unknown(): UnclassifiedObject[] {
    return this.#unclassifiedMotion.unknown;
  }

  /** Takes the next frame. */
  see({ detections, detectorRan, foreground }: ObservedFrame, source: SizePx, atMs: number): void {
    if (!detectorRan) return;
    const elapsedMs = atMs - (this.#namedMs ?? atMs);
    const namedNow = detections.some(isSure) ? 1 : 0;
    this.#namedRatio += (1 - Math.exp(-elapsedMs / NAMED_MS)) * (namedNow - this.#namedRatio);
    this.#namedLong += (1 - Math.exp(-elapsedMs / PASSED_MS)) * (namedNow - this.#namedLong);
    this.#namedMs = atMs;
    if (foreground === undefined) return;
    const passed = this.#passed;
    passed.push(...this.#unclassifiedMotion.update(foreground, detections, source, atMs));
    let old = Math.max(0, passed.length - PASSED_MAX);
    while (old < passed.length && atMs - (passed[old] as PassedObject).atMs > PASSED_MS) old += 1;
    if (old > 0) passed.splice(0, old);
  }

  /** Takes a window of frames. `sound` states that the picture may count as a good one. */
  assessWindow(picture: ConditionPicture, windowMs: number, sound: boolean, atMs: number): void {
    this.#clear ??= new ClearView(picture.cells);
    const haze = this.#clear.compareWindow(picture, windowMs, sound);
    this.#haze = haze;
    this.#light = lightOf(picture);
    this.#atMs = atMs;
    this.#flatMs = haze.flat ? (this.#flatMs ?? atMs) : undefined;
    for (const zone of this.#zones) assessZone(zone, haze, atMs);
  }

  /** Forgets the picture after a change of the view or of the picture's size. */
  forget(): void {
    this.#clear = undefined;
    this.#haze = undefined;
    this.#flatMs = undefined;
    this.#light = undefined;
    this.#passed = [];
    for (const zone of this.#zones) {
      zone.blind = false;
      zone.contraryMs = undefined;
    }
  }

  #isMissed(): boolean {
    if (this.#light === undefined || this.#light === 'day') return false;
    const passed = this.#passed;
    const seenCount = passed.filter((object) => object.wasDetected).length;
    const night = this.#light === 'night';
    const missed = passed.filter((object) => !object.wasDetected && !(night && object.hinted));
    const [first, last] = [missed[0], missed.at(-1)];
    if (first === undefined || last === undefined || last.atMs - first.atMs < SPREAD_MS) return false;
    if (night) return missed.length >= NIGHT_PASSED && seenCount === 0 && this.#namedLong <= SILENT_RATIO;
    return this.#namedRatio < NAMED_RATIO && wilson(seenCount, passed.length).high < SEEN_HALF;
  }
}

function isSure({ score }: Detection): boolean {
  return score >= SEEN_SCORE;
}

function assessZone(zone: BlindZone, { bright }: Haze, atMs: number): void {
  let [all, telling, hazy] = [0, 0, 0];
  for (let b = 0; b < BLOCKS; b += 1) {
    const ratio = zone.ratios[b] as number;
    all += ratio;
    if (bright[b] !== 0) telling += ratio;
    if ((bright[b] as number) > 0) hazy += ratio;
  }
  const tells = telling > 0 && telling >= ZONE_TELLING_MIN * all;
  const contrary = zone.blind ? !tells || hazy <= ZONE_FEW * telling : tells && hazy >= ZONE_MOST * telling;
  if (!contrary) {
    zone.contraryMs = undefined;
    return;
  }
  zone.contraryMs ??= atMs;
  if (atMs - zone.contraryMs < (zone.blind ? ZONE_ENDS_MS : ZONE_BEGINS_MS)) return;
  zone.blind = !zone.blind;
  zone.contraryMs = undefined;
}

function ratiosOf(polygon: ZoneConfig['polygon']): Float64Array {
  const counts = new Float64Array(BLOCKS);
  for (let y = 0; y < POINTS; y += 1) {
    for (let x = 0; x < POINTS; x += 1) {
      const [u, v] = [(x + 0.5) / POINTS, (y + 0.5) / POINTS];
      if (!isInside(polygon, [u, v])) continue;
      const b = Math.floor(v * BLOCK_ROWS) * BLOCK_COLUMNS + Math.floor(u * BLOCK_COLUMNS);
      counts[b] = (counts[b] as number) + 1;
    }
  }
  return counts;
}
