/** Which test file begins next, and beside which others. */

export interface TestFile {
  readonly name: string;
  /** It boots a machine of its own: of many side by side each takes the others the time in which a box must be up. */
  readonly boots: boolean;
  /** It holds a bar in wall time: it takes the place of two. */
  readonly timed: boolean;
}

/** They hold bars of their own: rows a second, the longest wait of another. */
const TIMED = [
  'fault/delivery',
  'mqtt/delivery',
  'mqtt/delivery-flood',
  'room/exports',
  'room/limits',
  'room/hostile',
];

/** Whether a file of this text boots a machine, and whether it holds a bar in wall time. */
export function kindOf(name: string, text: string): TestFile {
  return {
    name,
    boots: /lib\/(?:nspawn|booted-updates)\.js/.test(text),
    timed: /lib\/slowness\.js/.test(text) || TIMED.some((one) => name.endsWith(`${one}.test.js`)),
  };
}

const BOOTS_MAX = 2;

/** Takes as long as it takes where nothing else runs. */
const placesOf = ({ timed }: TestFile): number => (timed ? 2 : 1);

export class Schedule {
  readonly #waiting: TestFile[];
  #free: number;
  #booted = 0;
  #timed = false;

  /** `places`: files at once; `files` in the order in which they begin, where they may. */
  constructor(files: readonly TestFile[], places: number) {
    this.#waiting = [...files];
    this.#free = places;
  }

  /** The next one that may begin now; undefined while none may. Whoever takes it says when it has `ended`. */
  next(): TestFile | undefined {
    // Where a timed one is the first that waits, smaller ones do not go on taking the places that it needs.
    const at = this.#waiting.findIndex((file) => this.#mayRun(file));
    const file = at < 0 ? undefined : this.#waiting[at];
    if (file === undefined || placesOf(file) > this.#free) return undefined;
    this.#waiting.splice(at, 1);
    this.#free -= placesOf(file);
    if (file.boots) this.#booted += 1;
    this.#timed ||= file.timed;
    return file;
  }

  ended(file: TestFile): void {
    this.#free += placesOf(file);
    if (file.boots) this.#booted -= 1;
    if (file.timed) this.#timed = false;
  }

  #mayRun({ boots, timed }: TestFile): boolean {
    return !(boots && this.#booted >= BOOTS_MAX) && !(timed && this.#timed);
  }
}
