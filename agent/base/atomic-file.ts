/** Files that are either the old or the new one after a power cut, never half of each. */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** A file that somebody else has laid there, or a link of theirs, is never written through. */
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Writes beside the file, flushes, renames, flushes the folder (the order that ext4 and POSIX ask for). In a folder of
 * another user root's file becomes that user's; with `owner`, theirs. The mode is exactly this one: a list that others must
 * read is not to depend on the umask of whoever writes it.
 */
export function writeAtomically(
  file: string,
  content: string | Uint8Array,
  mode = 0o600,
  owner?: Owner,
): void {
  const beside = `${file}.new`;
  const folder = openSync(dirname(file), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const { uid, gid } = fstatSync(folder);
    rmSync(beside, { force: true });
    const fd = openSync(beside, NEW_FILE, mode);
    try {
      const asRoot = process.geteuid?.() === 0;
      if (asRoot && owner !== undefined) fchownSync(fd, owner.uid, owner.gid);
      else if (asRoot && uid !== 0) fchownSync(fd, uid, gid);
      fchmodSync(fd, mode);
      writeFileSync(fd, content);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(beside, file);
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** What was written to a file, or renamed and removed in a folder, is on the disk. */
export function flush(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
