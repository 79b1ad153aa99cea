/** Time of a detector run in a vision process. */
import type { VisionStats } from '../contract/link.ts';

/** Returns the mean wall time of a detector run in ms, or null before the first one. */
export function meanInferenceMs(stats: VisionStats | undefined): number | null {
  const detect = stats?.stages['detect'];
  if (stats === undefined || detect === undefined) return null;
  const inferences = stats.framesAnalysed - stats.framesHeld;
  return inferences > 0 ? detect.wallMs / inferences : null;
}
