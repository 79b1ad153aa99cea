/**
 * Locks of vigie-root: one of the record, which excludes other processes while they change the box, and one of the
 * worker. They lie in a folder of /run that only root can open, so that no other user can hold them, and a disk that
 * refuses writes does not matter.
 *
 * INVARIANT: no process holds the record for longer than HELD_WITHIN_S. One that waits for it ends such a holder. The
 * holder's unit or the timer continues the work from the record.
 *
 * LIMITS: the longest lawful work under the lock is a switch by hand on a slow SD card. It copies, verifies and flushes
 * 150 MB at 5 MB/s (90 s), and stops and starts the units (120 s).
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { systemBootClock } from '../../../agent/base/boot-clock.ts';
import { AgentError, hasCode, rethrowBug } from '../../../agent/base/errors.ts';
import { jsonOf } from '../../../agent/base/json.ts';
import { StateLock } from '../../../agent/base/state-lock.ts';
import type { Places } from './paths.ts';

/** Longest time for which a process may hold the record, s. */
export const HELD_WITHIN_S = 300;
/** Patience with the lock, ms: of a request, and of a judge or worker, which waits until a holder is ended. */
export const REQUEST_WITHIN_MS = 10_000;
export const WORK_WITHIN_MS = (HELD_WITHIN_S + 30) * 1000;
const AGAIN_AFTER_MS = 100;
/** Time for which the same holder must be seen before it is ended, s: a new holder has said by then that it is one. */
const SEEN_FOR_S = 1;
const HOLDER_FILE = 'holder.json';

/** Process that holds a lock, and since when by CLOCK_BOOTTIME, s. */
const Holder = Type.Object(
  { pid: Type.Integer({ minimum: 2 }), sinceS: Type.Number({ minimum: 0 }) },
  { additionalProperties: false },
);

export const recordLock = ({ run }: Pick<Places, 'run'>): string => join(run, 'vigie-root/record');
export const workerLock = ({ run }: Pick<Places, 'run'>): string => join(run, 'vigie-root/worker');

/**
 * Runs `action` while holding the lock of the record.
 *
 * @throws AgentError denied: another process held the lock for all of `withinMs`
 */
export async function recordLocked<T>(
  places: Pick<Places, 'run'>,
  withinMs: number,
  action: () => Promise<T>,
  say: (line: string) => void,
): Promise<T> {
  const dir = recordLock(places);
  const holderFile = join(dir, HOLDER_FILE);
  return await lockedIn(
    dir,
    withinMs,
    async () => {
      const sinceS = systemBootClock.boottimeS();
      writeFileSync(holderFile, JSON.stringify({ pid: process.pid, sinceS }), { mode: 0o600 });
      try {
        return await action();
      } finally {
        rmSync(holderFile, { force: true });
      }
    },
    overdueEnder(holderFile, say),
  );
}

/**
 * Runs `action` while holding the folder's lock. `waiting` is called while another process holds it.
 *
 * @throws AgentError denied: another process held the lock for all of `withinMs`
 */
export async function lockedIn<T>(
  dir: string,
  withinMs: number,
  action: () => Promise<T>,
  waiting: () => void = () => undefined,
): Promise<T> {
  const lock = new StateLock(dir);
  const untilMs = performance.now() + withinMs;
  while (!isTaken(lock, dir)) {
    waiting();
    if (performance.now() >= untilMs)
      throw new AgentError('denied', 'another vigie-root is at work; see vigie-root status');
    await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS));
  }
  try {
    return await action();
  } finally {
    lock.release();
  }
}

function isTaken(lock: StateLock, dir: string): boolean {
  try {
    lock.take();
    return true;
  } catch (error) {
    rethrowBug(error);
    if (error.kind === 'denied') return false;
    const fix = 'it is root’s; run vigie-root as root';
    throw new AgentError(error.kind, `${dir}: ${fix} (${error.message})`, error);
  }
}

/** Returns a function that ends the holder once it has held the lock for too long. */
function overdueEnder(holderFile: string, say: (line: string) => void): () => void {
  let sighting = { text: '', sinceS: 0 };
  return () => {
    const text = textOf(holderFile);
    const nowS = systemBootClock.boottimeS();
    if (text !== sighting.text) sighting = { text, sinceS: nowS };
    const holder = jsonOf(text);
    if (!Value.Check(Holder, holder) || nowS - sighting.sinceS < SEEN_FOR_S) return;
    const heldS = nowS - holder.sinceS;
    if (heldS < HELD_WITHIN_S) return;
    say(`the process ${holder.pid} has held the record for ${Math.floor(heldS)} s, and is ended`);
    try {
      process.kill(holder.pid, 'SIGKILL');
    } catch (error) {
      if (!hasCode(error, 'ESRCH')) throw error;
    }
  };
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return '';
    throw error;
  }
}
