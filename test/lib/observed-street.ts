/**
 * Vision's observations of recorded streets, for the tests of the track log, which share the clips.
 */
import type { Observation } from '../../agent/contract/observation.ts';
import { observedClip } from './observed-clip.ts';

export interface StreetClip {
  readonly file: string;
  /** True if the clip itself has five frames a second. */
  readonly isSlow?: boolean;
}

/** All observations; without `fps`, of all frames of the clip. */
export function observedStreet(
  { file, isSlow = false }: StreetClip,
  fps: number | undefined,
): Promise<Observation[]> {
  const rate = fps === undefined || isSlow ? {} : { fps };
  return observedClip(file, { zones: [], lines: [], ...rate });
}
