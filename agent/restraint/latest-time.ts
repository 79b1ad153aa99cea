/**
 * Time that only goes forward, for judging until when something is valid: a clock that is put back extends nothing.
 *
 * Two times are kept: the latest seen, and the latest of a clock that was set by the network and steady. What a clock
 * that was not set has run ahead binds only until one that is set says otherwise; what was confirmed binds for ever, or
 * until a person (vouch.ts) or a signed command says otherwise.
 *
 * INVARIANTS: never before the latest confirmed time, over restarts as `keep` has it on disk; between two looks it
 * goes with the monotonic clock at least.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../base/atomic-file.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import { VOUCHING } from './places.ts';

export const LATEST_TIME_FILE = 'latest-time';
export const CONFIRMED_TIME_FILE = 'latest-time-confirmed';

/** 13 digits: until the year 2286. */
const FORM = /^\d{13}\n$/;

export interface LatestTimeOptions {
  readonly stateDir: string;
  readonly clock: Pick<Clock, 'nowMs' | 'wallMs'>;
  /** Latest time of a set clock by the journal, of an earlier start, ms since the epoch; undefined: it knows of none. */
  readonly knownMs: number | undefined;
}

export class LatestTime {
  readonly #options: LatestTimeOptions;
  #latest: { readonly wallMs: number; readonly nowMs: number };
  #confirmedMs: number;

  /** Throws AgentError `corrupt` for a file that holds no time, or is missing where there must be one. */
  constructor(options: LatestTimeOptions) {
    this.#options = options;
    const { stateDir, clock, knownMs } = options;
    const file = join(stateDir, LATEST_TIME_FILE);
    const seenMs = readTime(file);
    if (seenMs === undefined && knownMs !== undefined) {
      const known = new Date(knownMs).toISOString();
      throw new AgentError(
        'corrupt',
        `${file} is missing, though by its journal this box has run until ${known}; ${MEND}`,
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

  /** The wall clock is set and steady: it counts from now on, unless it is before what was confirmed before. */
  confirm(): void {
    const { clock } = this.#options;
    this.#confirmedMs = Math.max(this.#confirmedMs, clock.wallMs());
    this.#latest = { wallMs: this.#confirmedMs, nowMs: clock.nowMs() };
  }

  /** Durable on return; throws AgentError `unavailable`. */
  keep(): void {
    const { stateDir } = this.#options;
    // The one that binds longest first: a cut between the two must not let time go back.
    writeTime(join(stateDir, LATEST_TIME_FILE), this.wallMs());
    writeTime(join(stateDir, CONFIRMED_TIME_FILE), this.#confirmedMs);
  }
}

const MEND = `see that the clock is right, then ${VOUCHING} or send it the signed command \`reset-time\``;

/** From now on the times are those of the wall clock. Throws AgentError `unavailable`. */
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
  throw new AgentError('corrupt', `${file} is damaged; ${MEND}`);
}
