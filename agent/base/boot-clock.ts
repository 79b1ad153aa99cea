/** Time that no clock that is set moves, and which boot it is of. */
import { readFileSync } from 'node:fs';

export const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

export interface BootClock {
  /** CLOCK_BOOTTIME, s. */
  boottimeS(): number;
  bootId(): string;
  wallMs(): number;
}

export const systemBootClock: BootClock = {
  // Its first number is CLOCK_BOOTTIME (proc_uptime(5)).
  boottimeS: () => Number.parseFloat(readFileSync('/proc/uptime', 'utf8')),
  bootId: () => readFileSync(BOOT_ID_FILE, 'utf8').trim(),
  wallMs: () => Date.now(),
};
