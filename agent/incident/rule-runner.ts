/** One rule of the configuration with its incidents, as far as its grant lets it run. */
import type { RuleConfig } from '../contract/config.ts';
import type { Observation } from '../contract/observation.ts';
import type { RuleGrant } from '../contract/permit.ts';
import { type EventSubject, subjectOfRule } from './event.ts';
import { Incidents, type Transition } from './incidents.ts';
import { makeRule, type RuleSite } from '../rules/registry.ts';
import type { Rule } from '../rules/rule.ts';

/** The schema's limit on why an incident ended. */
const ENDED_MAX = 200;

export interface RuleRunnerOptions {
  readonly config: RuleConfig;
  readonly site: RuleSite;
  readonly alertsPerHour: number;
  nextEpisode(): string;
}

export class RuleRunner {
  readonly config: RuleConfig;
  readonly incidents: Incidents;
  /** It has been told that the hour's share is used up. */
  limitTold = false;
  readonly #options: RuleRunnerOptions;
  #rule: Rule;
  #about: EventSubject;
  /** Undefined: the rule does not run. */
  #grant: RuleGrant | undefined;
  #shadow: Incidents;
  #shadowed = 0;

  constructor(options: RuleRunnerOptions) {
    const { config, site, alertsPerHour, nextEpisode } = options;
    this.#options = options;
    this.config = config;
    this.incidents = new Incidents(nextEpisode, alertsPerHour);
    this.#rule = makeRule(config, site);
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

  /** What runs from now on. Returns the ends of what stood and may not be watched any more, to be told as before. */
  permit(grant: RuleGrant | undefined, why: string, atMs: number): Transition[] {
    const runs = grant !== undefined && !grant.shadow;
    const ended = runs ? [] : this.incidents.endAll(why.slice(0, ENDED_MAX), atMs);
    if (grant?.shadow !== this.#grant?.shadow) {
      // What the rule knows was seen under another grant.
      this.#rule = makeRule(this.config, this.#options.site);
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

  #makeShadow(): Incidents {
    return new Incidents(() => 'shadow', this.#options.alertsPerHour);
  }
}
