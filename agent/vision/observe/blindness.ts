/**
 * Can anything be seen at all? Where the picture is veiled (condition-veil.ts), or where things of an object's size pass
 * and the detector names none of them (passages.ts), the rules would say nothing, and nobody would know why.
 *
 * To say so pauses all rules, and much that passes is rightly not named: beams of headlights, shadows of clouds, water,
 * animals, people too small or behind glass. So passages speak only in a light in which detectors fail (condition-light.ts),
 * and at night, where beams sweep over empty streets, only of a detector that finds nothing at all.
 *
 *   window of 2.4 s ─▶ veil of each block ─┐
 *   moving cells, detections ─▶ passages ──┴─▶ the whole camera is blind; zones that are
 *                light of the street ──┘
 *
 * INVARIANTS: times are media times; a camera whose detector names what passes is not blind, however veiled.
 */
import { wilson } from '../../base/wilson.ts';
import type { ZoneConfig } from '../../contract/config.ts';
import type { SizePx } from '../../contract/geometry.ts';
import type { Detection, Foreground } from '../../contract/picture.ts';
import { isInside } from '../../contract/plane.ts';
import { type Light, lightOf } from './condition-light.ts';
import { BLOCK_COLUMNS, BLOCK_ROWS, BLOCKS, type ConditionPicture } from './condition-picture.ts';
import { ClearView, type Veil } from './condition-veil.ts';
import { type Passage, Passages, SEEN_SCORE, type UnknownMover } from './passages.ts';

/** Share of veiled blocks that blinds the camera, and that from which it sees again; haze leaves 0.94 and more. */
const VEILED_MOST = 0.85;
const VEILED_FEW = 0.5;
/** An empty road that shows nothing either has somebody pass within so long, more often than not. */
const FLAT_MS = 20_000;
/** A sixth of the picture has to tell something. */
const TELLING_MIN = 8;
/** … and of a zone three quarters of what lies in blocks that can tell, at least half of it. */
const ZONE_MOST = 0.75;
const ZONE_FEW = 0.5;
const ZONE_TELLING_MIN = 0.5;
/** A vehicle that stops before a part of the view is gone by then, or named; 20 s as for `defocused`. */
const ZONE_BEGINS_MS = 20_000;
const ZONE_ENDS_MS = 10_000;
/** What was named in more than half of the looks of this time is seen. */
const NAMED_MS = 20_000;
const NAMED_SHARE = 0.5;
/** Passages count for so long: the goal is a word within a minute where four and more pass in it. */
const PASSED_MS = 180_000;
/** They are spread over time: one gust, one beam of light, is one cause. */
const SPREAD_MS = 20_000;
/**
 * At night so many must pass, none of them seen nor hinted at, nor any other in all that time: four beams that sweep over an
 * empty street in three minutes are common, and a detector that sees one of ten is caught by no count as small as this.
 */
const NIGHT_PASSAGES = 8;
/** … and something is named in no more of the looks than so: what noise alone is taken for. */
const SILENT_SHARE = 0.05;
/** At most so many are kept; the oldest go first. */
const PASSAGES_MAX = 64;
/** Fewer than half of what passes is seen, by the 97.5 % bound: at least 4 of 4 are missed. */
const SEEN_HALF = 0.5;
/** Points at which a zone is looked at, across the picture and down. */
const POINTS = 64;

/** What the observer knows of a frame beside its pixels. */
export interface Seen {
  readonly found: readonly Detection[];
  /** False where `found` is that of an earlier frame. */
  readonly looked: boolean;
  readonly foreground: Foreground | undefined;
}

interface BlindZone {
  readonly id: string;
  /** Share of the zone in each block. */
  readonly shares: Float64Array;
  blind: boolean;
  /** Since when the contrary of `blind` holds. */
  contraryMs: number | undefined;
}

export class Blindness {
  readonly #zones: readonly BlindZone[];
  readonly #passages = new Passages();
  /** Of the last PASSED_MS, the oldest first. */
  #passed: Passage[] = [];
  #clear: ClearView | undefined;
  #veil: Veil | undefined;
  /** Since when the picture has had no contrast. */
  #flatMs: number | undefined;
  #light: Light | undefined;
  #atMs = 0;
  #named = 0;
  /** The same over the time for which passages count. */
  #namedLong = 0;
  #namedMs: number | undefined;

