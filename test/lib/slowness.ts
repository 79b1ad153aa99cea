/** How slow this machine is at this moment, so that a bar in wall time holds beside other tests as on a quiet machine. */
import { spawnSync } from 'node:child_process';

/** A start of node on the quiet machine of two cores on which the bars were set, ms. */
const START_MS = 100;
const STARTS = 5;

/** How many times longer than there a start of node takes here and now; at least 1, so that no bar becomes stricter. */
export function slowness(): number {
  const tookMs = Array.from({ length: STARTS }, () => {
    const beganMs = performance.now();
    spawnSync(process.execPath, ['-e', '0']);
    return performance.now() - beganMs;
  });
  tookMs.sort((a, b) => a - b);
  return Math.max(1, (tookMs[Math.floor(STARTS / 2)] ?? 0) / START_MS);
}
