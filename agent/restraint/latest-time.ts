/**
 * Time that only goes forward, for judging until when something is valid: a clock that is put back extends nothing.
 *
 * INVARIANTS: never before the latest wall time seen, over restarts as `keep` has it on disk; between two looks it
 * goes with the monotonic clock at least.
 * LIMITS: what a wall clock that ran ahead has left stays until `vigie pin` on the box.
 */
import { existsSync, readFileSync } from 'node:fs';
import { writeAtomically } from '../base/atomic-file.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError, messageOf } from '../base/errors.ts';

export const LATEST_TIME_FILE = 'latest-time';

/** 13 digits: until the year 2286. */
const FORM = /^\d{13}\n$/;

export class LatestTime {
  readonly #file: string;
  readonly #clock: Pick<Clock, 'nowMs' | 'wallMs'>;
  #latest: { readonly wallMs: number; readonly nowMs: number };

  /** Throws AgentError `corrupt` for a file that holds no time. */
  constructor(file: string, clock: Pick<Clock, 'nowMs' | 'wallMs'>) {
    this.#file = file;
    this.#clock = clock;
    this.#latest = { wallMs: readTime(file), nowMs: clock.nowMs() };
  }

  wallMs(): number {
    const nowMs = this.#clock.nowMs();
    const wallMs = Math.max(this.#clock.wallMs(), this.#latest.wallMs + (nowMs - this.#latest.nowMs));
    this.#latest = { wallMs, nowMs };
    return wallMs;
  }

  /** Durable on return; throws AgentError `unavailable`. */
  keep(): void {
    try {
      writeAtomically(this.#file, `${Math.floor(this.wallMs())}\n`);
    } catch (error) {
      throw new AgentError('unavailable', `${this.#file} cannot be written: ${messageOf(error)}`, error);
    }
  }
}

function readTime(file: string): number {
  if (!existsSync(file)) return 0;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new AgentError('corrupt', `${file} cannot be read: ${messageOf(error)}`, error);
  }
  if (FORM.test(text)) return Number(text);
  throw new AgentError('corrupt', `${file} is damaged; see that the clock is right and run \`vigie pin\``);
}
