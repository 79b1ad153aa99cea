/**
 * The life of incidents of one rule: each starts once, is updated once a minute, and ends once.
 *
 * INVARIANTS: for every episode the transitions are start, update*, end, over restarts too; an incident
 * that is absent for less than the hold time goes on, also under another track number at the same place.
 * LIMITS: 64 incidents stand at a time per rule, so many begin in an hour (alert-limit.ts), and none begins
 * where one has just ended. A situation that is not raised for such a reason is counted once, and raised
 * later if it still stands when the reason has gone.
 */
import type { Phase } from '../contract/event.ts';
import { iou, type XyxyNorm } from '../contract/geometry.ts';
import type { ObservedTrack } from '../contract/observation.ts';
import type { Situation } from '../contract/situation.ts';
import { AlertLimit } from './alert-limit.ts';

/** The tracker remembers a lost object for 2 s; one more second lets it be found again under a new number. */
export const HOLD_MS = 3000;
/** Often enough to see that it still stands, rare enough for ten operators and 1,500 cameras. */
const UPDATE_EVERY_MS = 60_000;
const STANDING_MAX = 64;
/**
 * Cool-down of a place, from when its incident was last seen: what shows up again at the same place within
 * it is nearly always the same thing seen again. If it is another one, its alert comes so much later.
 */
const COOL_DOWN_MS = 10_000;
/** Boxes that overlap so much (IoU) are at the same place: the usual measure of one object found twice. */
const SAME_PLACE_IOU = 0.5;
/** A box is enlarged by this share of its size on each side before two are compared (the tracker's last pass uses the same). */
const ENLARGED_BY = 0.4;

export interface Transition {
  readonly episode: string;
  readonly phase: Phase;
  readonly situation: Situation;
  /** Media time of this transition, ms. */
  readonly atMs: number;
  /** How long the incident has stood, ms. */
  readonly standingMs: number;
}

interface Incident {
  readonly episode: string;
  readonly startedMs: number;
  situation: Situation;
  presentMs: number;
  updatedMs: number;
}

/** Own sizes a second: what moves faster passes through a place, as the next car does, and is no return. */
const STAYS_SIZES_PER_S = 0.25;

/** Why a situation was not raised. */
type Refusal = 'cooling' | 'full' | 'limited';

interface Cooling {
  readonly situation: Situation;
  readonly untilMs: number;
}

/** What outlives a restart of a standing incident: where and since when, in wall time. */
export interface StandingRecord {
  readonly episode: string;
  readonly startedWallMs: number;
  readonly objects: readonly ObservedTrack[];
  /** Where it is, if it is about no object. */
  readonly place?: XyxyNorm | undefined;
}

export class Incidents {
  readonly #nextEpisode: () => string;
  readonly #limit: AlertLimit;
  readonly #standing = new Map<string, Incident>();
  /** Situations that are there and not raised, by key. */
  readonly #refused = new Map<string, Refusal>();
  #cooling: Cooling[] = [];
  #overflow = 0;
  #cooled = 0;

  constructor(nextEpisode: () => string, alertsPerHour = Number.POSITIVE_INFINITY) {
    this.#nextEpisode = nextEpisode;
    this.#limit = new AlertLimit(alertsPerHour);
  }

  /** Situations that were not raised because too many stood already. */
  get overflow(): number {
    return this.#overflow;
  }

  /** Situations that were not raised at once because one had just ended at their place. */
  get cooled(): number {
    return this.#cooled;
  }

  /** Situations that were not raised because the hour's share was used up. */
  get heldBack(): number {
    return this.#limit.heldBack;
  }

  get limit(): Pick<AlertLimit, 'limiting' | 'heldBackNow'> {
    return this.#limit;
  }

  get standing(): number {
    return this.#standing.size;
  }

