/** Runs the rules of the configuration with their incidents, each as far as its grant permits. */

import type { Counters } from '../base/counters.ts';
import type { Logger } from '../base/log.ts';
import type { MediaTime, Moment } from '../base/media-time.ts';
import type { Dwell } from '../contract/dwell.ts';
import type { Observation } from '../contract/observation.ts';
import type { Notes, Outbox } from '../contract/outbox.ts';
import type { RuleGrant, Ruling } from '../contract/permit.ts';
import type { RuleConfig } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import { DwellNotes, type RuleDwells } from './dwell-notes.ts';
import { type EventSubject, subjectOfRule } from './event.ts';
import type { Happening } from './evidence-queue.ts';
import { HOLD_MS, Incidents, type Transition } from './lifecycle.ts';
import type { IncidentsByOwner } from './notes.ts';
import { PresentAtStart } from './present-at-start.ts';

/** Maximum length of the reason why an incident ended (the schema's limit). */
const ENDED_MAX = 200;
/**
 * Time in ms to find an active incident again after a restart, in addition to the rule's own time. Half a minute covers
 * the start of the camera and the tracker.
 */
const RESTORE_MARGIN_MS = 30_000;

/** Returns the situations of each observation (agent/rules). */
interface Rule {
  observe(observation: Observation): Situation[];
  readonly dwells?: readonly Dwell[];
  resume?(dwells: readonly Dwell[]): void;
}

export interface RuleRunnersOptions {
  readonly rules: readonly RuleConfig[];
  readonly alertsPerHour: number;
  /** Creates a rule without any state. */
  make(config: RuleConfig): Rule;
  readonly log: Logger;
  nextEpisode(): string;
  /** Makes notes durable (contract/outbox.ts). */
  remember(notes: Notes): void;
}

/** State stored by an earlier run. */
export interface RestoredRules {
  readonly incidents: IncidentsByOwner;
  readonly outbox: Pick<Outbox, 'notes'>;
}

/** Start or end of a period in which a rule has reached its hourly alert limit. */
export interface LimitChange {
  readonly about: EventSubject;
  readonly limiting: boolean;
  /** Alerts suppressed in this period. */
  readonly suppressed: number;
}

export class RuleRunners {
  readonly #runners: readonly RuleRunner[];
  readonly #present: PresentAtStart;
  readonly #dwells: DwellNotes;
  /** Runners whose zone was blind at the last observation. */
  readonly #paused = new Set<RuleRunner>();
  /** Zones and lines that the rules watch. */
  readonly places: readonly string[];
  /** Media time of the last observation. */
  #seenMs: number | undefined;

  constructor(options: RuleRunnersOptions) {
    this.#runners = options.rules.map((config) => new RuleRunner(config, options));
    this.#present = new PresentAtStart(options);
    this.#dwells = new DwellNotes((notes) => options.remember(notes), options.log);
    this.places = [...new Set(options.rules.map((rule) => ('line' in rule ? rule.line : rule.zone)))];
  }

  get counters(): Counters {
    return {
      incidents_overflow: this.#sum(({ overflow }) => overflow),
      incidents_cooled: this.#sum(({ cooled }) => cooled),
      alerts_suppressed: this.#sum(({ suppressed }) => suppressed),
      present_at_start_forgotten: this.#present.forgotten,
    };
  }

  get activeCount(): number {
    return this.#sum(({ activeCount }) => activeCount);
  }

  /** Restores the active incidents and the dwells of an earlier run of the agent. */
  restore(previousRun: RestoredRules, now: Moment): void {
    this.#present.recover(previousRun.outbox);
    const dwells = this.#dwells.recover(previousRun.outbox, now);
    for (const runner of this.#runners) {
      const { config, incidents } = runner;
      const records = previousRun.incidents.get(config.id) ?? [];
      incidents.restore(records, now, graceMs(config));
      runner.restore(dwells.get(config.id) ?? []);
    }
  }

  /** Stores the dwells of all rules if a write is due; durable on return. */
  keepDwells(atMs: number, time: Pick<MediaTime, 'wallAtMs'>): void {
    if (this.#dwells.isDue(atMs)) this.writeDwells(atMs, time.wallAtMs);
  }

  /** Stores the dwells immediately. */
  writeDwells(atMs: number, wallAtMs: (atMs: number) => number): void {
    this.#dwells.write(this.#staying(), atMs, wallAtMs);
  }

  #staying(): RuleDwells[] {
    return this.#runners.map(({ config, dwells }) => ({ rule: config.id, afterMs: afterMs(config), dwells }));
  }

