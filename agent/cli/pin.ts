/**
 * `vigie pin` in a plain run: a person on the box vouches for its current state. On an installed package,
 * `vigie-root pin` does this.
 */
import { AgentError } from '../base/errors.ts';
import { loadConfig } from '../config/load.ts';
import { vouch } from '../restraint/vouch.ts';
import { existingDir, recordFor } from './local-mode.ts';
import { print } from './print.ts';

export interface PinOptions {
  readonly config: string;
  readonly state: string | undefined;
}

export function pin({ config: file, state }: PinOptions): void {
  const stateDir = existingDir(state);
  const root = recordFor(stateDir)?.folder;
  if (root !== undefined)
    throw new AgentError('config', `${root.dir} is root’s record of this box; run sudo vigie-root pin`);
  const config = loadConfig(file, { env: process.env, mode: 'check', files: false });
  print(...vouch({ file, config, stateDir }));
}
