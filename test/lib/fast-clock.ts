/** Clock that runs hours in seconds, the same in every process with the same numbers. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../agent/base/clock.ts';

export interface FastTime {
  /** Start in ms since the epoch, of this machine and of the fleet. */
  readonly fromMs: number;
  readonly startMs: number;
  /** Number of fleet ms in one ms of this machine. */
  readonly speed: number;
}

export function fastClock({ fromMs, startMs, speed }: FastTime): Clock {
  return {
    nowMs: () => performance.now(),
    wallMs: () => Math.floor(startMs + (Date.now() - fromMs) * speed),
    sleep: async (delayMs, signal) => {
      await sleep(delayMs / speed, undefined, { signal }).catch((error: unknown) => {
        if (!(error instanceof Error) || error.name !== 'AbortError') throw error;
      });
    },
  };
}
