/**
 * Raises an incident when a person stays in the zone. The time counts from the first stop, not from the entry: crossing
 * a large square slowly is not loitering. Once it runs, pacing up and down does not stop it; leaving the zone does.
 *
 * For people who are present when analysis begins, the time counts from then on. They are not part of the scene, and
 * the whole time was observed. After a break, a person who stops at the place of a former one may be another: at most
 * CARRIED_MS of the former dwell counts.
 */

import type { Dwell } from '../contract/dwell.ts';
import type { Observation, ObservedTrack } from '../contract/observation.ts';
import type { Loitering } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { Paths } from './paths.ts';
import {
  continued,
  interruptionsOf,
  newDwell,
  observedMs,
  RememberedDwells,
  secondsOf,
} from './remembered-dwells.ts';
import type { Rule } from './rule.ts';
import { Succession } from './succession.ts';

/** A pause of a second is a stop; a step takes half of that. */
const STOP_MS = 1000;
/**
 * Largest movement during a stop, in heights of the box within that second. Walking covers 0.8 heights a second (1.4
 * m/s, Bohannon 1997), a stroll half of that. The box of a standing person jitters by 0.05.
 */
const STOP_HEIGHTS = 0.25;
/** Longest dwell that outlasts a break. Within half a minute of waiting, two people rarely take turns at one place. */
const CARRIED_MS = 30_000;

export class LoiteringRule implements Rule {
  readonly config: Loitering;
  readonly #paths = new Paths(STOP_MS);
  readonly #succession = new Succession();
  readonly #remembered = new RememberedDwells();
  /** People who stay in the zone, by root number, with the time since when. */
  #staying = new Map<number, Dwell>();

  constructor(config: Loitering) {
    this.config = config;
  }

  get dwells(): readonly Dwell[] {
    return [...new Set([...this.#staying.values(), ...this.#remembered.missing])];
  }

  resume(dwells: readonly Dwell[]): void {
    this.#remembered.remember(dwells);
  }

  observe(observation: Observation): Situation[] {
    this.#remembered.advance(observation.atMs);
    this.#paths.update(observation);
    this.#succession.update(observation);
    const { tracks, atMs } = observation;
    const { zone, classes, afterS } = this.config;
    const labels: readonly string[] = classes;
    const succession = this.#succession;
    const staying = this.#staying;
    for (let i = 0; i < tracks.length; i++) {
      const track = tracks[i] as ObservedTrack;
      const root = succession.rootOf(track.id);
      if (labels.includes(track.label) && isIn(track, zone)) this.#follow(root, track, atMs);
      else staying.delete(root);
    }
    const situations: Situation[] = [];
    if (staying.size === 0) return situations;
    const roots = succession.roots();
    for (const root of staying.keys()) if (!roots.has(root)) staying.delete(root);
    for (let i = 0; i < tracks.length; i++) {
      const track = tracks[i] as ObservedTrack;
      const root = succession.rootOf(track.id);
      const dwell = staying.get(root);
      if (dwell === undefined || observedMs(dwell) < afterS * 1000) continue;
      const cause = { dwellS: secondsOf(observedMs(dwell)), ...interruptionsOf(dwell) };
      situations.push({ key: `track-${root}`, objects: [track], cause, momentary: false });
    }
    return situations;
  }

  /** Follows a person in the zone, who has stopped or already stays. */
  #follow(root: number, track: ObservedTrack, atMs: number): void {
    const existing = this.#staying.get(root);
    if (existing !== undefined) this.#remembered.forget(existing);
    else if (!this.#stops(track)) return;
    const dwell = existing ?? this.#carried(track, atMs) ?? newDwell(track, atMs, atMs);
    this.#staying.set(root, continued(dwell, track, atMs));
  }

  /** Returns the dwell of a person who stood here before a break, CARRIED_MS of it at most. */
  #carried(track: ObservedTrack, atMs: number): Dwell | undefined {
    const dwell = this.#remembered.take(track, atMs);
    if (dwell === undefined) return undefined;
    return { ...dwell, sinceMs: dwell.sinceMs + Math.max(0, observedMs(dwell) - CARRIED_MS) };
  }

  #stops(track: ObservedTrack): boolean {
    const path = this.#paths.of(track);
    const [first, last] = [path[0], path.at(-1)];
    if (!track.seen || first === undefined || last === undefined) return false;
    const heights = track.xyxyNorm[3] - track.xyxyNorm[1];
    // A path of one second starts at the first frame within it, so it is one frame shorter than a second.
    const spanMs = last.atMs - first.atMs;
    if (spanMs < STOP_MS / 2) return false;
    const way = Math.hypot(last.x - first.x, last.y - first.y);
    return way < STOP_HEIGHTS * heights * (spanMs / STOP_MS) && last.atMs - track.firstMs >= STOP_MS;
  }
}

function isIn({ zones }: ObservedTrack, zone: string): boolean {
  for (let i = 0; i < zones.length; i++) if (zones[i]?.zone === zone) return true;
  return false;
}
