/** `vigie-root pin`: a person on the box vouches for its present state, and root's record of it starts again. */
import { printableLine } from '../../../agent/base/printable.ts';
import { DEFAULT_STATE_DIR } from '../../../agent/cli/state-dir.ts';
import { RestraintFolder } from '../../../agent/orders/restraint-folder.ts';
import { vouch } from '../../../agent/restraint/vouch.ts';
import { type OwnOptions, ownConfig } from './restraint.ts';

export function provisionPin({ config: file, state = DEFAULT_STATE_DIR, folder }: OwnOptions): void {
  const config = ownConfig(file);
  const lines = vouch({ file, config, stateDir: state, record: new RestraintFolder(folder) });
  for (const line of lines) process.stdout.write(`${printableLine(line)}\n`);
}
