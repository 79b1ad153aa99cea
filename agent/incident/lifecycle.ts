/**
 * Life cycle of the incidents of one rule: each starts once, is updated once a minute, and ends once.
 *
 * INVARIANTS:
 * - The transitions of every episode are start, update*, end, also across restarts.
 * - An incident that is absent for less than the hold time continues, also under another track number at the same
 *   place.
 *
 * LIMITS: at most 64 active incidents per rule, and a limited number of starts in an hour (alert-limit.ts). None starts
 * at the place of an incident that has just ended. A situation refused for such a reason is counted once. It is raised
 * later if it still exists when the reason no longer applies.
 */
import type { Phase } from '../contract/event.ts';
import { iou, type XyxyNorm } from '../contract/geometry.ts';
import type { ObservedTrack } from '../contract/observation.ts';
import type { Situation } from '../contract/situation.ts';
import { AlertLimit } from './alert-limit.ts';

/**
 * Hold time in ms. The tracker remembers a lost object for 2 s; one more second lets it be found again under a new
 * number.
 */
export const HOLD_MS = 3000;
/**
 * Interval of updates in ms. It is frequent enough to show that the incident is still active, and rare enough for ten
 * operators and 1,500 cameras.
 */
const UPDATE_EVERY_MS = 60_000;
const ACTIVE_MAX = 64;
/**
 * Cool-down of a place in ms, from the last observation of its incident. An object that reappears there within this
 * time is nearly always the same one. The alert of a different one is delayed by this time.
 */
const COOL_DOWN_MS = 10_000;
/** Minimum overlap (IoU) of boxes at the same place: the usual measure for one object detected twice. */
const SAME_PLACE_IOU = 0.5;
/**
 * Ratio of its size by which a box is enlarged on each side before comparison (the tracker's last pass uses the same).
 */
const ENLARGED_BY = 0.4;

export interface Transition {
  readonly episode: string;
  readonly phase: Phase;
  readonly situation: Situation;
  /** Media time of this transition, in ms. */
  readonly atMs: number;
  /** Time for which the incident has been active, in ms. */
  readonly activeMs: number;
}

interface Incident {
  readonly episode: string;
  readonly startedMs: number;
  situation: Situation;
  presentMs: number;
  updatedMs: number;
}

/**
 * Maximum speed of an object that stays, in own sizes per second. A faster one passes through a place, like the next
 * car, and is not a return.
 */
const STAYS_SIZES_PER_S = 0.25;

/** Reason why a situation was not raised. */
type Refusal = 'cooling' | 'full' | 'limited';

interface Cooling {
  readonly situation: Situation;
  readonly untilMs: number;
}

/** Data of an active incident that survives a restart: its place and start, in wall time. */
export interface IncidentRecord {
  readonly episode: string;
  readonly startedWallMs: number;
  readonly objects: readonly ObservedTrack[];
  /** Place of the incident, if it concerns no object. */
  readonly place?: XyxyNorm | undefined;
}

export class Incidents {
  readonly #nextEpisode: () => string;
  readonly #limit: AlertLimit;
  readonly #active = new Map<string, Incident>();
  /** Present situations that were not raised, by key. */
  readonly #refusals = new Map<string, Refusal>();
  #cooling: Cooling[] = [];
  #overflow = 0;
  #cooled = 0;

  constructor(nextEpisode: () => string, alertsPerHour = Number.POSITIVE_INFINITY) {
    this.#nextEpisode = nextEpisode;
    this.#limit = new AlertLimit(alertsPerHour);
  }

  /** Situations not raised because too many incidents were active. */
  get overflow(): number {
    return this.#overflow;
  }

  /** Situations not raised immediately because an incident had just ended at their place. */
  get cooled(): number {
    return this.#cooled;
  }

  /** Situations not raised because the hourly limit was reached. */
  get suppressed(): number {
    return this.#limit.suppressed;
  }

  get limit(): Pick<AlertLimit, 'limiting' | 'suppressedNow'> {
    return this.#limit;
  }

  get activeCount(): number {
    return this.#active.size;
  }

