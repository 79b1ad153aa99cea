/** A rule turns observations into situations. It holds thresholds and memory, no clock and no output. */

import type { Dwell } from '../contract/dwell.ts';
import type { Observation } from '../contract/observation.ts';
import type { RuleConfig } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';

export interface Rule {
  readonly config: RuleConfig;
  /** Takes the next observation (media time never goes back) and names all situations that stand now. */
  observe(observation: Observation): Situation[];
  /** Of a rule that waits for how long something stays: what stays now, and what was remembered and is not found yet. */
  readonly dwells?: readonly Dwell[];
  /** Nothing was seen for a while, or this is a new life: what of `dwells` is found again at its place goes on. */
  resume?(dwells: readonly Dwell[]): void;
}
