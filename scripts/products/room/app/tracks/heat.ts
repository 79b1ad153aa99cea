/**
 * Computes where tracks stood and for how long. Slow movement, relative to the object's height, is counted in cells of
 * the picture.
 */
import type { PlayedTrack } from './replay.ts';

export const HEAT_COLUMNS = 64;
export const HEAT_ROWS = 36;
/** Speed below which an object counts as standing, in box heights per s; a walking person moves at about 0.8. */
const STATIONARY_PER_S = 0.12;
/** Maximum standing time per segment in s, so that a parked car does not hide all others. */
const STATIONARY_S_MAX = 120;

/** Returns the seconds of standing in each cell, row by row. */
export function heatOf(tracks: readonly PlayedTrack[]): Float32Array {
  const cells = new Float32Array(HEAT_COLUMNS * HEAT_ROWS);
  for (const { record } of tracks) {
    const { path } = record;
    for (let i = 1; i < path.length; i++) {
      const [a, b] = [path[i - 1], path[i]];
      if (a === undefined || b === undefined) continue;
      const lastedS = b[0] - a[0];
      const heights = Math.hypot(b[1] - a[1], b[2] - a[2]) / Math.max(0.01, b[3]);
      if (lastedS <= 0 || heights / lastedS > STATIONARY_PER_S) continue;
      const column = cellOf((a[1] + b[1]) / 2, HEAT_COLUMNS);
      const row = cellOf((a[2] + b[2]) / 2, HEAT_ROWS);
      const cell = row * HEAT_COLUMNS + column;
      cells[cell] = (cells[cell] ?? 0) + Math.min(lastedS, STATIONARY_S_MAX);
    }
  }
  return cells;
}

function cellOf(norm: number, parts: number): number {
  return Math.min(parts - 1, Math.max(0, Math.floor(norm * parts)));
}