  /** Takes the situations of one observation and says what starts, goes on and ends. */
  step(situations: readonly Situation[], atMs: number): Transition[] {
    const out: Transition[] = [];
    this.#limit.advance(atMs);
    if (this.#cooling.length > 0) this.#cooling = this.#cooling.filter(({ untilMs }) => untilMs > atMs);
    for (const situation of situations) {
      if (situation.momentary) out.push(...this.#momentary(situation, atMs));
      else out.push(...this.#present(situation, situations, atMs));
    }
    for (const [key, incident] of this.#standing) {
      if (atMs - incident.presentMs < HOLD_MS) continue;
      this.#standing.delete(key);
      const { situation, presentMs } = incident;
      this.#cooling.push({ situation, untilMs: presentMs + COOL_DOWN_MS });
      out.push(transition(incident, 'end', Math.min(atMs, presentMs)));
    }
    if (this.#refused.size > 0) {
      const present = new Set(situations.map(({ key }) => key));
      for (const key of this.#refused.keys()) if (!present.has(key)) this.#refused.delete(key);
    }
    return out;
  }

  /**
   * Takes up incidents of an earlier life: each goes on when its object is found at its place within
   * `graceMs`, and ends otherwise. Media times may be negative: the incident began before this boot.
   */
  restore(records: readonly StandingRecord[], now: { atMs: number; wallMs: number }, graceMs: number): void {
    for (const { episode, startedWallMs, objects, place } of records.slice(0, STANDING_MAX)) {
      const key = `restored-${episode}`;
      const where = place === undefined ? {} : { focus: [place] };
      this.#standing.set(key, {
        episode,
        startedMs: now.atMs - (now.wallMs - startedWallMs),
        situation: { key, objects: objects.map(atRest), cause: {}, momentary: false, ...where },
        presentMs: now.atMs + graceMs - HOLD_MS,
        updatedMs: now.atMs,
      });
    }
  }

  /** Takes up an incident without an object, under its own key, until it is ended; should it hold on, that is told. */
  resume(
    key: string,
    { episode, startedWallMs }: StandingRecord,
    now: { atMs: number; wallMs: number },
  ): void {
    const situation = { key, objects: [], cause: {}, momentary: false };
    const startedMs = now.atMs - (now.wallMs - startedWallMs);
    const updatedMs = Number.NEGATIVE_INFINITY;
    this.#standing.set(key, { episode, startedMs, situation, presentMs: now.atMs, updatedMs });
  }

  /** The eyes were shut for a moment: what stands may be found again, under any number, within `graceMs`. */
  hold(atMs: number, graceMs: number): void {
    const standing = [...this.#standing.values()];
    this.#standing.clear();
    for (const incident of standing) {
      const { objects } = incident.situation;
      incident.situation = { ...incident.situation, objects: objects.map(atRest) };
      incident.presentMs = atMs + graceMs - HOLD_MS;
      this.#standing.set(`held-${incident.episode}`, incident);
    }
  }

  /** Ends all that stands, for a reason that has nothing to do with the street. */
  endAll(reason: string, atMs: number, cause: Situation['cause'] = {}): Transition[] {
    const ended = [...this.#standing.values()].map((incident) => {
      const { situation } = incident;
      incident.situation = { ...situation, cause: { ...situation.cause, ...cause, ended: reason } };
      return transition(incident, 'end', atMs);
    });
    this.#standing.clear();
    return ended;
  }

  #momentary(situation: Situation, atMs: number): Transition[] {
    if (!this.#limit.admits) {
      this.#limit.holdBack();
      return [];
    }
    const incident = this.#begin(situation, atMs);
    return [transition(incident, 'start', atMs), transition(incident, 'end', atMs)];
  }

  #present(situation: Situation, all: readonly Situation[], atMs: number): Transition[] {
    const incident = this.#standing.get(situation.key) ?? this.#takeOver(situation, all, atMs);
    if (incident === undefined) {
      const refusal = this.#refusal(situation);
      if (refusal !== undefined) {
        this.#count(situation.key, refusal);
        return [];
      }
      const begun = this.#begin(situation, atMs);
      this.#standing.set(situation.key, begun);
      return [transition(begun, 'start', atMs)];
    }
    incident.situation = situation;
    incident.presentMs = atMs;
    if (atMs - incident.updatedMs < UPDATE_EVERY_MS) return [];
    incident.updatedMs = atMs;
    return [transition(incident, 'update', atMs)];
  }

