/** Duration of a scene that triggers a rule, until the rule can raise its alert. */
import type { RuleConfig } from '../contract/rule-config.ts';

/** Length of the history by which wrong-way.ts evaluates a drive, in s. */
const DRIVE_S = 5;
/** Three time constants of the count's smoothing in crowd-gathering.ts, in s. */
const CROWD_SETTLES_S = 12;

/** Returns the minimum time from the start of the scene to the alert, in s. */
export function sceneS(rule: RuleConfig): number {
  switch (rule.kind) {
    case 'vehicle-in-pedestrian-zone':
    case 'illegal-parking':
    case 'loitering':
    case 'illegal-dumping':
      return rule.afterS;
    case 'wrong-way':
      return DRIVE_S;
    case 'line-crossing':
      return 0;
    case 'crowd-gathering':
      return rule.afterS + CROWD_SETTLES_S;
    case 'graffiti':
      return rule.dwellS + rule.persistS;
  }
}
