/** `vigie-root pin`: a person on the box vouches for its present state, and root's record of it starts again. */
import { printableLine } from '../../../agent/base/printable.ts';
import { DEFAULT_STATE_DIR } from '../../../agent/cli/state-dir.ts';
import { loadConfig } from '../../../agent/config/load.ts';
import { RestraintFolder } from '../../../agent/orders/restraint-folder.ts';
import { vouch } from '../../../agent/restraint/vouch.ts';
import { assertOwn } from './restraint.ts';

export interface PinOptions {
  readonly config: string;
  readonly state?: string;
  readonly folder: string;
}

export function provisionPin({ config: file, state = DEFAULT_STATE_DIR, folder }: PinOptions): void {
  assertOwn(file);
  const config = loadConfig(file, { env: process.env, mode: 'check', files: false });
  const lines = vouch({ file, config, stateDir: state, record: new RestraintFolder(folder) });
  for (const line of lines) process.stdout.write(`${printableLine(line)}\n`);
}
