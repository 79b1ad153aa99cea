/** What a trial does to files: each step is on the disk, whole, before the next begins. */
import { lstatSync, renameSync, rmSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { flush, writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';

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
      flush(dirname(to));
    }),
  remove: (file) =>
    onDisk(file, () => {
      if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return;
      rmSync(file);
      flush(dirname(file));
    }),
};

function onDisk(file: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw new AgentError('unavailable', `${file} cannot be written: ${messageOf(error)}`, error);
  }
}
