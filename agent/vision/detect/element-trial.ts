/**
 * Decides from past failures whether the element may run the model. Any failure of an accelerator (an error, no answer,
 * a driver that takes the process down) ends vision. The next run of vision uses the CPU for a while, and then tries
 * the element again.
 *
 * INVARIANTS:
 * - The mark is on the disk before the element is loaded. It is removed when the element has worked for WORKS_AFTER_MS
 *   or vision ends normally.
 * - So a mark found at the start means that the element ended a run of vision.
 * LIMITS: held off for HELD_OFF_MS.first, doubled with each further failure, at most HELD_OFF_MS.max. A clock that is
 * set back, or years ahead, ends it at once. An unreadable or unwritable file loses the memory but never prevents a
 * start.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../../base/atomic-file.ts';
import type { Clock } from '../../base/clock.ts';
import { hasCode, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { printable } from '../../base/printable.ts';
import { LAST_LINE_FILE } from '../../contract/inference-element.ts';

/**
 * Time after which the element counts as working, in ms. A driver that takes vision down does so in its first frames,
 * or every few minutes (heat, a loose plug). Rarer failures cost no more than vision's other ends.
 */
const WORKS_AFTER_MS = 600_000;
/**
 * Time for which it is held off, in ms. A minute is short for a device that was reset; an hour costs little for a
 * broken one.
 */
const RETRY_MS = { first: 60_000, max: 3_600_000 } as const;
const FILE = 'element-trial';

const Trial = Type.Object({
  /** Element, model, size and properties to which the record applies. */
  what: Type.String({ maxLength: 1000 }),
  /** Number of successive failures. */
  failures: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
  /** Wall time of the last failure, ms since the epoch. */
  failedAtMs: Type.Number(),
  reason: Type.String({ maxLength: 1000 }),
  /** The mark: true while it is being tried. */
  isOn: Type.Boolean(),
});
type Trial = Static<typeof Trial>;

const NONE: Omit<Trial, 'what'> = { failures: 0, failedAtMs: 0, reason: '', isOn: false };

export interface ElementTrialOptions {
  /** Vision's own folder. */
  readonly dir: string;
  readonly clock: Pick<Clock, 'nowMs' | 'wallMs'>;
  readonly log: Logger;
  /** Word for what is tried, in messages. */
  readonly noun: string;
}

export class ElementTrial {
  readonly #options: ElementTrialOptions;
  #trial: Trial = { what: '', ...NONE };
  #startedMs = 0;

  constructor(options: ElementTrialOptions) {
    this.#options = options;
  }

  /**
   * Reads the record; a remaining mark counts as a failure. `subject` is element, model, size and properties. Records
   * of others are dropped, because a changed configuration is to be tried.
   */
  start(subject: string): void {
    const before = this.#read();
    this.#trial = before?.what === subject ? before : { what: subject, ...NONE };
    if (!this.#trial.isOn) return;
    const line = this.#lastLine();
    const cause = line === undefined ? '' : `: ${line}`;
    this.failed(`vision ended while its ${this.#options.noun} was tried${cause}`);
  }

  /** Reason why it is not to be tried yet, one line; undefined if it may be. */
  get postponedReason(): string | undefined {
    const { failures, failedAtMs, reason } = this.#trial;
    if (failures === 0) return undefined;
    const sinceMs = this.#options.clock.wallMs() - failedAtMs;
    const forMs = retryMs(failures);
    if (sinceMs < 0 || sinceMs >= forMs) return undefined;
    const retryTime = new Date(failedAtMs + forMs).toISOString().replace(/\.\d+Z$/, 'Z');
    return `${reason}; it is tried again at ${retryTime}`;
  }

  /** Writes the mark, before the element is loaded. */
  begin(): void {
    this.#startedMs = this.#options.clock.nowMs();
    // A line of an earlier element must not explain this one's end.
    rmSync(this.#lastLineFile, { force: true });
    this.#write({ ...this.#trial, isOn: true });
  }

  /** Records that it has returned detections. */
  works(): void {
    const { isOn, failures } = this.#trial;
    if (!isOn && failures === 0) return;
    const forMs = this.#options.clock.nowMs() - this.#startedMs;
    if (forMs < WORKS_AFTER_MS) return;
    // After repeated failures the record is cleared only when it has worked for the time that it was held off.
    if (failures > 0 && forMs >= retryMs(failures)) this.#write({ ...this.#trial, ...NONE });
    else if (isOn) this.#write({ ...this.#trial, isOn: false });
  }

  failed(reason: string): void {
    const failures = this.#trial.failures + 1;
    const failedAtMs = this.#options.clock.wallMs();
    this.#write({ ...this.#trial, failures, failedAtMs, reason: reason.slice(0, 1000), isOn: false });
  }

  /** Removes the mark at a normal end of vision. */
  end(): void {
    if (this.#trial.isOn) this.#write({ ...this.#trial, isOn: false });
  }

  get #lastLineFile(): string {
    return join(this.#options.dir, '..', LAST_LINE_FILE);
  }

  /** Returns the last line of the element's library; the journal alone has it under systemd. */
  #lastLine(): string | undefined {
    try {
      return printable(readFileSync(this.#lastLineFile, 'utf8').trim(), 300);
    } catch {
      return undefined;
    }
  }

  #read(): Trial | undefined {
    const file = join(this.#options.dir, FILE);
    try {
      const trial: unknown = JSON.parse(readFileSync(file, 'utf8'));
      if (Value.Check(Trial, trial)) return trial;
      this.#options.log.warn(
        { file },
        `the result of the last ${this.#options.noun} trial cannot be read; the ${this.#options.noun} is tried`,
      );
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) {
        this.#options.log.warn(
          { file, reason: messageOf(error) },
          `the result of the last ${this.#options.noun} trial cannot be read; the ${this.#options.noun} is tried`,
        );
      }
    }
    return undefined;
  }

  #write(trial: Trial): void {
    this.#trial = trial;
    const { dir, log, noun } = this.#options;
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      writeAtomically(join(dir, FILE), JSON.stringify(trial));
    } catch (error) {
      log.warn({ dir, reason: messageOf(error) }, `the result of the ${noun} trial cannot be written`);
    }
  }
}

function retryMs(failures: number): number {
  return Math.min(RETRY_MS.first * 2 ** (failures - 1), RETRY_MS.max);
}
