/** A rule turns observations into situations. It holds thresholds and memory, no clock and no output. */

import type { Observation } from '../contract/observation.ts';
import type { RuleConfig } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';

export interface Rule {
  readonly config: RuleConfig;
  /** Takes the next observation (media time never goes back) and names all situations that stand now. */
  observe(observation: Observation): Situation[];
}
