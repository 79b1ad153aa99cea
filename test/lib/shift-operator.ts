/**
 * A scripted operator who works the console's queue by keyboard, and the hour of 60 alerts that it works.
 *
 * The time is that of the keystroke-level model (Card, Moran and Newell, 1980) plus what the program was waited for: a
 * key takes `KEY_S`, a look at a picture `LOOK_S`. So two programs are compared by what they ask of a person, and the
 * machine's load changes little.
 */
import type { Page } from 'puppeteer-core';
import type { Columns } from './console-rows.ts';
import { numbered } from './room-evening.ts';

/** Time per key in s: an average typist in the keystroke-level model. */
const KEY_S = 0.28;
/** Time to perceive and decide in s: operator M of the keystroke-level model. */
const LOOK_S = 1.35;
/** Number of verdicts after which the operator presses one wrong key, and notices it at once. */
const SLIP_EVERY = 12;
/** Longest time that the program may need to react, in ms. */
const WAIT_MS = 15_000;

export type Verdict = 'confirmed' | 'false-alarm';

export interface Alert {
  readonly no: number;
  readonly truth: Verdict;
  /** Part of a storm whose cause the operator knows, for instance work on the line that is announced. */
  readonly isAnnounced: boolean;
  readonly columns: Columns;
}

export interface ShiftFigures {
  keys: number;
  /** Time of the keystroke-level model plus waiting, in s. */
  seconds: number;
  /** Wrong verdicts pressed, and how many of them the operator took back. */
  wrong: number;
  undone: number;
}

const ago = (s: number): string => new Date(Date.now() - s * 1000).toISOString();

/**
 * Returns 60 alerts of one hour: 30 single ones of twelve cameras, three of priority 1, and two storms of 15. The cause
 * of the first storm is announced, so all of it is false; the second has one real alert.
 */
export function hourOfAlerts(): Alert[] {
  const singles = Array.from({ length: 30 }, (_, at) => {
    const no = at + 1;
    const columns = {
      received: ago(3500 - at * 110),
      box: `cam-${at % 12}`,
      rule: `rule-${at}`,
      priority: at % 10 === 4 ? 1 : 2,
    };
    const truth = at % 3 === 0 ? 'confirmed' : 'false-alarm';
    return { no, truth, isAnnounced: false, columns: numbered(no, columns) } as const;
  });
  const storm = (firstNo: number, beganAgoS: number, box: string, realAt?: number): Alert[] =>
    Array.from({ length: 15 }, (_, at) => {
      const no = firstNo + at;
      const columns = { received: ago(beganAgoS - at * 20), box, rule: 'edge', kind: 'line-crossing' };
      return {
        no,
        truth: at === realAt ? 'confirmed' : 'false-alarm',
        isAnnounced: realAt === undefined,
        columns: numbered(no, { ...columns, place: 'line/platform-2', cause: '{"headingDeg":90}' }),
      };
    });
  return [...singles, ...storm(101, 2400, 'cam-gare-1'), ...storm(201, 900, 'cam-gare-2', 6)];
}

interface Row {
  readonly no: number;
  readonly isStorm: boolean;
  readonly isWithin: boolean;
  readonly isChosen: boolean;
}

/** Resolves once the page has drawn the effect of a key. */
const TWO_FRAMES = 'new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))';
const ROWS = `[...document.querySelectorAll('.queue .row')].map((row) => ({
  no: Number(row.dataset.no ?? 0), isStorm: row.classList.contains('storm'), isWithin: row.classList.contains('within'),
  isChosen: row.getAttribute('aria-selected') === 'true',
  at: Number(row.getAttribute('aria-posinset')) })).sort((a, b) => a.at - b.at)`;

/** Reads the queue and presses keys; every key is counted. */
class Operator {
  readonly figures: ShiftFigures = { keys: 0, seconds: 0, wrong: 0, undone: 0 };
  readonly #page: Page;
  #verdictCount = 0;

  constructor(page: Page) {
    this.#page = page;
  }

  rows(): Promise<Row[]> {
    return this.#page.evaluate(ROWS) as Promise<Row[]>;
  }

