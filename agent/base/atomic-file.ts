/** Atomic file replacement: after a power cut, a file has either its old or its new content. */
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

/** Never writes through a file or link placed there by another user. */
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Writes beside the file, flushes, renames and flushes the folder (the order required by ext4 and POSIX). In a folder
 * of another user, a file written by root is given to that user, or to `owner` if set. The mode is set exactly, because
 * a file that others must read should not depend on the writer's umask.
 */
export function writeAtomically(
  file: string,
  content: string | Uint8Array,
  mode = 0o600,
  owner?: Owner,
): void {
  const newFile = `${file}.new`;
  const folder = openSync(dirname(file), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const { uid, gid } = fstatSync(folder);
    rmSync(newFile, { force: true });
    const fd = openSync(newFile, NEW_FILE, mode);
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
    renameSync(newFile, file);
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Flushes a file's content, or the renames and removals in a folder, to disk. */
export function flush(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
