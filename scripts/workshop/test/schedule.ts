/** Selects the next test file to start, and the ones that may run beside it. */
import { nameOf } from './selection.ts';

export interface TestFile {
  readonly name: string;
  /** Boots a machine of its own. Many at once would exceed the time in which a box must be up. */
  readonly boots: boolean;
  /** Has a limit in wall time, so it takes two places. */
  readonly timed: boolean;
}

/** Test files with limits of their own: rows or frames a second, or the longest wait of another. */
const TIMED = [
  'cli/doctor',
  'fault/delivery',
  'mqtt/delivery',
  'mqtt/delivery-flood',
  'room/exports',
  'room/hostile',
];

/** Determines from a file's text whether it boots a machine, and whether it has a limit in wall time. */
export function kindOf(name: string, text: string): TestFile {
  return {
    name,
    boots: /lib\/(?:nspawn|booted-updates)\.js/.test(text),
    timed: /lib\/slowness\.js/.test(text) || TIMED.includes(nameOf(name.replace(/^dist\//, ''))),
  };
}

const BOOTS_MAX = 2;

/** A timed file takes two places, so that it runs as fast as if nothing else did. */
const placesOf = ({ timed }: TestFile): number => (timed ? 2 : 1);

export class Schedule {
  readonly #waiting: TestFile[];
  #free: number;
  #booted = 0;
  #timed = false;

  /** `places` is the number of files at once, and `files` are in order of preference. */
  constructor(files: readonly TestFile[], places: number) {
    this.#waiting = [...files];
    this.#free = places;
  }

  /** Returns the next file that may start now; undefined if none may. The caller calls `finish` when it has ended. */
  next(): TestFile | undefined {
    // If a timed file is first in line, smaller ones must not keep taking the places that it needs.
    const at = this.#waiting.findIndex((file) => this.#mayRun(file));
    const file = at < 0 ? undefined : this.#waiting[at];
    if (file === undefined || placesOf(file) > this.#free) return undefined;
    this.#waiting.splice(at, 1);
    this.#free -= placesOf(file);
    if (file.boots) this.#booted += 1;
    this.#timed ||= file.timed;
    return file;
  }

  finish(file: TestFile): void {
    this.#free += placesOf(file);
    if (file.boots) this.#booted -= 1;
    if (file.timed) this.#timed = false;
  }

  #mayRun({ boots, timed }: TestFile): boolean {
    return !(boots && this.#booted >= BOOTS_MAX) && !(timed && this.#timed);
  }
}
