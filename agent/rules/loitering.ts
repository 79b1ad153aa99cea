/**
 * Somebody stays in the zone. The time counts from the first moment at which he stops, not from when he
 * walks in: who crosses a large square slowly does not loiter. Once it runs, pacing up and down does not
 * stop it; leaving the zone does.
 */

import type { Observation, ObservedTrack } from '../contract/observation.ts';
import type { Loitering } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { Paths } from './paths.ts';
import type { Rule } from './rule.ts';
import { Succession } from './succession.ts';

/** A pause of a second is a stop; a step takes half of that. */
const STOP_MS = 1000;
/**
 * Of the box's height, within that second. Walking is 0.8 heights a second (1.4 m/s, Bohannon 1997), a
 * stroll half of that; the jitter of a standing person's box is 0.05.
 */
const STOP_HEIGHTS = 0.25;

export class LoiteringRule implements Rule {
  readonly config: Loitering;
  readonly #paths = new Paths(STOP_MS);
  readonly #succession = new Succession();
  /** By root number: since when the person stays in the zone. */
  #staying = new Map<number, number>();

  constructor(config: Loitering) {
    this.config = config;
  }

  observe(observation: Observation): Situation[] {
    this.#paths.update(observation);
    this.#succession.update(observation);
    const { tracks, atMs } = observation;
    const { zone, classes, afterS } = this.config;
    const labels: readonly string[] = classes;
    for (const track of tracks) {
      const root = this.#succession.rootOf(track.id);
      if (!labels.includes(track.label) || !track.zones.some((z) => z.zone === zone))
        this.#staying.delete(root);
      else if (!this.#staying.has(root) && this.#stops(track)) this.#staying.set(root, atMs);
    }
    const roots = this.#succession.roots();
    for (const root of this.#staying.keys()) if (!roots.has(root)) this.#staying.delete(root);
    return tracks.flatMap((track) => {
      const root = this.#succession.rootOf(track.id);
      const sinceMs = this.#staying.get(root);
      if (sinceMs === undefined || atMs - sinceMs < afterS * 1000) return [];
      const cause = { stayedS: Math.round((atMs - sinceMs) / 100) / 10 };
      return [{ key: `track-${root}`, objects: [track], cause, momentary: false }];
    });
  }

  #stops(track: ObservedTrack): boolean {
    const path = this.#paths.of(track);
    const [first, last] = [path[0], path.at(-1)];
    if (!track.seen || first === undefined || last === undefined) return false;
    const heights = track.xyxyNorm[3] - track.xyxyNorm[1];
    // A path of one second reaches back to the first frame within it: one frame less than the second.
    const spanMs = last.atMs - first.atMs;
    if (spanMs < STOP_MS / 2) return false;
    const way = Math.hypot(last.x - first.x, last.y - first.y);
    return way < STOP_HEIGHTS * heights * (spanMs / STOP_MS) && last.atMs - track.firstMs >= STOP_MS;
  }
}
