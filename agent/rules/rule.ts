/** A rule turns observations into situations. It has thresholds and memory, no clock and no output. */

import type { Dwell } from '../contract/dwell.ts';
import type { Observation } from '../contract/observation.ts';
import type { RuleConfig } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';

export interface Rule {
  readonly config: RuleConfig;
  /** Takes the next observation and returns all situations that are active now. Media time is monotonic. */
  observe(observation: Observation): Situation[];
  /** Present dwells, and remembered ones not found again yet, of a rule that waits for a dwell time. */
  readonly dwells?: readonly Dwell[];
  /** Continues `dwells` whose object is found again at its place, after a break in vision or a restart. */
  resume?(dwells: readonly Dwell[]): void;
}
