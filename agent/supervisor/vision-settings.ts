/** The part of the configuration that vision gets to see: no key, no broker. */
import type { Config } from '../contract/config.ts';
import type { VisionSettings } from '../contract/link.ts';
import { PLACE_TOLERANCE } from '../contract/observation.ts';
import type { CapturePermit } from '../contract/permit.ts';
import type { RuleConfig, RuleKind } from '../contract/rule-config.ts';

export type VisionSource = Pick<VisionSettings, 'mode' | 'camera' | 'modelDir'>;

/** What a rule judges by, besides tracks and crossings: only that is observed for it. */
const JUDGES: Readonly<Record<RuleKind, 'tracks' | 'standing' | 'regions'>> = {
  'vehicle-in-pedestrian-zone': 'standing',
  loitering: 'tracks',
  'line-crossing': 'tracks',
  'wrong-way': 'tracks',
  'crowd-gathering': 'tracks',
  'illegal-dumping': 'regions',
  graffiti: 'regions',
  'illegal-parking': 'standing',
};

/** Only what the permitted rules need is observed. */
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
    // Each rule gets what it would get alone.
    moveTolerances: [...new Set(tolerances)],
    regions: rules.some(({ kind }) => JUDGES[kind] === 'regions'),
    everyFrame: false,
    detections: mode === 'replay',
  };
}

/** Of the standing vehicles that a rule looks at; none where it looks at none. */
function toleranceOf(rule: RuleConfig): number[] {
  if (JUDGES[rule.kind] !== 'standing') return [];
  return ['moveTolerance' in rule ? rule.moveTolerance : PLACE_TOLERANCE];
}
