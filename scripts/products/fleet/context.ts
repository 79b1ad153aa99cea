/** Opens the context of each fleet command: fleet.yaml, the store, and the link to the broker. */
import { mkdirSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { type Clock, systemClock } from '../../../agent/base/clock.ts';
import { AgentError } from '../../../agent/base/errors.ts';
import { StateLock } from '../../../agent/base/state-lock.ts';
import { FleetLink } from './broker.ts';
import { warn } from './output.ts';
import { type Fleet, readFleet } from './settings.ts';
import { FleetStore } from './store.ts';

export interface FleetContext {
  readonly fleet: Fleet;
  readonly store: FleetStore;
  /** Not connected yet. */
  readonly link: FleetLink;
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

type Work<T> = (context: FleetContext) => Promise<T>;

/** Runs `work`, and closes everything afterwards. */
export async function withFleet<T>(dir: string, work: Work<T>): Promise<T> {
  const fleet = readFleet(dir);
  mkdirSync(dir, { recursive: true });
  const store = new FleetStore(dir);
  const stop = new AbortController();
  const end = (): void => stop.abort();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, end);
  const link = new FleetLink({
    // Read when the command connects: one that does not needs no certificate.
    get config() {
      return fleet.mqtt;
    },
    boxes: fleet.boxes,
    clock: systemClock,
    warn,
  });
  try {
    return await work({ fleet, store, link, signal: stop.signal, clock: systemClock });
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, end);
    await link.stop();
    store.close();
  }
}

/** Runs `work` under the lock of the folder. */
export function withLockedFleet<T>(dir: string, work: Work<T>): Promise<T> {
  return withFleet(dir, (context) => whileLocked(dir, () => work(context)));
}

/**
 * Runs `work` under the lock of the folder, so that only this process sends orders from it. Throws AgentError `denied` if
 * another holds the lock.
 */
export async function whileLocked<T>(dir: string, work: () => Promise<T>): Promise<T> {
  const lock = new StateLock(dir);
  try {
    lock.take();
  } catch (error) {
    if (!(error instanceof AgentError) || error.kind !== 'denied') throw error;
    const problem = `another program sends orders from ${dir} (\`fleet rollout run\`); one at a time`;
    throw new AgentError('denied', problem);
  }
  try {
    return await work();
  } finally {
    lock.release();
  }
}

/** Asks a person at the terminal; `yes` skips the question. Throws AgentError `denied` unless the answer is yes. */
export async function requireConfirmation(
  question: string,
  yes: boolean,
  signal: AbortSignal,
): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new AgentError('denied', `${question} This needs a terminal; without one, pass --yes`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal });
    if (!/^(y|yes)$/i.test(answer.trim())) throw new AgentError('denied', 'not confirmed; nothing was sent');
  } finally {
    terminal.close();
  }
}
