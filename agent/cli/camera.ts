/** `vigie camera confirm`: a technician has looked at a camera that moved, and says that the zones hold. */
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
import { stateDir } from './state-dir.ts';

export interface CameraConfirmOptions {
  readonly state?: string;
  readonly yes?: true;
}

/** The running agent looks twice a second. */
const TAKEN_WITHIN_MS = 5000;

/** Returns the exit code. */
export async function cameraConfirm({ state, yes }: CameraConfirmOptions): Promise<number> {
  const dir = stateDir(state, process.env);
  const { movedSince } = recordIn(dir);
  if (movedSince === null) {
    process.stdout.write('The camera has not moved, or was confirmed already: nothing to do.\n');
    return 0;
  }
  process.stdout.write(`The camera has moved, told at ${movedSince}. Its views, redacted:\n`);
  process.stdout.write(`  before  ${pictureIn(dir, 'before')}\n  after   ${pictureIn(dir, 'after')}\n`);
  if (yes === undefined && !(await asksYes())) {
    process.stdout.write('Not confirmed: the rules stay suspended.\n');
    return 1;
  }
  // With sudo -u, the account of who has typed it.
  const by = process.env['SUDO_USER'] ?? process.env['USER'] ?? null;
  const confirmation = confirmationText({ movedSince, by });
  acting(dir, () => writeAtomically(join(dir, CAMERA_FILES.confirmed), confirmation));
  const endMs = systemClock.nowMs() + TAKEN_WITHIN_MS;
  while (systemClock.nowMs() < endMs) {
    if (recordIn(dir).movedSince !== movedSince) {
      process.stdout.write('Confirmed: the rules go on.\n');
      return 0;
    }
    await systemClock.sleep(200);
  }
  process.stdout.write('Confirmed: the rules go on when the agent runs.\n');
  return 0;
}

async function asksYes(): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new AgentError(
      'config',
      'camera confirm: nobody can be asked without a terminal; look at both pictures, then give --yes',
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

/** Throws AgentError `config` where the folder refuses. */
function acting<T>(dir: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof Error) || !('syscall' in error)) throw error;
    throw new AgentError('config', `${dir}: ${messageOf(error)}; run it as the service’s user`, error);
  }
}
