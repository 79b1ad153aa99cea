/** Files that are either the old or the new one after a power cut, never half of each. */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Writes beside the file, flushes, renames, flushes the folder (the order that ext4 and POSIX ask for). */
export function writeAtomically(file: string, content: string | Uint8Array, mode = 0o600): void {
  const beside = `${file}.new`;
  const fd = openSync(beside, 'w', mode);
  try {
    writeFileSync(fd, content);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(beside, file);
  const folder = openSync(dirname(file), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
