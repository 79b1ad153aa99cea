/** `vigie camera confirm`: a technician has checked a camera that moved, and confirms the zones. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { writeAtomically } from '../base/atomic-file.ts';
import { systemClock } from '../base/clock.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import {
  CAMERA_FILES,
  type CameraRecord,
  confirmationText,
  parseCameraRecord,
} from '../contract/camera-record.ts';
import { print } from './print.ts';
import { stateDir } from './state-dir.ts';

export interface CameraConfirmOptions {
  readonly state: string | undefined;
  readonly yes: true | undefined;
}

/** Time in ms for the running agent to accept the confirmation; it checks twice a second. */
const TAKEN_WITHIN_MS = 5000;

/** Confirms the view and returns the exit code. */
export async function cameraConfirm({ state, yes }: CameraConfirmOptions): Promise<number> {
  const dir = stateDir(state, process.env);
  const { movedSince } = recordIn(dir);
  if (movedSince === null) {
    print('The camera has not moved, or was confirmed already: nothing to do.');
    return 0;
  }
  print(`The camera has moved, detected at ${movedSince}. Its views, redacted:`);
  print(`  before  ${pictureIn(dir, 'before')}`, `  after   ${pictureIn(dir, 'after')}`);
  if (yes === undefined && !(await asksYes())) {
    print('Not confirmed: the rules stay suspended.');
    return 1;
  }
  // With sudo -u, SUDO_USER is the account that typed the command.
  const by = process.env['SUDO_USER'] ?? process.env['USER'] ?? null;
  const confirmation = confirmationText({ movedSince, by });
  acting(dir, () => writeAtomically(join(dir, CAMERA_FILES.confirmed), confirmation));
  const endMs = systemClock.nowMs() + TAKEN_WITHIN_MS;
  while (systemClock.nowMs() < endMs) {
    if (recordIn(dir).movedSince !== movedSince) {
      print('Confirmed: the rules go on.');
      return 0;
    }
    await systemClock.sleep(200);
  }
  print('Confirmed: the rules go on when the agent runs.');
  return 0;
}

async function asksYes(): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new AgentError(
      'config',
      'camera confirm: a confirmation needs a terminal; compare both pictures, then pass --yes',
    );
  }
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question('Do all zones, lines and masks still lie where they should? [y/N] ');
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}

function recordIn(dir: string): CameraRecord {
  const file = join(dir, CAMERA_FILES.record);
  if (!existsSync(file)) {
    throw new AgentError(
      'config',
      `${file} does not exist or not for this user: the agent makes it when it knows the camera’s view; another folder is named with --state`,
    );
  }
  return parseCameraRecord(acting(dir, () => readFileSync(file, 'utf8')));
}

function pictureIn(dir: string, name: 'before' | 'after'): string {
  const file = join(dir, CAMERA_FILES[name]);
  return existsSync(file) ? file : 'there is none';
}

/** @throws AgentError `config` if the folder refuses access */
function acting<T>(dir: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof Error) || !('syscall' in error)) throw error;
    throw new AgentError('config', `${dir}: ${messageOf(error)}; run it as the service’s user`, error);
  }
}
