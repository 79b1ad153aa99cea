/**
 * Whether the element may run the model, by what became of it before. Whatever an accelerator does wrong (an error, no
 * answer, a driver that takes the process with it), vision ends; the next vision runs on the CPU for a while, and then the
 * element is tried again.
 *
 * INVARIANTS: the mark is on the disk before the element is loaded, and goes when it has worked for WORKS_AFTER_MS or
 * vision leaves in peace: who finds it knows that the element took a vision with it.
 * LIMITS: held off for HELD_OFF_MS.first, twice as long each time that it fails again, HELD_OFF_MS.max at most; a clock
 * that is set back, or years ahead, ends it at once. A file that cannot be read or written costs the memory, never a start.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../../base/atomic-file.ts';
import type { Clock } from '../../base/clock.ts';
import { hasCode, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';

/**
 * A driver that takes vision with it does so in its first frames, or every few minutes (heat, a loose plug). What takes
 * longer costs no more than vision's other ends.
 */
const WORKS_AFTER_MS = 600_000;
/** A minute is soon back for a device that was reset; an hour costs little where one is broken. */
const HELD_OFF_MS = { first: 60_000, max: 3_600_000 } as const;
const FILE = 'element-trial';

const Trial = Type.Object({
  /** Element, model, size and properties: of anything else it says nothing. */
  what: Type.String({ maxLength: 1000 }),
  /** In a row. */
  failures: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
  /** Wall time, ms since the epoch, of the last. */
  failedAtMs: Type.Number(),
  reason: Type.String({ maxLength: 1000 }),
  /** The mark: it is being tried. */
  isOn: Type.Boolean(),
});
type Trial = Static<typeof Trial>;

const NONE: Omit<Trial, 'what'> = { failures: 0, failedAtMs: 0, reason: '', isOn: false };

export interface ElementTrialOptions {
  /** Vision's own folder. */
  readonly dir: string;
  readonly clock: Pick<Clock, 'nowMs' | 'wallMs'>;
  readonly log: Logger;
}

export class ElementTrial {
  readonly #options: ElementTrialOptions;
  #trial: Trial = { what: '', ...NONE };
  #startedMs = 0;

  constructor(options: ElementTrialOptions) {
    this.#options = options;
  }

  /**
   * Reads what became of it; a mark that still stands is a failure. `what`: element, model, size and properties; what became of
   * others is forgotten, since whoever has changed one of them wants it tried.
   */
  start(what: string): void {
    const before = this.#read();
    this.#trial = before?.what === what ? before : { what, ...NONE };
    if (this.#trial.isOn) this.failed('vision ended while its element was tried');
  }

  /** Why it is not to be tried yet, one line; undefined: it may be. */
  get heldOff(): string | undefined {
    const { failures, failedAtMs, reason } = this.#trial;
    if (failures === 0) return undefined;
    const sinceMs = this.#options.clock.wallMs() - failedAtMs;
    const forMs = heldOffMs(failures);
    if (sinceMs < 0 || sinceMs >= forMs) return undefined;
    const again = new Date(failedAtMs + forMs).toISOString().replace(/\.\d+Z$/, 'Z');
    return `${reason}; it is tried again at ${again}`;
  }

  /** It is going to be loaded. */
  begin(): void {
    this.#startedMs = this.#options.clock.nowMs();
    this.#write({ ...this.#trial, isOn: true });
  }

  /** It has found what is in a frame. */
  works(): void {
    const { isOn, failures } = this.#trial;
    if (!isOn && failures === 0) return;
    const forMs = this.#options.clock.nowMs() - this.#startedMs;
    if (forMs < WORKS_AFTER_MS) return;
    // What has failed again and again is believed after it has worked as long as it was held off.
    if (failures > 0 && forMs >= heldOffMs(failures)) this.#write({ ...this.#trial, ...NONE });
    else if (isOn) this.#write({ ...this.#trial, isOn: false });
  }

  failed(reason: string): void {
    const failures = this.#trial.failures + 1;
    const failedAtMs = this.#options.clock.wallMs();
    this.#write({ ...this.#trial, failures, failedAtMs, reason: reason.slice(0, 1000), isOn: false });
  }

  /** Vision leaves in peace. */
  end(): void {
    if (this.#trial.isOn) this.#write({ ...this.#trial, isOn: false });
  }

  #read(): Trial | undefined {
    const file = join(this.#options.dir, FILE);
    try {
      const trial: unknown = JSON.parse(readFileSync(file, 'utf8'));
      if (Value.Check(Trial, trial)) return trial;
      this.#options.log.warn({ file }, 'what became of the element before cannot be read; it is tried');
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) {
        this.#options.log.warn(
          { file, reason: messageOf(error) },
          'what became of the element before cannot be read; it is tried',
        );
      }
    }
    return undefined;
  }

  #write(trial: Trial): void {
    this.#trial = trial;
    const { dir, log } = this.#options;
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      writeAtomically(join(dir, FILE), JSON.stringify(trial));
    } catch (error) {
      log.warn({ dir, reason: messageOf(error) }, 'what becomes of the element cannot be written');
    }
  }
}

function heldOffMs(failures: number): number {
  return Math.min(HELD_OFF_MS.first * 2 ** (failures - 1), HELD_OFF_MS.max);
}
