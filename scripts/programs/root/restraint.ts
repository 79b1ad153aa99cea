/**
 * `vigie-root restraint-folder` and `restraint-record`: root's part of what restrains the box, called by units. What
 * vision goes by comes from root's own files, and requests are judged by them.
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
import { answerAndLeave, firstLine } from './one-request.ts';

export interface RestraintOptions {
  readonly config: string;
  readonly folder: string;
}

/** Group and others may not change what vision goes by. */
const OTHERS_WRITE = 0o022;

/** Which box it is, what must be black, and whose orders count at first; a file that is refused changes nothing. */
export function provisionRestraintFolder({ config: file, folder: dir }: RestraintOptions): void {
  assertOwn(file);
  const { config, problems } = inspectConfig(file, { env: process.env, mode: 'check', files: false });
  if (config === undefined) {
    const why = problems.map((problem) => problemText(file, problem)).join('\n');
    process.stderr.write(`${why}\n${dir} stays as it was\n`);
    return;
  }
  const folder = new RestraintFolder(dir);
  writeBox(folder, config);
  writeFirstAuthority(folder, config);
  process.stdout.write(`${dir}: ${config.box} at ${config.site}, ${config.masks.length} masks\n`);
}

/** One request on standard input, the answer on standard output. */
export async function provisionRestraintRecord({
  config: file,
  folder: dir,
}: RestraintOptions): Promise<void> {
  const readOrder = (name: 'authorisation' | 'installation'): Uint8Array | undefined => {
    // No configuration that the agent has kept.
    assertOwn(file);
    return readOwnOrder(loadConfig(file, { env: process.env, mode: 'check', files: false }), name);
  };
  const line = await firstLine(ROOT_REQUEST_BYTES_MAX);
  const refused = keep(line, { folder: new RestraintFolder(dir), nowMs: Date.now(), readOrder });
  if (refused !== null) process.stderr.write(`refused: ${refused}\n`);
  await answerAndLeave({ refused });
}

/** No order that others could change for an older one; undefined: the configuration names none. Throws AgentError. */
export function readOwnOrder(
  config: Pick<Config, 'authorisation' | 'installation'>,
  name: 'authorisation' | 'installation',
): Uint8Array | undefined {
  const order = config[name];
  if (order === undefined) return undefined;
  return readAuthorisationFile(order, name, (stat) => assertOwnStat(order, stat));
}

/** What only root can change, and nobody else. */
export function assertOwn(file: string): void {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) throw new AgentError('config', `${file}: no such file`);
  assertOwnStat(file, stat);
}

function assertOwnStat(file: string, stat: Stats): void {
  if (stat.uid === 0 && (stat.mode & OTHERS_WRITE) === 0) return;
  throw new AgentError('config', `${file} can be changed by others than root; chown root:vigie, chmod 0640`);
}
