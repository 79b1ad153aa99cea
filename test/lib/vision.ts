/** Vision with nothing to watch for: detector and camera only. */

import type { VisionSettings } from '../../agent/contract/link.ts';
import type { CapturePermit } from '../../agent/contract/permit.ts';
import { permitReplay } from '../../agent/restraint/permit.ts';
import { MODEL_DIR } from './paths.ts';

export const BARE_PERMIT: CapturePermit = permitReplay({ rules: [] });

export function bareSettings(source: string, fps: number): VisionSettings {
  return {
    mode: 'live',
    camera: { source, fps },
    detector: { model: 'nanodet-g-city10', input: [416, 256], providers: ['cpu'] },
    modelDir: MODEL_DIR,
    zones: [],
    lines: [],
    masks: [],
    moveTolerance: null,
    knownStanding: [],
    regions: false,
    everyFrame: false,
    detections: false,
    sealTo: [],
  };
}
