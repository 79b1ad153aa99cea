/** The folder of the configuration in one pair of hands: flock(2), by whoever changes the file for a trial. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError } from '../../../../agent/base/errors.ts';
import { StateLock } from '../../../../agent/base/state-lock.ts';

/** As long as a restart of systemd's takes to be ordered, and more. */
const LOCK_WITHIN_MS = 10_000;
const AGAIN_AFTER_MS = 100;

/** Throws AgentError `unavailable` where others have held it all the time. */
export async function alone<T>(config: string, act: () => T): Promise<T> {
  const dir = dirname(config);
  if (!existsSync(dir)) throw new AgentError('config', `${dir}: no such folder`);
  const lock = new StateLock(dir);
  await taken(lock, dir);
  try {
    return act();
  } finally {
    lock.release();
  }
}

async function taken(lock: StateLock, dir: string): Promise<void> {
  for (const untilMs = performance.now() + LOCK_WITHIN_MS; performance.now() < untilMs; ) {
    try {
      lock.take();
      return;
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind !== 'denied') throw error;
    }
    await sleep(AGAIN_AFTER_MS);
  }
  throw new AgentError('unavailable', `${dir}: another request is being served; ask again`);
}
