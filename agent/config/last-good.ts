/**
 * The configuration with which the agent last started, kept in the state folder: a box at the top of a pole goes on
 * with it, and says so, when a later one is refused. It is checked as strictly as any other, but for the files that it
 * names: a certificate that has gone bad since keeps events from the room, and must not keep the box from seeing them.
 *
 * INVARIANTS: a file that is not there is not replaced: who takes the configuration away wants the box to stop.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../base/atomic-file.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import type { Config } from '../contract/config.ts';
import { type ConfigOptions, ConfigProblems, inspectConfig, type Problem } from './load.ts';

export const LAST_GOOD_FILE = 'last-good.yaml';

export interface UsableConfig {
  readonly config: Config;
  /** Of the file, as they were judged. */
  readonly bytes: Buffer;
  /** The file that it is from. */
  readonly file: string;
  readonly warnings: readonly Problem[];
  /** Why the file that was asked for is not taken; undefined where it is. */
  readonly refused: ConfigProblems | undefined;
}

/**
 * The configuration in `file`, or the last good one in `stateDir`.
 * @throws ConfigProblems of `file`, where there is none to go back to, or `file` is not there
 */
export function usableConfig(file: string, stateDir: string, options: ConfigOptions): UsableConfig {
  const asked = inspectConfig(file, options);
  if (asked.config !== undefined && asked.bytes !== undefined) {
    const { config, bytes, warnings } = asked;
    return { config, bytes, file, warnings, refused: undefined };
  }
  const refused = new ConfigProblems(file, asked.problems);
  const kept = join(stateDir, LAST_GOOD_FILE);
  if (!existsSync(file) || !existsSync(kept)) throw refused;
  const { config, bytes, warnings } = inspectConfig(kept, { ...options, files: false });
  if (config === undefined || bytes === undefined) throw refused;
  return { config, bytes, file: kept, warnings, refused };
}

/**
 * Keeps what the agent has started with, whatever lies in the file by now.
 * @throws AgentError `unavailable` where the disk refuses
 */
export function keepConfig(bytes: Buffer, stateDir: string): void {
  const kept = join(stateDir, LAST_GOOD_FILE);
  try {
    // Its camera's address may hold a password: for the owner alone.
    if (!existsSync(kept) || !readFileSync(kept).equals(bytes)) writeAtomically(kept, bytes, 0o600);
  } catch (error) {
    throw new AgentError('unavailable', `${kept} cannot be written: ${messageOf(error)}`, error);
  }
}
