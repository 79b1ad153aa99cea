/** Moves away what lies in the place of one of root's files and cannot be read, so that the next write finds the place free. */
import { renameSync, rmSync } from 'node:fs';
import { messageOf } from '../../../../agent/base/errors.ts';

/** Never throws: what cannot be moved is reported, and the caller goes on without the file. */
export function setAside(file: string, why: string, say: (line: string) => void): void {
  const aside = `${file}.damaged`;
  try {
    rmSync(aside, { recursive: true, force: true });
    renameSync(file, aside);
    say(`${file}: ${why}; it is set aside as ${aside}`);
  } catch (error) {
    say(`${file}: ${why}; it cannot be set aside: ${messageOf(error)}`);
  }
}
