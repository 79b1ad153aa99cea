/**
 * Conditions of the box and its camera: each is one incident, which begins once and ends once, restarts included.
 *
 * INVARIANTS: what an earlier life has begun is either taken up (when its source says at every start how things stand)
 * or ended at the start, and begun anew should it hold on.
 */
import type { Moment } from '../base/media-time.ts';
import type { Counters } from '../contract/counters.ts';
import {
  CAMERA_CONDITIONS,
  DEGRADING,
  type DegradingCondition,
  type Observation,
} from '../contract/observation.ts';
import { CameraFitness } from './camera-fitness.ts';
import { type EventSubject, subjectOfBoxRule, subjectOfCondition } from './event.ts';
import type { Happening } from './evidence-queue.ts';
import { Incidents } from './lifecycle.ts';
import { BOX_OWNER, type StandingByOwner } from './notes.ts';

type Cause = Readonly<Record<string, unknown>>;

/** Their sources speak at each start, or as soon as they can. */
const TOLD_AT_START: readonly string[] = [
  'suspended',
  'unauthorised',
  'config-refused',
  'stream-lost',
  'vision-failed',
  'detector-down',
  'detector-fallback',
  'identity-conflict',
  'certificate',
  // Of each rule of the configuration.
  'rule-unauthorised/',
];
/** While one of these stands nothing is seen of the places that rules watch. */
const BLINDING: readonly string[] = [
  'stream-lost',
  'vision-failed',
  ...CAMERA_CONDITIONS.filter((kind) => !DEGRADING.some((degrading) => degrading === kind)),
];

export interface SystemConditionsOptions {
  /** Zones and lines that the rules watch, and the rules. */
  readonly places: readonly string[];
  readonly rules: readonly string[];
  nextEpisode(): string;
}

export class SystemConditions {
  readonly #options: SystemConditionsOptions;
  readonly #incidents = new Map<string, Incidents>();
  readonly #camera = new CameraFitness();

  constructor(options: SystemConditionsOptions) {
    this.#options = options;
  }

  get counters(): Counters {
    return this.#camera.counters;
  }

  /** The camera is not fit to judge by. */
  get blind(): boolean {
    return this.#camera.blind;
  }

  /** What is seen is seen badly. */
  get degraded(): DegradingCondition[] {
    return this.#camera.degraded;
  }

  /** Seconds without sight of the zones, up to a monotonic time. */
  blindS(nowMs: number): number {
    return this.#camera.blindS(nowMs);
  }

  /** Nothing can be seen from now on, a monotonic time: vision is away. */
  visionIsAway(nowMs: number): void {
    this.#camera.sees(false, nowMs);
  }

  /** What begins and ends with an observation, which came at a monotonic time. */
  observe(observation: Observation, nowMs: number): Happening[] {
    const changes = this.#camera.update(observation);
    const happenings = changes.flatMap(({ kind, active }) =>
      this.tell(kind, active, {}, observation.atMs, nowMs),
    );
    this.#camera.sees(!this.#camera.blind, nowMs);
    return happenings;
  }

  /** A condition of the camera or the box holds or does not; returns what begins, goes on or ends by that. */
  tell(kind: string, active: boolean, cause: Cause, atMs: number, nowMs: number): Happening[] {
    if ((kind === 'stream-lost' || kind === 'vision-failed') && active) this.#camera.sees(false, nowMs);
    const blinded = BLINDING.includes(kind) ? { places: this.#options.places } : {};
    return this.#change(kind, subjectOfCondition(kind), active, { ...cause, ...blinded }, atMs);
  }

  /** The same of what the box says of one of its rules. */
  tellOfRule(
    about: EventSubject,
    kind: string,
    params: object,
    active: boolean,
    cause: Cause,
    atMs: number,
  ): Happening[] {
    const key = `${kind}/${about.rule.id}`;
    return this.#change(key, subjectOfBoxRule(about, kind, params), active, cause, atMs);
  }

  /** Takes up what stood; returns the ends of what its source would not end. */
  restore(records: StandingByOwner, now: Moment): Happening[] {
    return [...records].flatMap(([owner, [record]]) => {
      if (!owner.startsWith(BOX_OWNER) || record === undefined) return [];
      const key = owner.slice(BOX_OWNER.length);
      const incidents = this.#of(key);
      incidents.resume(key, record, now);
      if (this.#isToldAtStart(key)) return [];
      const { about = subjectOfCondition(key) } = record;
      const ends = incidents.endAll('the agent started anew', now.atMs);
      return ends.map((transition) => ({ about, transition }));
    });
  }

  #isToldAtStart(key: string): boolean {
    const [kind = '', rule] = key.split('/');
    if (rule === undefined) return TOLD_AT_START.includes(kind);
    return TOLD_AT_START.includes(`${kind}/`) && this.#options.rules.includes(rule);
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
