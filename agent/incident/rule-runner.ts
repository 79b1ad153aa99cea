/** The rules of the configuration with their incidents, each as far as its grant lets it run. */

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
import type { StandingByOwner } from './notes.ts';
import { PresentAtStart } from './present-at-start.ts';

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
  readonly dwells?: readonly Dwell[];
  resume?(dwells: readonly Dwell[]): void;
}

export interface RuleRunnersOptions {
  readonly rules: readonly RuleConfig[];
  readonly alertsPerHour: number;
  /** Makes a rule, which knows nothing yet. */
  make(config: RuleConfig): Rule;
  readonly log: Logger;
  nextEpisode(): string;
  /** Makes notes durable (contract/outbox.ts). */
  remember(notes: Notes): void;
}

/** What an earlier life has left. */
export interface RestoredRules {
  readonly standing: StandingByOwner;
  readonly outbox: Pick<Outbox, 'notes'>;
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
  readonly #present: PresentAtStart;
  readonly #dwells: DwellNotes;
  /** Those whose zone was blind at the last observation. */
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
      alerts_held_back: this.#sum(({ heldBack }) => heldBack),
      present_at_start_forgotten: this.#present.forgotten,
    };
  }

  get standing(): number {
    return this.#sum(({ standing }) => standing);
  }

  /** Takes up what stood and what stayed when an earlier life of the agent ended. */
  restore(kept: RestoredRules, now: Moment): void {
    this.#present.recover(kept.outbox);
    const dwells = this.#dwells.recover(kept.outbox, now);
    for (const runner of this.#runners) {
      const { config, incidents } = runner;
      const records = kept.standing.get(config.id) ?? [];
      incidents.restore(records, now, graceMs(config));
      runner.restore(dwells.get(config.id) ?? []);
    }
  }

  /** Notes what stays under each of the rules; durable on return where it was time to write. */
  keepDwells(atMs: number, time: Pick<MediaTime, 'wallAtMs'>): void {
    if (this.#dwells.isDue(atMs)) this.writeDwells(atMs, time.wallAtMs);
  }

  /** The same at once. */
  writeDwells(atMs: number, wallAtMs: (atMs: number) => number): void {
    this.#dwells.write(this.#staying(), atMs, wallAtMs);
  }

  #staying(): RuleDwells[] {
    return this.#runners.map(({ config, dwells }) => ({ rule: config.id, afterMs: afterMs(config), dwells }));
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

  /** What is to be published of an observation. Rules of blind zones see nothing; what stands there is held. */
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

  /** Since the last call. */
  limitChanges(): LimitChange[] {
    const changes: LimitChange[] = [];
    for (const runner of this.#runners) {
      const change = runner.limitChange();
      if (change !== undefined) changes.push(change);
    }
    return changes;
  }

  /** Before an observation: where nothing was seen for as long as an incident may be absent, what stands is held. */
  holdOverGap(atMs: number): void {
    const gapMs = atMs - (this.#seenMs ?? Number.NEGATIVE_INFINITY);
    if (gapMs > HOLD_MS) this.hold(atMs);
    this.#seenMs = atMs;
  }

  /** The eyes were shut for a moment: what stands has its rule's time to be found again. */
  hold(atMs: number): void {
    for (const runner of this.#runners) {
      runner.incidents.hold(atMs, graceMs(runner.config));
      runner.resume();
    }
  }

  /** Ends all that stands, for a reason that has nothing to do with the street. */
  endAll(reason: string, atMs: number): Happening[] {
    return this.#runners.flatMap(({ about, incidents }) =>
      incidents.endAll(reason, atMs).map((transition) => ({ about, transition })),
    );
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
  /** Of an earlier life, until the rule has looked. */
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

  /** Returns the ends of what stood and may not be watched any more, to be told as before. */
  permit(grant: RuleGrant | undefined, why: string, atMs: number): Transition[] {
    const runs = grant !== undefined && !grant.shadow;
    const ended = runs ? [] : this.incidents.endAll(why.slice(0, ENDED_MAX), atMs);
    if (grant?.shadow !== this.#grant?.shadow) {
      // What the rule knows was seen under another grant.
      this.#rule = this.#options.make(this.config);
      this.#shadow = this.#makeShadow();
      if (runs) this.#rule.resume?.(this.#restored);
    }
    this.#grant = grant;
    this.#about = subjectOfRule(this.config, grant);
    return ended;
  }

  restore(dwells: readonly Dwell[]): void {
    this.#restored = dwells;
  }

  /** The rule's own places are to be found again. */
  resume(): void {
    this.#rule.resume?.(this.#rule.dwells ?? []);
  }

  /** None of a rule that does not run, or runs in shadow. */
  get dwells(): readonly Dwell[] {
    return this.#grant === undefined || this.#grant.shadow ? [] : (this.#rule.dwells ?? []);
  }

  /** What is to be published, and what was there before; nothing of a rule that does not run, or runs in shadow. */
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
    const began = this.#shadow.step(situations, observation.atMs).filter(({ phase }) => phase === 'start');
    this.#shadowed += began.length;
    return { transitions: [], present: [] };
  }

  limitChange(): LimitChange | undefined {
    const { limit } = this.incidents;
    const { limiting } = limit;
    if (limiting === this.#limitTold) return undefined;
    this.#limitTold = limiting;
    return { about: this.#about, limiting, heldBack: limit.heldBackNow };
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
