/** Reads Linux's data about a process and the board. */
import { join } from 'node:path';
import { sysfsNames, sysfsText } from '../base/sysfs.ts';
import type { ProcessReport } from '../contract/health.ts';

/** Returns RSS and descriptors of a process; null if it does not exist. */
export function processReport(pid: number, proc = '/proc'): ProcessReport | null {
  const status = sysfsText(join(proc, String(pid), 'status'));
  const rssKiB = /^VmRSS:\s+(\d+) kB$/m.exec(status ?? '')?.[1];
  if (rssKiB === undefined) return null;
  const rssMiB = Math.round((Number(rssKiB) / 1024) * 10) / 10;
  return { pid, rssMiB, fds: sysfsNames(join(proc, String(pid), 'fd'))?.length ?? null };
}

/**
 * Returns the temperature of the hottest sensor in °C; null on a board (or a virtual machine) without one. `sysClass`
 * contains `thermal` and `hwmon`.
 */
export function temperatureC(sysClass = '/sys/class'): number | null {
  const thermal = sensors(join(sysClass, 'thermal'), /^thermal_zone\d+$/, /^temp$/);
  const hwmon = sensors(join(sysClass, 'hwmon'), /^hwmon\d+$/, /^temp\d+_input$/);
  const celsius = [...thermal, ...hwmon]
    .map(sysfsText)
    // Linux reports thousandths of a degree (Documentation/driver-api/thermal/sysfs-api.rst,
    // hwmon/sysfs-interface.rst).
    .flatMap((text) => (text === undefined || text === '' ? [] : [Number(text) / 1000]))
    .filter(Number.isFinite);
  return celsius.length === 0 ? null : Math.round(Math.max(...celsius) * 10) / 10;
}

function sensors(dir: string, device: RegExp, file: RegExp): string[] {
  const devices = (sysfsNames(dir) ?? []).filter((name) => device.test(name));
  return devices.flatMap((name) => {
    const files = (sysfsNames(join(dir, name)) ?? []).filter((own) => file.test(own));
    return files.map((own) => join(dir, name, own));
  });
}
