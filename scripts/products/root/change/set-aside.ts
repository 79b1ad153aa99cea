/** Moves an unreadable file of root's aside, so that the next write can take its place. */
import { renameSync, rmSync } from 'node:fs';
import { messageOf } from '../../../../agent/base/errors.ts';

/** Renames the file to `.damaged`. Never throws: a failure is logged, and the caller continues without the file. */
export function setAside(file: string, reason: string, say: (line: string) => void): void {
  const aside = `${file}.damaged`;
  try {
    rmSync(aside, { recursive: true, force: true });
    renameSync(file, aside);
    say(`${file}: ${reason}; it is set aside as ${aside}`);
  } catch (error) {
    say(`${file}: ${reason}; it cannot be set aside: ${messageOf(error)}`);
  }
}
