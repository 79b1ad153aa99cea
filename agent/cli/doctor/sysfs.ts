/** Files and folders of sysfs and procfs: nothing where a device is absent, has gone in between, or sleeps. */
import { readdirSync, readFileSync } from 'node:fs';

export function sysfsText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** Names, sorted. */
export function sysfsNames(dir: string): string[] {
  try {
    return readdirSync(dir).sort();
  } catch {
    return [];
  }
}
