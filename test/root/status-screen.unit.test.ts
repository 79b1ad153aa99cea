/** Tests `vigie-root status`: its text about a configuration on trial and about root's program. */
import t from 'tap';
import type { UpdaterStatus } from '../../agent/contract/update.ts';
import { screenOf } from '../../scripts/programs/root/status.ts';

const STATUS: UpdaterStatus = {
  version: 1,
  at: '2026-11-29T10:00:00.000Z',
  board: 'pc',
  arch: 'amd64',
  os: 'Debian GNU/Linux 13 (trixie)',
  kernel: '6.12',
  node: '20.19.2',
  release: { seq: 306, version: '0.1.1' },
  previous: null,
  phase: 'idle',
  since: '1970-01-01T00:00:00.000Z',
  rollout: null,
  target: null,
  reason: null,
  bytes: null,
  metadata: null,
  osUpdates: null,
  freeBytes: 1_048_576,
  history: 0,
  root: {
    release: { seq: 305, version: '0.1.0' },
    phase: 'idle',
    since: '1970-01-01T00:00:00.000Z',
    rollout: null,
    target: null,
    reason: null,
  },
  configuration: { phase: 'idle', rollout: null, target: null, former: null, reason: null },
};

function configLine(configuration: Partial<UpdaterStatus['configuration']>): string | undefined {
  const lines = screenOf({ ...STATUS, configuration: { ...STATUS.configuration, ...configuration } });
  return lines.find((line) => line.startsWith('config'));
}

void t.test('the status names the source of a configuration on trial', (t) => {
  const target = { number: 0, name: 'a'.repeat(64) };
  t.equal(configLine({}), undefined, 'none was ever changed');
  t.equal(configLine({ phase: 'probation', target }), 'config     probation, tried at the box');
  t.equal(
    configLine({ phase: 'probation', target: { ...target, number: 7 }, rollout: 'r-1' }),
    'config     probation revision 7 of r-1',
  );
  t.equal(
    configLine({ phase: 'rolled-back', target, reason: 'its time was over' }),
    'config     rolled-back, tried at the box: its time was over',
  );
  t.end();
});

void t.test('the status names root’s running program and the state of another', (t) => {
  const rootLine = (root: Partial<UpdaterStatus['root']>): string | undefined =>
    screenOf({ ...STATUS, root: { ...STATUS.root, ...root } }).find((line) => line.startsWith('root'));
  const target = { seq: 309, version: '0.1.2' };
  t.equal(rootLine({}), 'root       305-0.1.0');
  t.equal(rootLine({ release: null }), 'root       none');
  t.equal(rootLine({ phase: 'waiting', target }), 'root       305-0.1.0, waiting 309-0.1.2');
  t.equal(
    rootLine({ phase: 'rolled-back', target, reason: 'vigie-root boot: it ends with 1: no' }),
    'root       305-0.1.0, rolled-back 309-0.1.2: vigie-root boot: it ends with 1: no',
  );
  t.end();
});
