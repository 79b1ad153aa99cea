/** Tests what the agent reads of root's program: status and history of another version, and whose a change is. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { releaseFindings } from '../../agent/cli/status/release.ts';
import { previousFile } from '../../agent/contract/config-trial.ts';
import { HISTORY_FILE, STATUS_FILE } from '../../agent/contract/update.ts';
import { changeOrigin } from '../../agent/update/change-origin.ts';
import { RootFiles } from '../../agent/update/root-files.ts';
import { SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { releaseRecord, status } from '../lib/root-said.ts';

void t.test('members that a newer program of root’s has added are left out', (t) => {
  const updateDir = scratch(t);
  const statusContent = JSON.parse(status('idle', 1)) as { root: object };
  const newer = { ...statusContent, colour: 'blue', root: { ...statusContent.root, shade: 3 } };
  writeFileSync(join(updateDir, STATUS_FILE), JSON.stringify(newer));
  const line = JSON.stringify({ ...JSON.parse(releaseRecord(1, 'confirmed')), colour: 'blue' });
  writeFileSync(join(updateDir, HISTORY_FILE), `${line}\n`);
  const files = new RootFiles({ orderedFile: undefined, configCopy: undefined, updateDir, log: SILENT });
  files.poll();
  t.strictSame(files.status, statusContent, 'without other members');
  t.strictSame(files.history, [JSON.parse(releaseRecord(1, 'confirmed'))]);
  t.equal(files.unreadable, 0);
  t.match(releaseFindings({ VIGIE_UPDATE_DIR: updateDir }), [
    { name: 'release', detail: /^11-0\.1\.0/ },
    { name: 'root', detail: /^10-0\.1\.0/ },
  ]);
  t.end();
});

void t.test('an invalid status gives one line and no status', (t) => {
  const updateDir = scratch(t);
  for (const text of ['', '{', '[]', '{"version":2}', status('running', 1)]) {
    writeFileSync(join(updateDir, STATUS_FILE), text);
    const files = new RootFiles({ orderedFile: undefined, configCopy: undefined, updateDir, log: SILENT });
    files.poll();
    t.equal(files.status, undefined, text.slice(0, 20));
    t.equal(files.unreadable, 1);
    t.match(releaseFindings({ VIGIE_UPDATE_DIR: updateDir }), [{ detail: /status\.json cannot be read: / }]);
  }
  t.end();
});

void t.test('a change on trial is a technician’s unless it belongs to a rollout', async (t) => {
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
