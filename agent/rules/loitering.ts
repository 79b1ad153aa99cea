/**
 * Raises an incident when a person stays in the zone. The time counts from the first stop, not from the entry: crossing
 * a large square slowly is not loitering. Once it runs, pacing up and down does not stop it; leaving the zone does.
 *
 * For people who are present when analysis begins, the time counts from then on. They are not part of the scene, and
 * the whole time was observed.
 */

import type { Dwell } from '../contract/dwell.ts';
import type { Observation, ObservedTrack } from '../contract/observation.ts';
import type { Loitering } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { Paths } from './paths.ts';
import { dwellOf, RememberedDwells } from './remembered-dwells.ts';
import type { Rule } from './rule.ts';
import { Succession } from './succession.ts';

/** A pause of a second is a stop; a step takes half of that. */
const STOP_MS = 1000;
/**
 * Largest movement during a stop, in heights of the box within that second. Walking covers 0.8 heights a second (1.4
 * m/s, Bohannon 1997), a stroll half of that. The box of a standing person jitters by 0.05.
 */
const STOP_HEIGHTS = 0.25;

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
      const sinceMs = staying.get(root)?.sinceMs;
      if (sinceMs === undefined || atMs - sinceMs < afterS * 1000) continue;
      const cause = { dwellS: Math.round((atMs - sinceMs) / 100) / 10 };
      situations.push({ key: `track-${root}`, objects: [track], cause, momentary: false });
    }
    return situations;
  }

  /** Follows a person in the zone, who has stopped or already stays. */
  #follow(root: number, track: ObservedTrack, atMs: number): void {
    const existing = this.#staying.get(root);
    if (existing !== undefined) this.#remembered.forget(existing);
    const dwell =
      existing ??
      this.#remembered.take(track) ??
      (this.#stops(track) ? dwellOf(track, { sinceMs: atMs, seenMs: atMs, score: track.score }) : undefined);
    if (dwell === undefined) return;
    const { sinceMs, score } = dwell;
    const best = Math.max(score, track.score);
    this.#staying.set(root, dwellOf(track, { sinceMs, seenMs: atMs, score: best }));
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
