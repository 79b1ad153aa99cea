/** Permission check of private key files: only the owner and a reading group may have access. */
import { statSync } from 'node:fs';

/** Maximum mode. Anything beyond rw-r----- lets others read a private key, or the group change it. */
const MODE_MAX = 0o640;

/** Returns the fault of the file's mode and its fix, or undefined. */
export function openToOthers(file: string): string | undefined {
  const mode = statSync(file).mode & 0o777;
  if ((mode & ~MODE_MAX) === 0) return undefined;
  return `the private key is open to others (mode ${mode.toString(8).padStart(4, '0')}); chmod 0640 ${file}`;
}