  /** Processes the situations of one observation and returns what starts, continues and ends. */
  step(situations: readonly Situation[], atMs: number): Transition[] {
    const out: Transition[] = [];
    this.#limit.advance(atMs);
    if (this.#cooling.length > 0) this.#cooling = this.#cooling.filter(({ untilMs }) => untilMs > atMs);
    for (const situation of situations) {
      if (situation.momentary) out.push(...this.#momentary(situation, atMs));
      else out.push(...this.#present(situation, situations, atMs));
    }
    for (const [key, incident] of this.#active) {
      if (atMs - incident.presentMs < HOLD_MS) continue;
      this.#active.delete(key);
      const { situation, presentMs } = incident;
      this.#cooling.push({ situation, untilMs: presentMs + COOL_DOWN_MS });
      out.push(transition(incident, 'end', Math.min(atMs, presentMs)));
    }
    if (this.#refusals.size > 0) {
      const present = new Set(situations.map(({ key }) => key));
      for (const key of this.#refusals.keys()) if (!present.has(key)) this.#refusals.delete(key);
    }
    return out;
  }

  /**
   * Restores incidents of an earlier run. Each continues if its object is found at its place within `graceMs`, and ends
   * otherwise. Media times may be negative, because the incident began before this boot.
   */
  restore(records: readonly IncidentRecord[], now: { atMs: number; wallMs: number }, graceMs: number): void {
    for (const { episode, startedWallMs, objects, place } of records.slice(0, ACTIVE_MAX)) {
      const key = `restored-${episode}`;
      const placeField = place === undefined ? {} : { focus: [place] };
      this.#active.set(key, {
        episode,
        startedMs: now.atMs - (now.wallMs - startedWallMs),
        situation: { key, objects: objects.map(atRest), cause: {}, momentary: false, ...placeField },
        presentMs: now.atMs + graceMs - HOLD_MS,
        updatedMs: now.atMs,
      });
    }
  }

  /**
   * Restores an incident without an object, under its own key, until it is ended. If it continues, an update is sent.
   */
  resume(
    key: string,
    { episode, startedWallMs }: IncidentRecord,
    now: { atMs: number; wallMs: number },
  ): void {
    const situation = { key, objects: [], cause: {}, momentary: false };
    const startedMs = now.atMs - (now.wallMs - startedWallMs);
    const updatedMs = Number.NEGATIVE_INFINITY;
    this.#active.set(key, { episode, startedMs, situation, presentMs: now.atMs, updatedMs });
  }

  /**
   * Holds the active incidents after an interruption of sight: each may be found again, under any number, within
   * `graceMs`.
   */
  hold(atMs: number, graceMs: number): void {
    const incidents = [...this.#active.values()];
    this.#active.clear();
    for (const incident of incidents) {
      const { objects } = incident.situation;
      incident.situation = { ...incident.situation, objects: objects.map(atRest) };
      incident.presentMs = atMs + graceMs - HOLD_MS;
      this.#active.set(`held-${incident.episode}`, incident);
    }
  }

  /** Ends all active incidents, for a reason outside the street. */
  endAll(reason: string, atMs: number, cause: Situation['cause'] = {}): Transition[] {
    const ends = [...this.#active.values()].map((incident) => {
      const { situation } = incident;
      incident.situation = { ...situation, cause: { ...situation.cause, ...cause, ended: reason } };
      return transition(incident, 'end', atMs);
    });
    this.#active.clear();
    return ends;
  }

  #momentary(situation: Situation, atMs: number): Transition[] {
    if (!this.#limit.admits) {
      this.#limit.suppress();
      return [];
    }
    const incident = this.#begin(situation, atMs);
    return [transition(incident, 'start', atMs), transition(incident, 'end', atMs)];
  }

  #present(situation: Situation, all: readonly Situation[], atMs: number): Transition[] {
    const incident = this.#active.get(situation.key) ?? this.#takeOver(situation, all, atMs);
    if (incident === undefined) {
      const refusal = this.#refusal(situation);
      if (refusal !== undefined) {
        this.#count(situation.key, refusal);
        return [];
      }
      const newIncident = this.#begin(situation, atMs);
      this.#active.set(situation.key, newIncident);
      return [transition(newIncident, 'start', atMs)];
    }
    incident.situation = situation;
    incident.presentMs = atMs;
    if (atMs - incident.updatedMs < UPDATE_EVERY_MS) return [];
    incident.updatedMs = atMs;
    return [transition(incident, 'update', atMs)];
  }

