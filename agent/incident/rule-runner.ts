/** The rules of the configuration with their incidents, each as far as its grant lets it run. */
import type { Moment } from '../base/media-time.ts';
import type { Counters } from '../contract/counters.ts';
import type { XyxyNorm } from '../contract/geometry.ts';
import type { Observation } from '../contract/observation.ts';
import type { RuleGrant, Ruling } from '../contract/permit.ts';
import type { RuleConfig } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { type EventSubject, subjectOfRule } from './event.ts';
import type { Happening } from './evidence-queue.ts';
import { HOLD_MS, Incidents, type Transition } from './lifecycle.ts';
import type { StandingByOwner } from './notes.ts';

/** The schema's limit on why an incident ended. */
const ENDED_MAX = 200;
/**
 * After a restart, an incident that stood has the rule's own time to be found again, and this on top:
 * half a minute for the camera and the tracker to come up.
 */
const RESTORE_MARGIN_MS = 30_000;

/** Says of each observation what is going on (agent/rules). */
interface Rule {
  observe(observation: Observation): Situation[];
}

export interface RuleRunnersOptions {
  readonly rules: readonly RuleConfig[];
  readonly alertsPerHour: number;
  /** Makes a rule, which knows nothing yet. */
  make(config: RuleConfig): Rule;
  nextEpisode(): string;
}

/** That a rule has used up its alerts of the hour, or that this is over. */
export interface LimitChange {
  readonly about: EventSubject;
  readonly limiting: boolean;
  /** Alerts held back meanwhile. */
  readonly heldBack: number;
}

export class RuleRunners {
  readonly #runners: readonly RuleRunner[];
  /** Zones and lines that the rules watch. */
  readonly places: readonly string[];
  /** Media time of the last observation. */
  #seenMs: number | undefined;

  constructor(options: RuleRunnersOptions) {
    this.#runners = options.rules.map((config) => new RuleRunner(config, options));
    this.places = [...new Set(options.rules.map((rule) => ('line' in rule ? rule.line : rule.zone)))];
  }

  get counters(): Counters {
    return {
      incidents_overflow: this.#sum(({ overflow }) => overflow),
      incidents_cooled: this.#sum(({ cooled }) => cooled),
      alerts_held_back: this.#sum(({ heldBack }) => heldBack),
    };
  }

  get standing(): number {
    return this.#sum(({ standing }) => standing);
  }

  /** Takes up what stood when an earlier life of the agent ended. */
  restore(records: StandingByOwner, now: Moment): void {
    for (const { config, incidents } of this.#runners) {
      incidents.restore(records.get(config.id) ?? [], now, graceMs(config));
    }
  }

