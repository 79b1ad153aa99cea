/**
 * Tests the doctor beside a running agent: it takes over the agent's own figures and leaves the agent connected to the
 * broker.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { StateLock } from '../../agent/base/state-lock.ts';
import type { Finding } from '../../agent/contract/finding.ts';
import { LOCAL_SOCKET, STATUS_PATH } from '../../agent/contract/local-status.ts';
import { LocalServer } from '../../agent/local/local-server.ts';
import { AT_ALL_TIMES, authoriseFile } from '../lib/authority.ts';
import { STATUS } from '../lib/local-status.ts';
import { SILENT } from '../lib/outbox.ts';
import { STREET_CLIP, scratch } from '../lib/paths.ts';
import { start, VIGIE, vigie } from '../lib/program.ts';
import { BOX, makeRoom, SITE, waitUntil } from '../lib/room.ts';

void t.test('an outbox that no archive acknowledges fails, with a fix', async (t) => {
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
  t.equal(await doctor.exit, 1, doctor.err);
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

const skip = existsSync(STREET_CLIP) ? false : 'no street clip (scripts/setup)';
const PATIENCE_MS = 120_000;

void t.test('the doctor leaves a running agent connected', { skip, timeout: 300_000 }, async (t) => {
  const { broker, config: mqtt } = await makeRoom(t);
  const dir = scratch(t);
  const [config, state] = [join(dir, 'vigie.yaml'), join(dir, 'state')];
  const content = {
    site: SITE,
    box: BOX,
    camera: { source: `file:${STREET_CLIP}`, fps: 5 },
    lines: [{ id: 'across', from: [0.5, 0], to: [0.5, 1] }],
    rules: [{ id: 'passing', kind: 'line-crossing', line: 'across', purpose: 'counting' }],
    mqtt,
  };
  writeFileSync(config, JSON.stringify(content));
  authoriseFile(config, join(dir, 'order'), AT_ALL_TIMES);
  const options = ['--config', config, '--state', state];
  const agent = start(t, process.execPath, [VIGIE, 'run', ...options]);
  const connections = (): number =>
    readFileSync(broker.logFile, 'utf8').split(/New client connected .* as canebiere-017 /).length - 1;
  await waitUntil(
    t,
    'the agent is connected',
    () => connections() > 0 || agent.code !== undefined,
    PATIENCE_MS,
  );
  const doctor = async (): Promise<string> => {
    const doctorRun = start(t, process.execPath, [VIGIE, 'doctor', ...options, '--seconds', '1']);
    await doctorRun.exit;
    return doctorRun.out;
  };
  let output = '';
  for (let tries = 0; tries < 10 && !/^✓ broker/m.test(output); tries += 1) output = await doctor();
  t.match(output, /^✓ broker +online since /m, output);
  t.equal(connections(), 1, 'the agent has kept its connection');
  agent.child.kill('SIGTERM');
  await agent.exit;
  t.match(
    await doctor(),
    /^✓ broker +mqtts:\S+ answered in \d+ ms/m,
    'without a running agent it connects as the box',
  );
  t.equal(connections(), 2);
});
