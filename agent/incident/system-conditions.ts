/**
 * Conditions of the box and its camera: each is one incident, which begins once and ends once, also across restarts.
 *
 * INVARIANTS: a condition begun in an earlier run is resumed if its source reports the current state at every start.
 * Otherwise it is ended at the start, and begins again if it persists.
 */

import type { Counters } from '../base/counters.ts';
import type { Moment } from '../base/media-time.ts';
import {
  CONDITIONS,
  type DegradingCondition,
  isConditionKind,
  type MomentCondition,
  type ReminderCondition,
  type RuleCondition,
  type StateCondition,
} from '../contract/condition.ts';
import type { Observation } from '../contract/observation.ts';
import { CameraFitness } from './camera-fitness.ts';
import { type EventSubject, subjectOfBoxRule, subjectOfCondition, subjectOfReminder } from './event.ts';
import type { Happening } from './evidence-queue.ts';
import { Incidents } from './lifecycle.ts';
import { BOX_OWNER, type IncidentsByOwner } from './notes.ts';

type Cause = Readonly<Record<string, unknown>>;

/** Current state of a task for a person. */
export interface Reminder {
  readonly kind: ReminderCondition;
  /** Id of the reminder among those of its kind. */
  readonly id: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly active: boolean;
  readonly cause: Cause;
}

export interface SystemConditionsOptions {
  /** Zones and lines that the rules watch, and the rules. */
  readonly places: readonly string[];
  readonly rules: readonly string[];
  nextEpisode(): string;
}

export class SystemConditions {
  readonly #options: SystemConditionsOptions;
  readonly #incidents = new Map<string, Incidents>();
  /** Subjects of the last reminders, by key. */
  readonly #reminded = new Map<string, EventSubject>();
  readonly #camera = new CameraFitness();

  constructor(options: SystemConditionsOptions) {
    this.#options = options;
  }

  get counters(): Counters {
    return this.#camera.counters;
  }

  /** Kinds of the active conditions, each once, sorted alphabetically. */
  get activeKinds(): string[] {
    const keys = [...this.#incidents].filter(([, { activeCount }]) => activeCount > 0).map(([key]) => key);
    return [...new Set(keys.map((key) => key.split('/', 1)[0] ?? key))].sort();
  }

  /** Reports whether the camera is unfit for the rules. */
  get blind(): boolean {
    return this.#camera.blind;
  }

  /** Zones without visibility while the camera is not blind. */
  get blindZones(): readonly string[] {
    return this.#camera.blindZones;
  }

  /** Active conditions that degrade the picture. */
  get degraded(): DegradingCondition[] {
    return this.#camera.degraded;
  }

  /** Returns the seconds without sight of the zones, up to a monotonic time. */
  blindS(nowMs: number): number {
    return this.#camera.blindS(nowMs);
  }

  /** Records from a monotonic time on that the zones are not visible, because vision is unavailable. */
  visionIsUnavailable(nowMs: number): void {
    this.#camera.sees(false, nowMs);
  }

  /** Returns the transitions caused by an observation that arrived at a monotonic time. */
  observe(observation: Observation, nowMs: number): Happening[] {
    const { atMs } = observation;
    const zones = this.#camera
      .updateZones(observation)
      .flatMap(({ zone, blind }) =>
        this.#change(`cannot-see/${zone}`, subjectOfCondition('cannot-see'), blind, { places: [zone] }, atMs),
      );
    const changes = this.#camera.update(observation);
    const happenings = changes.flatMap(({ kind, active }) =>
      this.tell(kind, active, {}, observation.atMs, nowMs),
    );
    this.#camera.sees(!this.#camera.blind, nowMs);
    return [...zones, ...happenings];
  }

  /** Reports a condition of the camera or the box; returns its transitions. */
  tell(kind: StateCondition, active: boolean, cause: Cause, atMs: number, nowMs: number): Happening[] {
    const { listsPlaces } = CONDITIONS[kind];
    if (active && listsPlaces) this.#camera.sees(false, nowMs);
    const blinded = listsPlaces ? { places: this.#options.places } : {};
    return this.#change(kind, subjectOfCondition(kind), active, { ...cause, ...blinded }, atMs);
  }

  /** Reports a momentary occurrence on the box: begun and ended in one step. */
  happened(kind: MomentCondition, cause: Cause, atMs: number): Happening[] {
    const about = subjectOfCondition(kind);
    const situation = { key: kind, objects: [], cause, momentary: true };
    return this.#of(kind)
      .step([situation], atMs)
      .map((transition) => ({ about, transition }));
  }

  /**
   * Reports a task for a person, often with a due date, of which the box reminds the room. Each value of `params` is an
   * incident of its own; a change, such as another date, ends the active one.
   */
  remind({ kind, id, params, active, cause }: Reminder, atMs: number): Happening[] {
    const key = `${kind}/${id}`;
    const about = subjectOfReminder(kind, id, params);
    const before = this.#reminded.get(key) ?? about;
    const isRenewed = JSON.stringify(before.rule.params) !== JSON.stringify(params);
    const ends =
      isRenewed || !active
        ? this.#of(key)
            .endAll('renewed', atMs)
            .map((transition) => ({ about: before, transition }))
        : [];
    this.#reminded.set(key, about);
    return active ? [...ends, ...this.#change(key, about, true, cause, atMs)] : ends;
  }

  /** Reports a condition of one of the box's rules. */
  tellOfRule(
    about: EventSubject,
    kind: RuleCondition,
    params: object,
    active: boolean,
    cause: Cause,
    atMs: number,
  ): Happening[] {
    const key = `${kind}/${about.rule.id}`;
    return this.#change(key, subjectOfBoxRule(about, kind, params), active, cause, atMs);
  }

  /** Restores the active conditions; returns the ends of those that their source would not end. */
  restore(records: IncidentsByOwner, now: Moment): Happening[] {
    return [...records].flatMap(([owner, [record]]) => {
      if (!owner.startsWith(BOX_OWNER) || record === undefined) return [];
      const key = owner.slice(BOX_OWNER.length);
      const incidents = this.#of(key);
      incidents.resume(key, record, now);
      if (record.about !== undefined) this.#reminded.set(key, record.about);
      if (this.#isToldAtStart(key)) return [];
      const { about = subjectOfCondition(key.split('/', 1)[0] ?? key) } = record;
      const ends = incidents.endAll('the agent restarted', now.atMs);
      return ends.map((transition) => ({ about, transition }));
    });
  }

  #isToldAtStart(key: string): boolean {
    const [kind = '', id] = key.split('/');
    if (!isConditionKind(kind) || !CONDITIONS[kind].toldAtStart) return false;
    const { form } = CONDITIONS[kind];
    if (form === 'of-rule') return id !== undefined && this.#options.rules.includes(id);
    return form === 'reminder' || id === undefined;
  }

  #change(key: string, about: EventSubject, active: boolean, cause: Cause, atMs: number): Happening[] {
    const incidents = this.#of(key);
    const transitions = active
      ? incidents.step([{ key, objects: [], cause, momentary: false }], atMs)
      : incidents.endAll('recovered', atMs, cause);
    return transitions.map((transition) => ({ about, transition }));
  }

  #of(key: string): Incidents {
    const incidents = this.#incidents.get(key) ?? new Incidents(this.#options.nextEpisode);
    this.#incidents.set(key, incidents);
    return incidents;
  }
}
