/** Makes observations for tests of rules and incidents. */
import type { Observation, ObservedTrack } from '../../agent/contract/observation.ts';

export function track(id: number, over: Partial<ObservedTrack> = {}): ObservedTrack {
  return {
    id,
    group: 'person',
    label: 'person',
    score: 0.8,
    bestScore: 0.8,
    xyxyNorm: [0.4, 0.4, 0.45, 0.6],
    ground: [0.425, 0.6],
    velocityNormPerS: [0, 0],
    firstMs: 0,
    lastMs: 0,
    seen: true,
    pixelsMove: true,
    furniture: false,
    zones: [],
    ...over,
  };
}

export function observation(
  atMs: number,
  tracks: ObservedTrack[],
  over: Partial<Observation> = {},
): Observation {
  return {
    frame: Math.round(atMs / 200) + 1,
    atMs,
    wallMs: atMs,
    source: { widthPx: 768, heightPx: 576 },
    tracks,
    crossings: [],
    standing: [],
    ...over,
  };
}

/** The corners of a rectangle in the picture. */
export const rectangle = (left: number, top: number, right: number, bottom: number): [number, number][] => [
  [left, top],
  [right, top],
  [right, bottom],
  [left, bottom],
];
