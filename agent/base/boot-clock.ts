/** Boot time, which no clock adjustment changes, and the id of the boot. */
import { readFileSync } from 'node:fs';

export const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

export interface BootClock {
  /** CLOCK_BOOTTIME in s. */
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
