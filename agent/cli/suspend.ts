/**
 * `vigie suspend`: suspends the box through its state folder. A running agent applies it within a second; otherwise the
 * next start does. On an installed package root records it too, and no other user can undo that.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, rethrowBug } from '../base/errors.ts';
import { SUSPENSION_FILE, type SuspensionState } from '../orders/suspension.ts';
import { Suspension } from '../restraint/suspension.ts';
import {
  ANSWER_WITHIN_MS,
  answered,
  checkedReason,
  existingDir,
  recordFor,
  runningAgent,
  writing,
} from './local-mode.ts';
import { print, printNote } from './print.ts';

export interface SuspendOptions {
  readonly reason: string;
  readonly state: string | undefined;
}

/**
 * Suspends the box and returns the exit code: 1 if it is not certain that analysis has stopped, or that it stays
 * stopped.
 */
export async function suspend(options: SuspendOptions): Promise<number> {
  const reason = checkedReason(options.reason);
  const dir = existingDir(options.state);
  const file = join(dir, SUSPENSION_FILE);
  const suspension = new Suspension(file);
  const before = existsSync(file) && suspension.read().suspended;
  let state: SuspensionState = suspension.read();
  if (before) {
    print(`already suspended${state.since === null ? '' : ` since ${state.since}`}: ${state.reason}`);
  } else {
    // A user who cannot read the existing file can still suspend.
    writing(file, () => suspension.suspend(reason, 'box', Date.now()));
    state = suspension.read();
    print(`suspended since ${state.since}: it is on disk, and outlives restarts and updates`);
  }
  const recorded = await record(dir, state);
  if (before) return recorded ? 0 : 1;
  if (runningAgent(dir) === undefined) {
    print('no agent runs here; the next one starts suspended');
    return recorded ? 0 : 1;
  }
  const local = await answered(dir, ({ statement }) => statement.suspension === state.id);
  if (local === undefined) {
    printNote(`the agent has not said within ${ANSWER_WITHIN_MS / 1000} s that it has stopped`);
    return 1;
  }
  print(`the agent has stopped the analysis; frames read since its start: ${local.statement.framesRead}`);
  return recorded ? 0 : 1;
}

/** Returns false if root should have recorded it and has not. */
async function record(dir: string, state: SuspensionState): Promise<boolean> {
  const root = recordFor(dir);
  if (root === undefined) return true;
  try {
    await root.suspend(state);
    print('root has recorded the suspension: it ends only with two keys of the authorisation');
    return true;
  } catch (error) {
    rethrowBug(error);
    printNote(`vigie: ${messageOf(error)}; until it is, the agent’s own user could undo it`);
    return false;
  }
}