  constructor({ zones }: { readonly zones: readonly Pick<ZoneConfig, 'id' | 'polygon'>[] }) {
    this.#zones = zones.map(({ id, polygon }) => ({
      id,
      shares: sharesOf(polygon),
      blind: false,
      contraryMs: undefined,
    }));
  }

  /** Zones in which nothing can be seen while the rest of the picture is fine. */
  get zones(): string[] {
    return this.#zones.filter(({ blind }) => blind).map(({ id }) => id);
  }

  /** Most blocks are veiled: nothing is to be learnt from the picture, however like itself it is. */
  get veiled(): boolean {
    return this.#veil !== undefined && this.#veil.telling >= TELLING_MIN && this.#veil.share >= VEILED_MOST;
  }

  /** The camera is blind: by a veil, if that lasts, or since what passes is missed; `over` ends it, if that lasts. */
  get camera(): { readonly veils: boolean; readonly missed: boolean; readonly over: boolean } {
    const { telling = 0, share = 0, flat = false } = this.#veil ?? {};
    const named = this.#named >= NAMED_SHARE;
    const missed = this.#isMissed();
    const clear = !flat && (telling < TELLING_MIN || share <= VEILED_FEW);
    const lasts = this.#flatMs !== undefined && this.#atMs - this.#flatMs >= FLAT_MS;
    return { veils: !named && (this.veiled || lasts), missed, over: !missed && (named || clear) };
  }

  /** The light of the last window; undefined where none of this view has been judged. */
  get light(): Light | undefined {
    return this.#light;
  }

  /** What travels and is not named. */
  get unknown(): UnknownMover[] {
    return this.#passages.unknown;
  }

  /** Takes the next frame. */
  see({ found, looked, foreground }: Seen, source: SizePx, atMs: number): void {
    if (!looked) return;
    const elapsedMs = atMs - (this.#namedMs ?? atMs);
    const named = found.some(isSure) ? 1 : 0;
    this.#named += (1 - Math.exp(-elapsedMs / NAMED_MS)) * (named - this.#named);
    this.#namedLong += (1 - Math.exp(-elapsedMs / PASSED_MS)) * (named - this.#namedLong);
    this.#namedMs = atMs;
    if (foreground === undefined) return;
    const passed = this.#passed;
    passed.push(...this.#passages.update(foreground, found, source, atMs));
    let old = Math.max(0, passed.length - PASSAGES_MAX);
    while (old < passed.length && atMs - (passed[old] as Passage).atMs > PASSED_MS) old += 1;
    if (old > 0) passed.splice(0, old);
  }

  /** Takes a window of frames; `sound`: it may be taken for one where all is well. */
  look(picture: ConditionPicture, windowMs: number, sound: boolean, atMs: number): void {
    this.#clear ??= new ClearView(picture.cells);
    const veil = this.#clear.look(picture, windowMs, sound);
    this.#veil = veil;
    this.#light = lightOf(picture);
    this.#atMs = atMs;
    this.#flatMs = veil.flat ? (this.#flatMs ?? atMs) : undefined;
    for (const zone of this.#zones) judgeZone(zone, veil, atMs);
  }

  /** Another view, or another size of picture. */
  forget(): void {
    this.#clear = undefined;
    this.#veil = undefined;
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
    const seen = passed.filter((passage) => passage.seen).length;
    const night = this.#light === 'night';
    const missed = passed.filter((passage) => !passage.seen && !(night && passage.hinted));
    const [first, last] = [missed[0], missed.at(-1)];
    if (first === undefined || last === undefined || last.atMs - first.atMs < SPREAD_MS) return false;
    if (night) return missed.length >= NIGHT_PASSAGES && seen === 0 && this.#namedLong <= SILENT_SHARE;
    return this.#named < NAMED_SHARE && wilson(seen, passed.length).high < SEEN_HALF;
  }
}

function isSure({ score }: Detection): boolean {
  return score >= SEEN_SCORE;
}

function judgeZone(zone: BlindZone, { bright }: Veil, atMs: number): void {
  let [all, telling, veiled] = [0, 0, 0];
  for (let b = 0; b < BLOCKS; b += 1) {
    const share = zone.shares[b] as number;
    all += share;
    if (bright[b] !== 0) telling += share;
    if ((bright[b] as number) > 0) veiled += share;
  }
  const tells = telling > 0 && telling >= ZONE_TELLING_MIN * all;
  const contrary = zone.blind
    ? !tells || veiled <= ZONE_FEW * telling
    : tells && veiled >= ZONE_MOST * telling;
  if (!contrary) {
    zone.contraryMs = undefined;
    return;
  }
  zone.contraryMs ??= atMs;
  if (atMs - zone.contraryMs < (zone.blind ? ZONE_ENDS_MS : ZONE_BEGINS_MS)) return;
  zone.blind = !zone.blind;
  zone.contraryMs = undefined;
}

function sharesOf(polygon: ZoneConfig['polygon']): Float64Array {
  const shares = new Float64Array(BLOCKS);
  for (let y = 0; y < POINTS; y += 1) {
    for (let x = 0; x < POINTS; x += 1) {
      const [u, v] = [(x + 0.5) / POINTS, (y + 0.5) / POINTS];
      if (!isInside(polygon, [u, v])) continue;
      const b = Math.floor(v * BLOCK_ROWS) * BLOCK_COLUMNS + Math.floor(u * BLOCK_COLUMNS);
      shares[b] = (shares[b] as number) + 1;
    }
  }
  return shares;
}
