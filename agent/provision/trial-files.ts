/** What a trial does to files: each step is on the disk, whole, before the next begins. */
import { closeSync, fsyncSync, lstatSync, openSync, renameSync, rmSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { writeAtomically } from '../base/atomic-file.ts';
import { AgentError, messageOf } from '../base/errors.ts';

/** Each throws AgentError `unavailable` where the disk refuses. */
export interface TrialFiles {
  /** With owner, group and mode of `like`. */
  write(file: string, content: string | Uint8Array, like: Stats): void;
  rename(from: string, to: string): void;
  /** Nothing where there is no such file. */
  remove(file: string): void;
}

export const durableFiles: TrialFiles = {
  write: (file, content, like) => onDisk(file, () => writeAtomically(file, content, like.mode & 0o777, like)),
  rename: (from, to) =>
    onDisk(to, () => {
      renameSync(from, to);
      flushFolder(to);
    }),
  remove: (file) =>
    onDisk(file, () => {
      if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return;
      rmSync(file);
      flushFolder(file);
    }),
};

function flushFolder(file: string): void {
  const fd = openSync(dirname(file), 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function onDisk(file: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw new AgentError('unavailable', `${file} cannot be written: ${messageOf(error)}`, error);
  }
}