  /** Applies a ruling. Returns the ends of active incidents that may no longer be watched. */
  applyRuling({ reason, permit, refusals }: Ruling, atMs: number): Happening[] {
    return this.#runners.flatMap((runner) => {
      const { id } = runner.config;
      const refusal = refusals.get(id) ?? '';
      const { about } = runner;
      const ends = runner.applyGrant(
        permit?.rules.get(id),
        reason ?? (refusal || 'its rule runs in shadow now'),
        atMs,
      );
      return ends.map((transition) => ({ about, transition }));
    });
  }

  /** Returns each rule with the reason why it may not run; empty if it may. */
  refusals({ refusals }: Ruling): { about: EventSubject; reason: string }[] {
    return this.#runners.map(({ about, config }) => ({ about, reason: refusals.get(config.id) ?? '' }));
  }

  /**
   * Returns the transitions to publish for an observation. Rules of blind zones receive nothing; their active incidents
   * are held.
   */
  observe(observation: Observation, blindZones: readonly string[] = []): Happening[] {
    const happenings: Happening[] = [];
    for (const runner of this.#runners) {
      const { config } = runner;
      if (blindZones.length > 0 && 'zone' in config && blindZones.includes(config.zone)) {
        this.#paused.add(runner);
        continue;
      }
      if (this.#paused.delete(runner)) runner.incidents.hold(observation.atMs, graceMs(config));
      const { transitions, present } = runner.observe(observation);
      const { about } = runner;
      for (const transition of transitions) happenings.push({ about, transition });
      if (present.length > 0) happenings.push(...this.#present.observe(about, present, observation));
    }
    return happenings;
  }

  /** Returns the changes since the last call. */
  limitChanges(): LimitChange[] {
    const changes: LimitChange[] = [];
    for (const runner of this.#runners) {
      const change = runner.limitChange();
      if (change !== undefined) changes.push(change);
    }
    return changes;
  }

  /** Holds the active incidents if the gap before an observation is as long as an incident may be absent. */
  holdOverGap(atMs: number): void {
    const gapMs = atMs - (this.#seenMs ?? Number.NEGATIVE_INFINITY);
    if (gapMs > HOLD_MS) this.hold(atMs);
    this.#seenMs = atMs;
  }

  /** Holds the active incidents after an interruption of sight: each has its rule's time to be found again. */
  hold(atMs: number): void {
    for (const runner of this.#runners) {
      runner.incidents.hold(atMs, graceMs(runner.config));
      runner.resume();
    }
  }

  /** Ends all active incidents, for a reason outside the street. */
  endAll(reason: string, atMs: number): Happening[] {
    return this.#runners.flatMap(({ about, incidents }) =>
      incidents.endAll(reason, atMs).map((transition) => ({ about, transition })),
    );
  }

  /** Returns the number of incidents that the rule has not raised because it runs in shadow. */
  shadowed(rule: string): number {
    return this.#runners.find(({ config }) => config.id === rule)?.shadowed ?? 0;
  }

  #sum(of: (incidents: Incidents) => number): number {
    return this.#runners.reduce((total, { incidents }) => total + of(incidents), 0);
  }
}

/** Runs one rule. */
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
  /** The reached hourly limit has been reported. */
  #isLimitReported = false;
  /** Dwells of an earlier run, until the rule's first observation. */
  #restored: readonly Dwell[] = [];

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

  /**
   * Applies a grant. Returns the ends of active incidents that may no longer be watched, to be published with the
   * previous subject.
   */
  applyGrant(grant: RuleGrant | undefined, reason: string, atMs: number): Transition[] {
    const runs = grant !== undefined && !grant.shadow;
    const ends = runs ? [] : this.incidents.endAll(reason.slice(0, ENDED_MAX), atMs);
    if (grant?.shadow !== this.#grant?.shadow) {
      // The rule's state was observed under another grant.
      this.#rule = this.#options.make(this.config);
      this.#shadow = this.#makeShadow();
      if (runs) this.#rule.resume?.(this.#restored);
    }
    this.#grant = grant;
    this.#about = subjectOfRule(this.config, grant);
    return ends;
  }

  restore(dwells: readonly Dwell[]): void {
    this.#restored = dwells;
  }

  /** Lets the rule find its own places again. */
  resume(): void {
    this.#rule.resume?.(this.#rule.dwells ?? []);
  }

  /** Dwells of the rule; none if it does not run, or runs in shadow. */
  get dwells(): readonly Dwell[] {
    return this.#grant === undefined || this.#grant.shadow ? [] : (this.#rule.dwells ?? []);
  }

  /**
   * Returns the transitions to publish, and the situations that were already present. Both are empty if the rule does
   * not run, or runs in shadow.
   */
  observe(observation: Observation): { transitions: Transition[]; present: Situation[] } {
    if (this.#grant === undefined) return { transitions: [], present: [] };
    const all = this.#rule.observe(observation);
    this.#restored = [];
    const present = all.filter(({ presentAtStart }) => presentAtStart === true);
    const situations =
      present.length === 0 ? all : all.filter(({ presentAtStart }) => presentAtStart !== true);
    if (!this.#grant.shadow) {
      return { transitions: this.incidents.step(situations, observation.atMs), present };
    }
    const starts = this.#shadow.step(situations, observation.atMs).filter(({ phase }) => phase === 'start');
    this.#shadowed += starts.length;
    return { transitions: [], present: [] };
  }

  limitChange(): LimitChange | undefined {
    const { limit } = this.incidents;
    const { limiting } = limit;
    if (limiting === this.#isLimitReported) return undefined;
    this.#isLimitReported = limiting;
    return { about: this.#about, limiting, suppressed: limit.suppressedNow };
  }

  #makeShadow(): Incidents {
    return new Incidents(() => 'shadow', this.#options.alertsPerHour);
  }
}

function afterMs(config: RuleConfig): number {
  return ('afterS' in config ? config.afterS : 0) * 1000;
}

function graceMs(config: RuleConfig): number {
  return afterMs(config) + RESTORE_MARGIN_MS;
}
