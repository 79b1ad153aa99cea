/** Reads sysfs and procfs. Returns undefined if a device is absent, removed meanwhile, asleep, or of another user. */
import { readdirSync, readFileSync } from 'node:fs';

export function sysfsText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** Returns sorted names, or undefined if the folder is missing or belongs to another user. */
export function sysfsNames(dir: string): string[] | undefined {
  try {
    return readdirSync(dir).sort();
  } catch {
    return undefined;
  }
}
