/**
 * Counts how long previews were shown today, across restarts.
 *
 * INVARIANTS:
 * - Time is charged in advance, CHARGE_S at a time, and unused time is returned at the end. A power cut costs the
 *   technician up to a minute and never gives him extra time.
 * - A new day begins when the wall clock shows a later date of the site than the last one. A clock that is set back
 *   returns no time.
 * LIMITS: one small file. If it is damaged, the day counts as used up; if it cannot be written, nothing is shown.
 */
import { existsSync, readFileSync } from 'node:fs';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../base/atomic-file.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { PREVIEW_S_A_DAY_MAX } from '../contract/page-link.ts';

const CHARGE_S = 60;

const StoredUse = Type.Object(
  { day: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$' }), usedS: Type.Number({ minimum: 0 }) },
  { additionalProperties: false },
);
type StoredUse = Static<typeof StoredUse>;

export interface PreviewUseOptions {
  readonly file: string;
  /** IANA name of the time zone. */
  readonly timeZone: string;
  readonly clock: Pick<Clock, 'nowMs' | 'wallMs'>;
  readonly log: Logger;
}

export class PreviewUse {
  readonly #options: PreviewUseOptions;
  readonly #format: Intl.DateTimeFormat;
  /** Stored use, without the preview that runs now. */
  #storedUse: StoredUse = { day: '', usedS: PREVIEW_S_A_DAY_MAX };
  /** Monotonic times. */
  #running: { readonly sinceMs: number; readonly chargedToMs: number } | undefined;

  constructor(options: PreviewUseOptions) {
    this.#options = options;
    const { timeZone } = options;
    // The Canadian locale writes dates as YYYY-MM-DD.
    this.#format = new Intl.DateTimeFormat('en-CA', { timeZone, dateStyle: 'short' });
  }

  start(): void {
    const { file, log } = this.#options;
    const day = this.#today();
    this.#storedUse = { day, usedS: 0 };
    if (!existsSync(file)) return;
    try {
      const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
      if (!Value.Check(StoredUse, content)) throw new AgentError('corrupt', 'it does not fit');
      this.#storedUse = content;
    } catch (error) {
      log.warn(
        { file, why: messageOf(error) },
        'how long previews were shown today is not known: none today',
      );
      this.#storedUse = { day, usedS: PREVIEW_S_A_DAY_MAX };
    }
  }

  /** Seconds left for the day. */
  get leftS(): number {
    this.#turnDay();
    return Math.max(0, Math.floor(PREVIEW_S_A_DAY_MAX - this.#usedS));
  }

  /** Begins a preview. Throws AgentError if its time cannot be stored. */
  begin(): void {
    this.#turnDay();
    const nowMs = this.#options.clock.nowMs();
    this.#running = { sinceMs: nowMs, chargedToMs: nowMs };
    try {
      this.charge();
    } catch (error) {
      this.#running = undefined;
      throw error;
    }
  }

  /** Must be called often while a preview runs. Throws AgentError if its time cannot be stored. */
  charge(): void {
    this.#turnDay();
    const nowMs = this.#options.clock.nowMs();
    if (this.#running === undefined || nowMs < this.#running.chargedToMs) return;
    this.#write({ ...this.#storedUse, usedS: this.#usedS + CHARGE_S });
    this.#running = { ...this.#running, chargedToMs: nowMs + CHARGE_S * 1000 };
  }

  /** Ends the preview. If the disk refuses, the charged time stays used. */
  end(): void {
    if (this.#running === undefined) return;
    this.#turnDay();
    this.#storedUse = { ...this.#storedUse, usedS: this.#usedS };
    this.#running = undefined;
    try {
      this.#write(this.#storedUse);
    } catch (error) {
      this.#options.log.warn({ why: messageOf(error) }, 'the time of a preview was charged in full');
    }
  }

  get #usedS(): number {
    const { sinceMs } = this.#running ?? {};
    const runningS = sinceMs === undefined ? 0 : (this.#options.clock.nowMs() - sinceMs) / 1000;
    return this.#storedUse.usedS + runningS;
  }

  #turnDay(): void {
    const day = this.#today();
    if (day <= this.#storedUse.day) return;
    this.#storedUse = { day, usedS: 0 };
    if (this.#running === undefined) return;
    const nowMs = this.#options.clock.nowMs();
    this.#running = { sinceMs: nowMs, chargedToMs: nowMs };
  }

  #today(): string {
    return this.#format.format(this.#options.clock.wallMs());
  }

  #write(use: StoredUse): void {
    const { file } = this.#options;
    const usedS = Math.min(PREVIEW_S_A_DAY_MAX, Math.ceil(use.usedS));
    try {
      writeAtomically(file, JSON.stringify({ ...use, usedS }));
    } catch (error) {
      throw new AgentError('unavailable', `${file} cannot be written: ${messageOf(error)}`, error);
    }
  }
}