  /** An incident whose object or place was lost a moment ago, where this situation now is. */
  #takeOver(situation: Situation, all: readonly Situation[], atMs: number): Incident | undefined {
    const present = new Set(all.map(({ key }) => key));
    for (const [key, incident] of this.#standing) {
      if (present.has(key) || !samePlace(incident, situation, atMs)) continue;
      this.#standing.delete(key);
      this.#standing.set(situation.key, incident);
      return incident;
    }
    return undefined;
  }

  #refusal(situation: Situation): Refusal | undefined {
    if (this.#cooling.some((ended) => samePlaceAgain(ended.situation, situation))) return 'cooling';
    if (this.#standing.size >= STANDING_MAX) return 'full';
    return this.#limit.admits ? undefined : 'limited';
  }

  /** Counted when it is first refused, not with every frame. */
  #count(key: string, refusal: Refusal): void {
    if (this.#refused.get(key) === refusal) return;
    this.#refused.set(key, refusal);
    if (refusal === 'cooling') this.#cooled += 1;
    if (refusal === 'full') this.#overflow += 1;
    if (refusal === 'limited') this.#limit.holdBack();
  }

  #begin(situation: Situation, atMs: number): Incident {
    this.#limit.raise(atMs);
    return { episode: this.#nextEpisode(), startedMs: atMs, situation, presentMs: atMs, updatedMs: atMs };
  }
}

function transition(incident: Incident, phase: Phase, atMs: number): Transition {
  const { episode, situation, startedMs } = incident;
  return { episode, phase, situation, atMs, standingMs: Math.max(0, atMs - startedMs) };
}

/** Nobody knows where it would have gone in the meantime. */
function atRest(track: ObservedTrack): ObservedTrack {
  return { ...track, velocityNormPerS: [0, 0] };
}

/** Where a situation is that is about no object but a place: something was left there, a wall was painted. */
export function placeOf({ objects, focus }: Situation): XyxyNorm | undefined {
  return objects.length === 0 ? focus?.[0] : undefined;
}

function isSamePlace(a: XyxyNorm | undefined, b: XyxyNorm | undefined): boolean {
  return a !== undefined && b !== undefined && iou(a, b) >= SAME_PLACE_IOU;
}

/** What has ended is there again: under the same key, or an object of the same group that stays in the same box. */
function samePlaceAgain(ended: Situation, now: Situation): boolean {
  if (ended.key === now.key || isSamePlace(placeOf(ended), placeOf(now))) return true;
  const [before, after] = [ended.objects[0], now.objects[0]];
  if (before === undefined || after === undefined || before.group !== after.group) return false;
  return stays(after) && iou(before.xyxyNorm, after.xyxyNorm) >= SAME_PLACE_IOU;
}

function stays({ xyxyNorm: [x1, y1, x2, y2], velocityNormPerS: [vx, vy] }: ObservedTrack): boolean {
  return Math.hypot(vx, vy) < STAYS_SIZES_PER_S * Math.hypot(x2 - x1, y2 - y1);
}

/** The lost object, moved on by its velocity, and the new one overlap when both are enlarged; a place does not move. */
function samePlace(incident: Incident, situation: Situation, atMs: number): boolean {
  if (isSamePlace(placeOf(incident.situation), placeOf(situation))) return true;
  const before = incident.situation.objects[0];
  const now = situation.objects[0];
  if (before === undefined || now === undefined || before.group !== now.group) return false;
  const gapS = Math.max(0, atMs - incident.presentMs) / 1000;
  return overlap(enlarged(moved(before, gapS)), enlarged(now.xyxyNorm));
}

function moved(
  { xyxyNorm: [x1, y1, x2, y2], velocityNormPerS: [vx, vy] }: ObservedTrack,
  gapS: number,
): XyxyNorm {
  return [x1 + vx * gapS, y1 + vy * gapS, x2 + vx * gapS, y2 + vy * gapS];
}

function enlarged([x1, y1, x2, y2]: XyxyNorm): XyxyNorm {
  const dx = (x2 - x1) * ENLARGED_BY;
  const dy = (y2 - y1) * ENLARGED_BY;
  return [x1 - dx, y1 - dy, x2 + dx, y2 + dy];
}

function overlap(a: XyxyNorm, b: XyxyNorm): boolean {
  return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}
