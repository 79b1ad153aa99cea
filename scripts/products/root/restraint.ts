/**
 * `vigie-root restraint-folder` and `restraint-record`: maintain the restraints that vision obeys, from root's own
 * files. Called by units; requests are checked against root's files.
 */
import { type Stats, statSync } from 'node:fs';
import { AgentError } from '../../../agent/base/errors.ts';
import { inspectConfig, loadConfig, problemText } from '../../../agent/config/load.ts';
import type { Config } from '../../../agent/contract/config.ts';
import { ROOT_REQUEST_BYTES_MAX } from '../../../agent/contract/root-record.ts';
import { RestraintFolder } from '../../../agent/orders/restraint-folder.ts';
import { readAuthorisationFile } from '../../../agent/restraint/authorisation.ts';
import { writeBox, writeFirstAuthority } from '../../../agent/restraint/folder.ts';
import { keep } from '../../../agent/restraint/root-keeper.ts';
import { counted } from '../../lib/counted.ts';
import { answerAndLeave, firstLine } from './one-request.ts';

/** Options of commands that read root's own files. */
export interface OwnOptions {
  /** The agent's configuration file, owned by root. */
  readonly config: string;
  /** Root's folder, which vision and the agent read. */
  readonly folder: string;
  /** The agent's state folder. */
  readonly state?: string;
}

/** Mode bits that must not be set: group and others may not change what vision obeys. */
const OTHERS_WRITE = 0o022;

/**
 * Writes the box's name, its masks and the first authority's key for vision. An invalid configuration changes nothing.
 */
export function provisionRestraintFolder({ config: file, folder: dir }: OwnOptions): void {
  assertOwn(file);
  const { config, problems } = inspectConfig(file, { env: process.env, mode: 'check', files: false });
  if (config === undefined) {
    const problemLines = problems.map((problem) => problemText(file, problem)).join('\n');
    process.stderr.write(`${problemLines}\n${dir} stays unchanged\n`);
    return;
  }
  const folder = new RestraintFolder(dir);
  writeBox(folder, config);
  writeFirstAuthority(folder, config);
  process.stdout.write(`${dir}: ${config.box} at ${config.site}, ${counted(config.masks.length, 'mask')}\n`);
}

/** Answers one request from standard input on standard output. */
export async function provisionRestraintRecord({ config, folder }: OwnOptions): Promise<void> {
  const line = await firstLine(ROOT_REQUEST_BYTES_MAX);
  const refusal = keep(line, {
    folder: new RestraintFolder(folder),
    nowMs: Date.now(),
    readAuthorisation: (name) => readOwnAuthorisation(ownConfig(config), name),
  });
  if (refusal !== null) process.stderr.write(`refused: ${refusal}\n`);
  await answerAndLeave({ refused: refusal });
}

/**
 * Reads an authorisation from a file that only root can change; undefined if the configuration names none. Throws
 * AgentError.
 */
export function readOwnAuthorisation(
  config: Pick<Config, 'authorisation' | 'installation'>,
  name: 'authorisation' | 'installation',
): Uint8Array | undefined {
  const file = config[name];
  if (file === undefined) return undefined;
  return readAuthorisationFile(file, name, (stat) => assertOwnStat(file, stat));
}

/** Reads root's own configuration, never one that the agent has stored. Throws AgentError. */
export function ownConfig(file: string): Config {
  assertOwn(file);
  return loadConfig(file, { env: process.env, mode: 'check', files: false });
}

/** Throws AgentError unless only root can change the file. */
export function assertOwn(file: string): void {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) throw new AgentError('config', `${file}: no such file`);
  assertOwnStat(file, stat);
}

function assertOwnStat(file: string, stat: Stats): void {
  if (stat.uid === 0 && (stat.mode & OTHERS_WRITE) === 0) return;
  throw new AgentError('config', `${file} can be changed by others than root; chown root:vigie, chmod 0640`);
}
