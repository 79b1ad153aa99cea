/**
 * Monotonic time for checking validity: setting a clock back extends nothing.
 *
 * Two times are stored: the latest seen, and the latest of a trusted clock, set by the network. If an unset clock ran
 * ahead, its time binds only until a set clock contradicts it. A confirmed time binds indefinitely, or until a person
 * (vouch.ts) or a signed command corrects it.
 *
 * INVARIANTS: never before the latest confirmed time, over restarts as `keep` has it on disk. Between two readings it
 * advances at least with the monotonic clock.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../base/atomic-file.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import { VOUCHING } from './mode-files.ts';

export const LATEST_TIME_FILE = 'latest-time';
export const CONFIRMED_TIME_FILE = 'latest-time-confirmed';

/** 13 digits: until the year 2286. */
const FORM = /^\d{13}\n$/;

export interface LatestTimeOptions {
  readonly stateDir: string;
  readonly clock: Pick<Clock, 'nowMs' | 'wallMs'>;
  /** Latest time of a set clock by the journal, of an earlier start, ms since the epoch; undefined if it has none. */
  readonly knownMs: number | undefined;
}

export class LatestTime {
  readonly #options: LatestTimeOptions;
  #latest: { readonly wallMs: number; readonly nowMs: number };
  #confirmedMs: number;

  /** Throws AgentError `corrupt` for a file that does not hold a time, or is missing although it must exist. */
  constructor(options: LatestTimeOptions) {
    this.#options = options;
    const { stateDir, clock, knownMs } = options;
    const file = join(stateDir, LATEST_TIME_FILE);
    const seenMs = readTime(file);
    if (seenMs === undefined && knownMs !== undefined) {
      const lastRun = new Date(knownMs).toISOString();
      throw new AgentError(
        'corrupt',
        `${file} is missing, though by its journal this box has run until ${lastRun}; ${FIX}`,
      );
    }
    this.#confirmedMs = Math.max(
      readTime(join(stateDir, CONFIRMED_TIME_FILE)) ?? knownMs ?? seenMs ?? 0,
      knownMs ?? 0,
    );
    this.#latest = { wallMs: Math.max(seenMs ?? 0, this.#confirmedMs), nowMs: clock.nowMs() };
  }

  wallMs(): number {
    const { clock } = this.#options;
    const nowMs = clock.nowMs();
    const wallMs = Math.max(clock.wallMs(), this.#latest.wallMs + (nowMs - this.#latest.nowMs));
    this.#latest = { wallMs, nowMs };
    return wallMs;
  }

  /** Takes the wall clock as set and trusted. It counts from now on, unless it is before an earlier confirmed time. */
  confirm(): void {
    const { clock } = this.#options;
    this.#confirmedMs = Math.max(this.#confirmedMs, clock.wallMs());
    this.#latest = { wallMs: this.#confirmedMs, nowMs: clock.nowMs() };
  }

  /** Durable on return; throws AgentError `unavailable`. */
  keep(): void {
    const { stateDir } = this.#options;
    // The time that binds longest is written first: a cut between the two must not set the time back.
    writeTime(join(stateDir, LATEST_TIME_FILE), this.wallMs());
    writeTime(join(stateDir, CONFIRMED_TIME_FILE), this.#confirmedMs);
  }
}

const FIX = `see that the clock is right, then ${VOUCHING} or send it the signed command \`reset-time\``;

/** Resets both times to the wall clock. Throws AgentError `unavailable`. */
export function resetTime(stateDir: string, wallMs: number): void {
  for (const name of [LATEST_TIME_FILE, CONFIRMED_TIME_FILE]) writeTime(join(stateDir, name), wallMs);
}

function writeTime(file: string, wallMs: number): void {
  try {
    writeAtomically(file, `${String(Math.floor(wallMs)).padStart(13, '0')}\n`);
  } catch (error) {
    throw new AgentError('unavailable', `${file} cannot be written: ${messageOf(error)}`, error);
  }
}

function readTime(file: string): number | undefined {
  if (!existsSync(file)) return undefined;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new AgentError('corrupt', `${file} cannot be read: ${messageOf(error)}`, error);
  }
  if (FORM.test(text)) return Number(text);
  throw new AgentError('corrupt', `${file} is damaged; ${FIX}`);
}
