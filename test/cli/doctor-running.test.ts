/** Tests the doctor beside a running agent: it takes over the agent's own figures and keeps off the broker. */
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
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

void t.test('the doctor asks a running agent, and a second connection does not cut it off', async (t) => {
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
  let connections = 0;
  const broker = createServer((client) => {
    connections += 1;
    client.destroy();
  }).listen(0, '127.0.0.1');
  await once(broker, 'listening');
  t.teardown(() => broker.close());
  const file = join(dir, 'vigie.yaml');
  const mqtt = `{ url: "mqtt://127.0.0.1:${(broker.address() as AddressInfo).port}" }`;
  writeFileSync(file, `site: lab\nbox: lab-1\ncamera: { source: "test:pattern" }\nmqtt: ${mqtt}\n`);
  const doctor = vigie(t, 'doctor', '--config', file, '--state', stateDir, '--json');
  t.equal(await doctor.exit, 1, doctor.err);
  const { findings } = JSON.parse(doctor.out) as { findings: Finding[] };
  t.match(
    findings.filter(({ name }) => ['broker', 'outbox'].includes(name)),
    [
      { name: 'broker', state: 'ok', detail: /^online since / },
      { name: 'outbox', state: 'failed', fix: /^run an archive .*or set mqtt\.ack: broker/ },
    ],
  );
  t.equal(connections, 0, 'the broker hears nothing of it');
});
