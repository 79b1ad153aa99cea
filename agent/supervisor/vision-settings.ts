/** Selects the part of the configuration that vision receives: no key and no broker. */
import type { Config } from '../contract/config.ts';
import type { VisionSettings } from '../contract/link.ts';
import { PLACE_TOLERANCE } from '../contract/observation.ts';
import type { CapturePermit } from '../contract/permit.ts';
import type { RuleConfig, RuleKind } from '../contract/rule-config.ts';

export type VisionSource = Pick<VisionSettings, 'mode' | 'camera' | 'modelDir'>;

/** Input of each rule kind besides tracks and crossings. Vision observes only these inputs. */
const RULE_INPUTS: Readonly<Record<RuleKind, 'tracks' | 'standing' | 'regions'>> = {
  'vehicle-in-pedestrian-zone': 'standing',
  loitering: 'tracks',
  'line-crossing': 'tracks',
  'wrong-way': 'tracks',
  'crowd-gathering': 'tracks',
  'illegal-dumping': 'regions',
  graffiti: 'regions',
  'illegal-parking': 'standing',
};

/** Returns the settings of vision, which observes only what the permitted rules need. */
export function visionSettings(
  config: Config,
  permit: CapturePermit,
  { mode, camera, modelDir }: VisionSource,
): VisionSettings {
  const { detector, zones, lines, masks, timeZone, groundPlane } = config;
  const rules = config.rules.filter(({ id }) => permit.rules.has(id));
  const tolerances = rules.flatMap(toleranceOf);
  return {
    mode,
    camera,
    detector,
    modelDir,
    zones,
    lines,
    masks,
    timeZone,
    ...(groundPlane !== undefined && { groundPlane }),
    // Each rule gets the same observations as if it ran alone.
    moveTolerances: [...new Set(tolerances)],
    regions: rules.some(({ kind }) => RULE_INPUTS[kind] === 'regions'),
    everyFrame: false,
    detections: mode === 'replay',
  };
}

/** Returns the tolerance for stopped vehicles of a rule; empty if the rule does not use them. */
function toleranceOf(rule: RuleConfig): number[] {
  if (RULE_INPUTS[rule.kind] !== 'standing') return [];
  return ['moveTolerance' in rule ? rule.moveTolerance : PLACE_TOLERANCE];
}
