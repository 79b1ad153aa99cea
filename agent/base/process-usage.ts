/** Resource usage of this process, as it measures itself. */
import { readdirSync } from 'node:fs';

export interface ProcessUsage {
  /** User and system time of all threads. */
  readonly cpuMs: number;
  readonly rssMiB: number;
  readonly rssPeakMiB: number;
  /** Open file descriptors. */
  readonly fds: number;
}

export function processUsage(): ProcessUsage {
  const { user, system } = process.cpuUsage();
  return {
    cpuMs: (user + system) / 1000,
    rssMiB: process.memoryUsage.rss() / 1_048_576,
    // maxRSS is in KiB (getrusage(2)).
    rssPeakMiB: process.resourceUsage().maxRSS / 1024,
    fds: readdirSync('/proc/self/fd').length,
  };
}
