/**
 * Shares the console among the accounts: the calls of one account run a few at a time, so that they delay no other's.
 *
 * LIMITS: RUNNING_MAX calls of one account at once. WAITING_MAX wait, in order; further ones are refused and counted.
 */
import type { ServerResponse } from 'node:http';
import { finished } from 'node:stream/promises';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { type Account, LimitError } from './handler.ts';

const RUNNING_MAX = 2;

/** Enough for a browser's requests, and for the 20 actions that it sends after a login. */
const WAITING_MAX = 30;

/** Pause in s before a new try: most calls take some milliseconds. */
const RETRY_S = 1;

/** Time in ms for which an answer that is being sent counts as a running call. A slow reader costs no more. */
const SENDING_MS = 1000;

/**
 * Pause before a waiting call as a ratio of the call before it: an account with RUNNING_MAX slow calls uses half of the
 * time.
 */
const PAUSE_RATIO = 3;

/** Maximum pause before a waiting call, in ms. */
const PAUSE_MS_MAX = 100;

interface RunningCall {
  readonly reply: ServerResponse;
  readonly beganMs: number;
}

interface Lane {
  running: number;
  readonly waiting: (() => void)[];
}

export class AccountGate {
  readonly #lanes = new Map<string, Lane>();

  /**
   * Runs a call, and sends its answer, in its turn.
   * @throws {LimitError} if too many calls of the account wait
   */
  async run<T>({ name, isProgram }: Account, reply: ServerResponse, work: () => Promise<T>): Promise<T> {
    // An account and a token may have the same name.
    const key = `${isProgram ? 'token' : 'account'} ${name}`;
    const lane = this.#lanes.get(key) ?? { running: 0, waiting: [] };
    this.#lanes.set(key, lane);
    if (lane.running < RUNNING_MAX) lane.running += 1;
    else {
      if (lane.waiting.length >= WAITING_MAX) {
        const line = `${name}: ${RUNNING_MAX + WAITING_MAX} calls at once, which is the most; wait for their answers`;
        throw new LimitError('calls', line, RETRY_S);
      }
      await new Promise<void>((resolve) => lane.waiting.push(resolve));
    }
    const beganMs = performance.now();
    try {
      return await work();
    } finally {
      void this.#leave(key, lane, { reply, beganMs });
    }
  }

  async #leave(key: string, lane: Lane, { reply, beganMs }: RunningCall): Promise<void> {
    const over = new AbortController();
    const sending = finished(reply).catch(() => undefined);
    await Promise.race([sending, sleep(SENDING_MS, undefined, { ref: false, signal: over.signal })]);
    over.abort();
    // SQLite answers synchronously: without a turn of the event loop, all calls that have arrived would run in a row.
    await setImmediate();
    const pauseMs = Math.min(PAUSE_RATIO * (performance.now() - beganMs), PAUSE_MS_MAX);
    if (lane.waiting.length > 0) await sleep(pauseMs);
    const next = lane.waiting.shift();
    if (next !== undefined) next();
    else {
      lane.running -= 1;
      if (lane.running === 0) this.#lanes.delete(key);
    }
  }
}