  /** Returns the incident whose object or place was lost a moment ago where this situation is now. */
  #takeOver(situation: Situation, all: readonly Situation[], atMs: number): Incident | undefined {
    const present = new Set(all.map(({ key }) => key));
    for (const [key, incident] of this.#active) {
      if (present.has(key) || !samePlace(incident, situation, atMs)) continue;
      this.#active.delete(key);
      this.#active.set(situation.key, incident);
      return incident;
    }
    return undefined;
  }

  #refusal(situation: Situation): Refusal | undefined {
    if (this.#cooling.some((cooling) => samePlaceAgain(cooling.situation, situation))) return 'cooling';
    if (this.#active.size >= ACTIVE_MAX) return 'full';
    return this.#limit.admits ? undefined : 'limited';
  }

  /** Counts a refused situation once, not with every frame. */
  #count(key: string, refusal: Refusal): void {
    if (this.#refusals.get(key) === refusal) return;
    this.#refusals.set(key, refusal);
    if (refusal === 'cooling') this.#cooled += 1;
    if (refusal === 'full') this.#overflow += 1;
    if (refusal === 'limited') this.#limit.suppress();
  }

  #begin(situation: Situation, atMs: number): Incident {
    this.#limit.raise(atMs);
    return { episode: this.#nextEpisode(), startedMs: atMs, situation, presentMs: atMs, updatedMs: atMs };
  }
}

function transition(incident: Incident, phase: Phase, atMs: number): Transition {
  const { episode, situation, startedMs } = incident;
  return { episode, phase, situation, atMs, activeMs: Math.max(0, atMs - startedMs) };
}

/** Its movement in the meantime is unknown. */
function atRest(track: ObservedTrack): ObservedTrack {
  return { ...track, velocityNormPerS: [0, 0] };
}

/** Returns the place of a situation that concerns no object: an object was left there, or a wall was painted. */
export function placeOf({ objects, focus }: Situation): XyxyNorm | undefined {
  return objects.length === 0 ? focus?.[0] : undefined;
}

function isSamePlace(a: XyxyNorm | undefined, b: XyxyNorm | undefined): boolean {
  return a !== undefined && b !== undefined && iou(a, b) >= SAME_PLACE_IOU;
}

/**
 * Reports whether an ended incident has returned: under the same key, or with an object of the same group that stays in
 * the same box.
 */
function samePlaceAgain(previous: Situation, now: Situation): boolean {
  if (previous.key === now.key || isSamePlace(placeOf(previous), placeOf(now))) return true;
  const [before, after] = [previous.objects[0], now.objects[0]];
  if (before === undefined || after === undefined || before.group !== after.group) return false;
  return stays(after) && iou(before.xyxyNorm, after.xyxyNorm) >= SAME_PLACE_IOU;
}

function stays({ xyxyNorm: [x1, y1, x2, y2], velocityNormPerS: [vx, vy] }: ObservedTrack): boolean {
  return Math.hypot(vx, vy) < STAYS_SIZES_PER_S * Math.hypot(x2 - x1, y2 - y1);
}

/**
 * Reports whether the lost object, moved on by its velocity, and the new one overlap when both are enlarged. A place
 * does not move.
 */
function samePlace(incident: Incident, situation: Situation, atMs: number): boolean {
  if (isSamePlace(placeOf(incident.situation), placeOf(situation))) return true;
  const before = incident.situation.objects[0];
  const now = situation.objects[0];
  if (before === undefined || now === undefined || before.group !== now.group) return false;
  const gapS = Math.max(0, atMs - incident.presentMs) / 1000;
  return overlap(enlarged(extrapolateBox(before, gapS)), enlarged(now.xyxyNorm));
}

function extrapolateBox(
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
