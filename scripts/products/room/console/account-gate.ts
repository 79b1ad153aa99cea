/**
 * Shares the console among the accounts: the calls of one account run a few at a time, so that they delay no other's.
 * Its exports have a lane of their own, so that its other calls go on.
 *
 * LIMITS: RUNNING_MAX calls and RUNNING_MAX exports of one account at once. WAITING_MAX calls wait, in order; further
 * calls, and further exports, are refused and counted.
 */
import type { ServerResponse } from 'node:http';
import { finished } from 'node:stream/promises';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { type Account, LimitError } from './handler.ts';

const RUNNING_MAX = 2;

/** Enough for a browser's requests, and for the 20 actions that it sends after a login. */
const WAITING_MAX = 30;

/** Pause in s before a new try: most calls take some milliseconds, most exports some seconds. */
const RETRY_S = { calls: 1, exports: 5 } as const;

/** Time in ms for which an answer that is being sent counts as a running call. An export is produced until it is sent. */
const SENDING_MS = 1000;

/**
 * Pause before a waiting call as a ratio of the call before it: an account with RUNNING_MAX slow calls uses half of the
 * time.
 */
const PAUSE_RATIO = 3;

/** Maximum pause before a waiting call, in ms. */
const PAUSE_MS_MAX = 100;

type LaneName = 'calls' | 'exports';

interface RunningCall {
  readonly reply: ServerResponse;
  readonly beganMs: number;
  readonly lane: LaneName;
}

interface Lane {
  running: number;
  readonly waiting: (() => void)[];
}

export class AccountGate {
  readonly #lanes = new Map<string, Lane>();

  /**
   * Runs a call, and sends its answer, in its turn.
   * @throws {LimitError} if too many calls of the account wait, or too many of its exports run
   */
  async run<T>(
    { name, isProgram }: Account,
    call: Omit<RunningCall, 'beganMs'>,
    work: () => Promise<T>,
  ): Promise<T> {
    // An account and a token may have the same name.
    const key = `${call.lane} ${isProgram ? 'token' : 'account'} ${name}`;
    const lane = this.#lanes.get(key) ?? { running: 0, waiting: [] };
    this.#lanes.set(key, lane);
    if (lane.running < RUNNING_MAX) lane.running += 1;
    else {
      const waitingMax = call.lane === 'exports' ? 0 : WAITING_MAX;
      if (lane.waiting.length >= waitingMax) {
        const line = `${name}: ${RUNNING_MAX + waitingMax} ${call.lane} at once, which is the most; wait for their answers`;
        throw new LimitError(call.lane, line, RETRY_S[call.lane]);
      }
      await new Promise<void>((resolve) => lane.waiting.push(resolve));
    }
    const beganMs = performance.now();
    try {
      return await work();
    } finally {
      void this.#leave(key, lane, { ...call, beganMs });
    }
  }

  async #leave(key: string, lane: Lane, call: RunningCall): Promise<void> {
    const { reply, beganMs } = call;
    const over = new AbortController();
    const ends = [finished(reply).catch(() => undefined)];
    if (call.lane === 'calls') ends.push(sleep(SENDING_MS, undefined, { ref: false, signal: over.signal }));
    await Promise.race(ends);
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
