/**
 * Reports vehicles that were already present when analysis began, and would have been alerts if their arrival had been
 * observed. Each is a notice of its own kind, which ends immediately.
 *
 * INVARIANTS: at most once a day for a place and a rule, also across restarts, and not again while the vehicle stays
 * there.
 *
 * LIMITS: 512 places; beyond that, the one reported first is forgotten first (counted).
 */
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { jsonOf } from '../base/json.ts';
import type { Logger } from '../base/log.ts';
import type { Moment } from '../base/media-time.ts';
import { iou, ratioInside, XyxyNorm } from '../contract/geometry.ts';
import type { Notes, Outbox } from '../contract/outbox.ts';
import type { Situation } from '../contract/situation.ts';
import { type EventSubject, subjectOfPresent } from './event.ts';
import type { Happening } from './evidence-queue.ts';
import { Incidents } from './lifecycle.ts';

const PRESENT = 'present/';
const DAY_MS = 86_400_000;
const REPORTED_MAX = 512;
/** Minimum overlap of the same vehicle: as for a resumed incident (IoU), or half of one box within the other. */
const SAME_PLACE_MIN = 0.5;

const ReportedPlace = Type.Object({
  rule: Type.String({ minLength: 1, maxLength: 100 }),
  xyxyNorm: XyxyNorm,
  toldWallMs: Type.Number(),
});
interface ReportedPlace {
  readonly rule: string;
  readonly xyxyNorm: XyxyNorm;
  readonly toldWallMs: number;
  /** Wall time of the last observation there, in this run. */
  seenWallMs: number;
}

export class PresentAtStart {
  readonly #log: Logger;
  readonly #incidents: Incidents;
  /** Reported places by the key of their note, in order of reporting. */
  readonly #reportedPlaces = new Map<string, ReportedPlace>();
  /** Keys of obsolete notes. */
  #obsoleteKeys: string[] = [];
  #forgotten = 0;

  constructor({ log, nextEpisode }: { readonly log: Logger; nextEpisode(): string }) {
    this.#log = log;
    this.#incidents = new Incidents(nextEpisode);
  }

  /** Places whose notice may be repeated within the day because there were too many. */
  get forgotten(): number {
    return this.#forgotten;
  }

  recover(outbox: Pick<Outbox, 'notes'>): void {
    for (const { key, text } of outbox.notes(PRESENT)) {
      const content = jsonOf(text);
      if (Value.Check(ReportedPlace, content))
        this.#reportedPlaces.set(key, { ...content, seenWallMs: content.toldWallMs });
      else {
        this.#log.warn(
          { key },
          'a stored report of a vehicle present at start cannot be read; the vehicle may be reported again',
        );
        this.#obsoleteKeys.push(key);
      }
    }
  }

  /** Returns the notices for the situations of a rule that were already present. */
  observe(rule: EventSubject, situations: readonly Situation[], { atMs, wallMs }: Moment): Happening[] {
    if (situations.length === 0) return [];
    this.#expire(wallMs);
    return situations.flatMap((situation) => {
      const [object] = situation.objects;
      if (object === undefined || this.#isReported(rule.rule.id, object.xyxyNorm, wallMs)) return [];
      const { label, xyxyNorm } = object;
      const { stationaryS } = situation.cause;
      const zone = rule.zone?.id;
      const cause = { stationaryS, label, xyxyNorm, ...(zone !== undefined && { zone }) };
      const transitions = this.#incidents.step([{ ...situation, cause, momentary: true }], atMs);
      const key = PRESENT + (transitions[0]?.episode ?? '');
      const place = { rule: rule.rule.id, xyxyNorm, toldWallMs: wallMs };
      this.#reportedPlaces.set(key, { ...place, seenWallMs: wallMs });
      const notes: Notes = {
        ...Object.fromEntries(this.#obsoleteKeys.map((obsoleteKey) => [obsoleteKey, null])),
        [key]: JSON.stringify(place),
      };
      this.#obsoleteKeys = [];
      const about = subjectOfPresent(rule);
      return transitions.map((transition) => ({ about, transition, notes }));
    });
  }

  #isReported(rule: string, xyxyNorm: XyxyNorm, wallMs: number): boolean {
    for (const place of this.#reportedPlaces.values()) {
      if (place.rule !== rule || !isSamePlace(place.xyxyNorm, xyxyNorm)) continue;
      place.seenWallMs = Math.max(place.seenWallMs, wallMs);
      return true;
    }
    return false;
  }

  #expire(wallMs: number): void {
    for (const [key, { seenWallMs }] of this.#reportedPlaces) {
      const tooMany = this.#reportedPlaces.size >= REPORTED_MAX;
      if (!tooMany && wallMs - seenWallMs < DAY_MS) continue;
      if (tooMany) this.#forgotten += 1;
      this.#reportedPlaces.delete(key);
      this.#obsoleteKeys.push(key);
    }
  }
}

function isSamePlace(a: XyxyNorm, b: XyxyNorm): boolean {
  return iou(a, b) >= SAME_PLACE_MIN || Math.max(ratioInside(a, b), ratioInside(b, a)) >= SAME_PLACE_MIN;
}
