/** The power, or a process, ends at any step of what is done to files. */
import { writeFileSync } from 'node:fs';
import { durableFiles, type TrialFiles } from '../../scripts/programs/root/configuration/trial-files.ts';

/** The power goes. */
export class Cut extends Error {}

/** Goes before, within or after the nth thing that is done to a file. */
export class FailingPower implements TrialFiles {
  #left: number;
  constructor(at: number) {
    this.#left = at;
  }
  #step(act: () => void, half?: () => void): void {
    if (this.#left-- === 0) throw new Cut();
    half?.();
    if (half !== undefined && this.#left-- === 0) throw new Cut();
    act();
  }
  write(...[file, content, like]: Parameters<TrialFiles['write']>): void {
    const half = (): void => writeFileSync(`${file}.new`, content.slice(0, content.length >> 1));
    this.#step(() => durableFiles.write(file, content, like), half);
  }
  rename(from: string, to: string): void {
    this.#step(() => durableFiles.rename(from, to));
  }
  remove(file: string): void {
    this.#step(() => durableFiles.remove(file));
  }
}

/** Whether the power went. */
export function cut(act: () => void): boolean {
  try {
    act();
    return false;
  } catch (error) {
    if (!(error instanceof Cut)) throw error;
    return true;
  }
}
