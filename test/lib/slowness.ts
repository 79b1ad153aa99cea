/**
 * Measures the slowness of this machine, so that a limit in wall time holds beside other tests as on a quiet machine.
 */
import { spawnSync } from 'node:child_process';

/** A start of node on a quiet machine of two cores, ms. */
const START_MS = 100;
const STARTS = 3;

/** Ratio of a start of node now to START_MS, the median of some; at least 1, so that a limit never becomes stricter. */
export function slowness(): number {
  const tookMs = Array.from({ length: STARTS }, () => {
    const beganMs = performance.now();
    spawnSync(process.execPath, ['-e', '0']);
    return performance.now() - beganMs;
  });
  tookMs.sort((a, b) => a - b);
  return Math.max(1, (tookMs[Math.floor(STARTS / 2)] ?? 0) / START_MS);
}
