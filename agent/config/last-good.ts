/**
 * Stores the last configuration with which the agent started, in the state folder. If a later one is refused, a box at
 * its mounting point continues with the stored one and reports the refusal.
 * It is validated as strictly as any other, except for the files that it names. A certificate that became invalid since
 * keeps events from the room, but must not stop the analysis.
 *
 * INVARIANTS: a missing file is not replaced. A person who removes the configuration wants the box to stop.
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
  /** Content of the file, as validated. */
  readonly bytes: Buffer;
  /** File from which it was read. */
  readonly file: string;
  readonly warnings: readonly Problem[];
  /** Reason why the requested file is refused; undefined if it is used. */
  readonly refusal: ConfigProblems | undefined;
}

/**
 * Returns the configuration in `file`, or the last good one in `stateDir`.
 * @throws ConfigProblems of `file`, if there is no last good one or `file` does not exist
 */
export function usableConfig(file: string, stateDir: string, options: ConfigOptions): UsableConfig {
  const inspection = inspectConfig(file, options);
  if (inspection.config !== undefined && inspection.bytes !== undefined) {
    const { config, bytes, warnings } = inspection;
    return { config, bytes, file, warnings, refusal: undefined };
  }
  const refusal = new ConfigProblems(file, inspection.problems);
  const lastGoodFile = join(stateDir, LAST_GOOD_FILE);
  if (!existsSync(file) || !existsSync(lastGoodFile)) throw refusal;
  const { config, bytes, warnings } = inspectConfig(lastGoodFile, { ...options, files: false });
  if (config === undefined || bytes === undefined) throw refusal;
  return { config, bytes, file: lastGoodFile, warnings, refusal };
}

/**
 * Stores the configuration with which the agent has started, whatever the file contains by now.
 * @throws AgentError `unavailable` if the disk refuses
 */
export function keepConfig(bytes: Buffer, stateDir: string): void {
  const lastGoodFile = join(stateDir, LAST_GOOD_FILE);
  try {
    // The camera's address may contain a password, so only the owner may read it.
    if (!existsSync(lastGoodFile) || !readFileSync(lastGoodFile).equals(bytes))
      writeAtomically(lastGoodFile, bytes, 0o600);
  } catch (error) {
    throw new AgentError('unavailable', `${lastGoodFile} cannot be written: ${messageOf(error)}`, error);
  }
}