  openNo(): Promise<number | undefined> {
    return this.#page.evaluate(
      'Number(document.querySelector("[data-incident]")?.dataset.incident) || undefined',
    ) as Promise<number | undefined>;
  }

  async press(key: 'j' | 'k' | 'Enter' | 'z' | 't' | 'f'): Promise<void> {
    await this.#page.keyboard.press(key);
    this.#count(1);
  }

  /** Presses a key with Shift, which counts as two. */
  async pressShifted(key: 'X' | 'Tab'): Promise<void> {
    await this.#page.keyboard.down('Shift');
    await this.#page.keyboard.press(key);
    await this.#page.keyboard.up('Shift');
    this.#count(2);
  }

  #count(keys: number): void {
    this.figures.keys += keys;
    this.figures.seconds += keys * KEY_S;
  }

  /** Waits for the program, and counts the wait. */
  async wait(condition: string): Promise<void> {
    const beganMs = performance.now();
    await this.#page.waitForFunction(condition, { timeout: WAIT_MS, polling: 'raf' }).catch(async () => {
      throw new Error(`not so: ${condition}; rows ${JSON.stringify((await this.rows()).slice(0, 8))}`);
    });
    this.figures.seconds += (performance.now() - beganMs) / 1000;
  }

  look(): void {
    this.figures.seconds += LOOK_S;
  }

  /** Moves to the row of an incident or, if its storm is collapsed, expands the storm first. */
  async select(no: number): Promise<void> {
    for (;;) {
      const rows = await this.rows();
      const chosenAt = rows.findIndex(({ isChosen }) => isChosen);
      const wantedAt = rows.findIndex((row) => row.no === no);
      const isHidden = wantedAt < 0;
      const goalAt = isHidden ? rows.findIndex(({ isStorm }) => isStorm) : wantedAt;
      if (goalAt < 0) throw new Error(`incident ${no} is not in the queue`);
      if (chosenAt === goalAt && !isHidden) return;
      if (chosenAt === goalAt) {
        await this.press('Enter');
        await this.wait(`document.querySelector('.row[data-no="${no}"]') !== null`);
        continue;
      }
      await this.press(chosenAt < goalAt ? 'j' : 'k');
      await this.#page.evaluate(TWO_FRAMES);
    }
  }

  /** Opens an incident unless it is open already, and looks at its picture. */
  async see(no: number): Promise<void> {
    if ((await this.openNo()) !== no) {
      await this.select(no);
      if ((await this.openNo()) !== no) await this.press('Enter');
    }
    await this.wait(
      `document.querySelector('[data-incident="${no}"]') !== null && document.querySelector('[data-incident="${no}"] img') !== null && [...document.querySelectorAll('[data-incident="${no}"] img')].every((image) => image.complete && image.naturalWidth > 0)`,
    );
    this.look();
  }

  /** Gives one verdict to all that is left of the open incident's storm, without looking at each. */
  async reviewStorm(nos: readonly number[]): Promise<void> {
    await this.pressShifted('X');
    await this.wait('document.querySelector(".bulk") !== null');
    await this.press('f');
    await this.wait('document.querySelector("dialog[open] #judge-unseen") !== null');
    this.look();
    await this.pressShifted('Tab');
    await this.press('Enter');
    const rows = nos.map((no) => `.queue .row[data-no="${no}"]`).join();
    await this.wait(`document.querySelector('${rows}') === null`);
  }

  async review({ no, truth }: Alert): Promise<void> {
    const key = truth === 'confirmed' ? 't' : 'f';
    const isGone = `document.querySelector('.queue .row[data-no="${no}"]') === null`;
    this.#verdictCount += 1;
    if (this.#verdictCount % SLIP_EVERY === 0) {
      this.figures.wrong += 1;
      await this.press(key === 't' ? 'f' : 't');
      await this.wait(isGone);
      this.look();
      await this.press('z');
      await this.wait(`document.querySelector('.queue .row[data-no="${no}"]') !== null`);
      this.figures.undone += 1;
      await this.see(no);
    }
    await this.press(key);
    await this.wait(isGone);
  }
}

/** Pictures of an announced storm that the operator looks at before one verdict for the rest. */
const STORM_LOOKS = 3;

/**
 * Works every alert until the queue is empty, the open incident first, then its storm, then the topmost row. Gives one
 * verdict to the rest of an announced storm whose first pictures agree.
 */
export async function workShift(page: Page, alerts: readonly Alert[]): Promise<ShiftFigures> {
  const operator = new Operator(page);
  const left = new Map(alerts.map((alert) => [alert.no, alert]));
  let last: Alert | undefined;
  /** False alarms in a row within the present storm. */
  let falseCount = 0;
  while (left.size > 0) {
    const openNo = await operator.openNo();
    const open = openNo === undefined ? undefined : left.get(openNo);
    const rows = await operator.rows();
    const present = last;
    const storm = [...left.values()].filter((alert) => present !== undefined && isSameStorm(alert, present));
    const top = rows.map(({ no }) => left.get(no)).find((alert) => alert !== undefined);
    const next = open ?? storm[0] ?? top ?? [...left.values()][0];
    if (next === undefined) break;
    await operator.see(next.no);
    if (next.isAnnounced && falseCount >= STORM_LOOKS) {
      await operator.reviewStorm(storm.map(({ no }) => no));
      for (const { no } of storm) left.delete(no);
      falseCount = 0;
      continue;
    }
    await operator.review(next);
    left.delete(next.no);
    falseCount = isReal(next) ? 0 : present !== undefined && isSameStorm(next, present) ? falseCount + 1 : 1;
    last = next;
  }
  return operator.figures;
}

const isReal = ({ truth }: Alert): boolean => truth === 'confirmed';

/** True if both are of one storm; single alerts have numbers up to 100. */
function isSameStorm(a: Alert, b: Alert): boolean {
  return a.no > 100 && Math.floor(a.no / 100) === Math.floor(b.no / 100);
}
