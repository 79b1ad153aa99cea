/**
 * Vision's observations of recorded streets with lines and zones, for the tests of the track log, which share the
 * clips.
 */
import type { LineConfig, ZoneConfig } from '../../agent/contract/config.ts';
import type { Observation } from '../../agent/contract/observation.ts';
import { observedClip } from './observed-clip.ts';

export const LINES: readonly LineConfig[] = [
  { id: 'a', from: [0.4, 0.46], to: [0.55, 0.56] },
  { id: 'b', from: [0.9, 0.34], to: [0.82, 0.75] },
  { id: 'c', from: [0.6, 0.3], to: [0.62, 0.75] },
  { id: 'd', from: [0.05, 0.62], to: [0.95, 0.62] },
  { id: 'e', from: [0.2, 0.4], to: [0.9, 0.4] },
  { id: 'f', from: [0.3, 0.8], to: [0.9, 0.3] },
];
const corners = (...polygon: [number, number][]): ZoneConfig['polygon'] => polygon;
export const ZONES: readonly ZoneConfig[] = [
  { id: 'z1', polygon: corners([0.4, 0.36], [0.8, 0.36], [1, 0.55], [1, 0.8], [0.55, 0.56], [0.4, 0.46]) },
  { id: 'z2', polygon: corners([0.1, 0.5], [0.9, 0.5], [0.9, 0.9], [0.1, 0.9]) },
  { id: 'z3', polygon: corners([0.3, 0.3], [0.7, 0.3], [0.7, 0.6], [0.3, 0.6]) },
];

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
  return observedClip(file, { zones: [...ZONES], lines: [...LINES], ...rate });
}
