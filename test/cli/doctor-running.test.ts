/** The doctor beside a running agent: it asks that, and does not take its place at the broker. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { AT_ALL_TIMES, authoriseFile } from '../lib/authority.ts';
import { STREET_CLIP, scratch } from '../lib/paths.ts';
import { start, VIGIE } from '../lib/program.ts';
import { BOX, makeRoom, SITE, until } from '../lib/room.ts';

const skip = existsSync(STREET_CLIP) ? false : 'no street clip (scripts/setup)';
const PATIENCE_MS = 120_000;

void t.test('a running agent stays connected', { skip, timeout: 300_000 }, async (t) => {
  const { broker, config: mqtt } = await makeRoom(t);
  const dir = scratch(t);
  const [config, state] = [join(dir, 'vigie.yaml'), join(dir, 'state')];
  const content = {
    ...{ site: SITE, box: BOX, camera: { source: `file:${STREET_CLIP}`, fps: 5 } },
    lines: [{ id: 'across', from: [0.5, 0], to: [0.5, 1] }],
    rules: [{ id: 'passing', kind: 'line-crossing', line: 'across', purpose: 'counting' }],
    mqtt,
  };
  writeFileSync(config, JSON.stringify(content));
  authoriseFile(config, join(dir, 'order'), AT_ALL_TIMES);
  const where = ['--config', config, '--state', state];
  const agent = start(t, process.execPath, [VIGIE, 'run', ...where]);
  const connections = (): number =>
    readFileSync(broker.logFile, 'utf8').split(/New client connected .* as canebiere-017 /).length - 1;
  await until(t, 'the agent is connected', () => connections() > 0 || agent.code !== undefined, PATIENCE_MS);
  const doctor = async (): Promise<string> => {
    const asked = start(t, process.execPath, [VIGIE, 'doctor', ...where, '--seconds', '1']);
    await asked.ended;
    return asked.out;
  };
  let said = '';
  for (let tries = 0; tries < 10 && !/^✓ broker/m.test(said); tries += 1) said = await doctor();
  t.match(said, /^✓ broker +online since /m, said);
  t.equal(connections(), 1, 'the agent has kept its connection');
  agent.child.kill('SIGTERM');
  await agent.ended;
  t.match(
    await doctor(),
    /^✓ broker +mqtts:\S+ answered in \d+ ms/m,
    'where none runs it connects as the box',
  );
  t.equal(connections(), 2);
});
