/** The doctor beside a running agent takes over what only the agent knows. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { StateLock } from '../../agent/base/state-lock.ts';
import type { Finding } from '../../agent/contract/finding.ts';
import { LOCAL_SOCKET, STATUS_PATH } from '../../agent/contract/local-status.ts';
import { LocalServer } from '../../agent/local/local-server.ts';
import { STATUS } from '../lib/local-status.ts';
import { SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { vigie } from '../lib/program.ts';

void t.test('an outbox that nobody acknowledges fails, with what to do', async (t) => {
  const dir = scratch(t);
  const stateDir = join(dir, 'state');
  mkdirSync(stateDir);
  const status = structuredClone(STATUS);
  Object.assign(status.report.mqtt as object, { unacknowledgedS: 75 });
  const body = JSON.stringify(status);
  const pages = { [STATUS_PATH]: () => ({ contentType: 'application/json', body }) };
  const socket = join(stateDir, LOCAL_SOCKET);
  const server = new LocalServer({ port: 0, socket, pages, onPort: [], clock: systemClock, log: SILENT });
  await server.start();
  t.teardown(() => server.stop());
  const lock = new StateLock(stateDir);
  lock.take();
  t.teardown(() => lock.release());
  const file = join(dir, 'vigie.yaml');
  writeFileSync(file, 'site: lab\nbox: lab-1\ncamera: { source: "test:pattern" }\n', { mode: 0o640 });
  const doctor = vigie(t, 'doctor', '--config', file, '--state', stateDir, '--json');
  t.equal(await doctor.ended, 1, doctor.err);
  const { findings } = JSON.parse(doctor.out) as { findings: Finding[] };
  t.match(
    findings.filter(({ name }) => name === 'outbox'),
    [
      {
        state: 'failed',
        detail: /no archive has acknowledged anything for 1 min$/,
        fix: /^run an archive .*or set mqtt\.ack: broker/,
      },
    ],
  );
});