  /** What runs from now on; returns the ends of what stood and may not be watched any more. */
  permit({ reason, permit, refused }: Ruling, atMs: number): Happening[] {
    return this.#runners.flatMap((runner) => {
      const { id } = runner.config;
      const why = refused.get(id) ?? '';
      const { about } = runner;
      const ends = runner.permit(
        permit?.rules.get(id),
        reason ?? (why || 'its rule runs in shadow now'),
        atMs,
      );
      return ends.map((transition) => ({ about, transition }));
    });
  }

  /** Each rule, and why it may not run; empty where it may. */
  refusals({ refused }: Ruling): { about: EventSubject; why: string }[] {
    return this.#runners.map(({ about, config }) => ({ about, why: refused.get(config.id) ?? '' }));
  }

  /** What is to be published of an observation. */
  observe(observation: Observation): Happening[] {
    return this.#runners.flatMap((runner) =>
      runner.observe(observation).map((transition) => ({ about: runner.about, transition })),
    );
  }

  /** Since the last call. */
  limitChanges(): LimitChange[] {
    return this.#runners.flatMap((runner) => runner.limitChange() ?? []);
  }

  /** Before an observation: where nothing was seen for as long as an incident may be absent, what stands is held. */
  holdOverGap(atMs: number): void {
    if (this.#seenMs === undefined || atMs - this.#seenMs > HOLD_MS) this.hold(atMs);
    this.#seenMs = atMs;
  }

  /** The eyes were shut for a moment: what stands has its rule's time to be found again. */
  hold(atMs: number): void {
    for (const { config, incidents } of this.#runners) incidents.hold(atMs, graceMs(config));
  }

  /** Ends all that stands, for a reason that has nothing to do with the street. */
  endAll(reason: string, atMs: number): Happening[] {
    return this.#runners.flatMap(({ about, incidents }) =>
      incidents.endAll(reason, atMs).map((transition) => ({ about, transition })),
    );
  }

  /** Where vehicles are known to stand. */
  standingVehicles(): XyxyNorm[] {
    const parking = this.#runners.filter(({ config }) => config.kind === 'illegal-parking');
    return parking.flatMap(({ incidents }) => incidents.boxes());
  }

  /** Incidents that the rule has not raised because it runs in shadow. */
  shadowed(rule: string): number {
    return this.#runners.find(({ config }) => config.id === rule)?.shadowed ?? 0;
  }

  #sum(of: (incidents: Incidents) => number): number {
    return this.#runners.reduce((total, { incidents }) => total + of(incidents), 0);
  }
}

/** One rule. */
class RuleRunner {
  readonly config: RuleConfig;
  readonly incidents: Incidents;
  readonly #options: RuleRunnersOptions;
  #rule: Rule;
  #about: EventSubject;
  /** Undefined: the rule does not run. */
  #grant: RuleGrant | undefined;
  #shadow: Incidents;
  #shadowed = 0;
  /** It has been told that the hour's share is used up. */
  #limitTold = false;

  constructor(config: RuleConfig, options: RuleRunnersOptions) {
    this.#options = options;
    this.config = config;
    this.incidents = new Incidents(options.nextEpisode, options.alertsPerHour);
    this.#rule = options.make(config);
    this.#about = subjectOfRule(config, undefined);
    this.#shadow = this.#makeShadow();
  }

  get about(): EventSubject {
    return this.#about;
  }

  /** Incidents that were not raised because the rule runs in shadow. */
  get shadowed(): number {
    return this.#shadowed;
  }

  /** Returns the ends of what stood and may not be watched any more, to be told as before. */
  permit(grant: RuleGrant | undefined, why: string, atMs: number): Transition[] {
    const runs = grant !== undefined && !grant.shadow;
    const ended = runs ? [] : this.incidents.endAll(why.slice(0, ENDED_MAX), atMs);
    if (grant?.shadow !== this.#grant?.shadow) {
      // What the rule knows was seen under another grant.
      this.#rule = this.#options.make(this.config);
      this.#shadow = this.#makeShadow();
    }
    this.#grant = grant;
    this.#about = subjectOfRule(this.config, grant);
    return ended;
  }

  /** What is to be published; nothing of a rule that does not run, or runs in shadow. */
  observe(observation: Observation): Transition[] {
    if (this.#grant === undefined) return [];
    const situations = this.#rule.observe(observation);
    if (!this.#grant.shadow) return this.incidents.step(situations, observation.atMs);
    const began = this.#shadow.step(situations, observation.atMs).filter(({ phase }) => phase === 'start');
    this.#shadowed += began.length;
    return [];
  }

  limitChange(): LimitChange | undefined {
    const { limiting, heldBackNow } = this.incidents.limit;
    if (limiting === this.#limitTold) return undefined;
    this.#limitTold = limiting;
    return { about: this.#about, limiting, heldBack: heldBackNow };
  }

  #makeShadow(): Incidents {
    return new Incidents(() => 'shadow', this.#options.alertsPerHour);
  }
}

function graceMs(config: RuleConfig): number {
  return ('afterS' in config ? config.afterS : 0) * 1000 + RESTORE_MARGIN_MS;
}
