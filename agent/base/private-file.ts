/** Files that hold a private key: nobody but their owner, and a group that reads, may look into them. */
import { statSync } from 'node:fs';

/** Anything beyond rw-r----- lets others read (or the group change) a private key. */
const MODE_MAX = 0o640;

/** What is wrong with the file's mode and how to mend it, or undefined. */
export function openToOthers(file: string): string | undefined {
  const mode = statSync(file).mode & 0o777;
  if ((mode & ~MODE_MAX) === 0) return undefined;
  return `the private key is open to others (mode ${mode.toString(8).padStart(4, '0')}); chmod 0640 ${file}`;
}
