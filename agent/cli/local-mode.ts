/** Access to the state folder and to the running agent's mode, for commands on the box that change its permissions. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Value } from '@sinclair/typebox/value';
import { AgentError, hasCode, messageOf } from '../base/errors.ts';
import { LocalMode } from '../contract/mode.ts';
import { LOCAL_MODE_FILE } from '../restraint/mode-files.ts';
import { type RootRecord, rootRecord } from '../restraint/root-record.ts';
import { DEFAULT_STATE_DIR, stateDir } from './state-dir.ts';

const REASON_CHARS_MAX = 500;
/** Time limit in ms. The agent checks twice a second, and vision has 2 s to stop. */
export const ANSWER_WITHIN_MS = 20_000;
const CHECK_EVERY_MS = 100;

/**
 * Returns the state folder; creates it if it was named and is missing.
 * @throws AgentError `config`
 */
export function existingDir(requestedDir: string | undefined): string {
  const dir = stateDir(requestedDir, process.env);
  const mustCreate = requestedDir !== undefined && !existsSync(dir);
  writing(dir, () => mustCreate && mkdirSync(dir, { mode: 0o700 }));
  if (existsSync(dir)) return dir;
  throw new AgentError('config', `${dir} does not exist; name the state folder with --state`);
}

/** Returns root's record, if the package is installed and the folder is the installed one. */
export function recordFor(dir: string): RootRecord | undefined {
  return rootRecord(dir, DEFAULT_STATE_DIR, process.env);
}

export function checkedReason(reason: string): string {
  const text = reason.trim();
  if (text !== '' && text.length <= REASON_CHARS_MAX) return text;
  throw new AgentError('config', `--reason: 1 to ${REASON_CHARS_MAX} characters; the journal keeps it`);
}

/** Waits until the agent's state fits and returns it; undefined after the time limit. */
export async function answered(
  dir: string,
  fits: (local: LocalMode) => boolean,
): Promise<LocalMode | undefined> {
  const untilMs = performance.now() + ANSWER_WITHIN_MS;
  while (performance.now() < untilMs) {
    const local = readLocalMode(dir);
    if (local !== undefined && fits(local)) return local;
    await sleep(CHECK_EVERY_MS);
  }
  return undefined;
}

export function runningAgent(dir: string): LocalMode | undefined {
  const local = readLocalMode(dir);
  if (local === undefined) return undefined;
  try {
    process.kill(local.pid, 0);
    return local;
  } catch (error) {
    // EPERM: the process exists and belongs to another user.
    return hasCode(error, 'EPERM') ? local : undefined;
  }
}

export function readLocalMode(dir: string): LocalMode | undefined {
  const file = join(dir, LOCAL_MODE_FILE);
  if (!existsSync(file)) return undefined;
  let local: unknown;
  try {
    local = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new AgentError('config', `${file} cannot be read: ${messageOf(error)}; use sudo -u vigie`, error);
  }
  return Value.Check(LocalMode, local) ? local : undefined;
}

/** Maps errors of the disk and of permissions. */
export function writing(file: string, action: () => unknown): void {
  try {
    action();
  } catch (error) {
    if (error instanceof AgentError) throw error;
    const message = `${file} cannot be written: ${messageOf(error)}; use sudo -u vigie`;
    throw new AgentError('config', message, error);
  }
}
