/** Tests how the agent tells a technician's change of the configuration from an order's. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { previousFile } from '../../agent/contract/config-trial.ts';
import { STATUS_FILE } from '../../agent/contract/update.ts';
import { changeOrigin } from '../../agent/update/change-origin.ts';
import { scratch } from '../lib/paths.ts';
import { status } from '../lib/root-said.ts';

t.test('a change on trial is a technician’s unless it belongs to a rollout', async (t) => {
  const dir = scratch(t);
  const file = join(dir, 'vigie.yaml');
  const withRollout = (rollout: string | null): void => {
    const content = JSON.parse(status('idle', 1)) as { configuration: object };
    const configuration = { ...content.configuration, phase: 'probation', rollout };
    writeFileSync(join(dir, STATUS_FILE), JSON.stringify({ ...content, configuration }));
  };
  withRollout(null);
  t.equal(changeOrigin(file, dir), 'box', 'without a trial');
  t.equal(changeOrigin(undefined, undefined), 'box', 'a plain run');
  writeFileSync(previousFile(file), 'site: a');
  t.equal(changeOrigin(file, dir), 'technician');
  withRollout('november-2');
  t.equal(changeOrigin(file, dir), 'order');
  writeFileSync(join(dir, STATUS_FILE), '{');
  t.equal(changeOrigin(file, dir), 'box', 'root’s status is not readable');
});
