/** Files and folders of sysfs and procfs: nothing where a device is absent, has gone in between, sleeps, or is another user's. */
import { readdirSync, readFileSync } from 'node:fs';

export function sysfsText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** Names, sorted; undefined where there is no such folder, or it is another user's. */
export function sysfsNames(dir: string): string[] | undefined {
  try {
    return readdirSync(dir).sort();
  } catch {
    return undefined;
  }
}
