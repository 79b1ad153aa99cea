/** Tests private keys: from systemd's credentials, and from files that no other user can read. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openToOthers } from '../../agent/base/private-file.ts';
import { type ConfigOptions, inspectText } from '../../agent/config/load.ts';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { scratch } from '../lib/paths.ts';
import { rectangle } from '../lib/street.ts';

const BOX = {
  site: 'marseille-1',
  box: 'canebiere-017',
  camera: { source: 'test:pattern' },
  zones: [
    {
      id: 'lawn',
      polygon: rectangle(0, 0, 1, 1),
    },
  ],
  rules: [{ id: 'stay', kind: 'loitering', zone: 'lawn', purpose: 'safety' }],
};
const inspected = (mqtt: object, env: ConfigOptions['env'], mode: ConfigOptions['mode'] = 'run') =>
  inspectText(JSON.stringify({ ...BOX, mqtt: { url: 'mqtts://room.example:8883', ...mqtt } }), { env, mode });

/** Makes a folder with `ca`, `cert` and `mqtt.key` of this box. */
async function makeCredentials(t: Test): Promise<string> {
  const dir = scratch(t);
  const authority = new CertificateAuthority(join(dir, 'authority'));
  await authority.start();
  const { cert, key } = await authority.client(BOX.box);
  for (const [name, from] of Object.entries({ ca: authority.ca, cert, 'mqtt.key': key })) {
    writeFileSync(join(dir, name), readFileSync(from), { mode: 0o400 });
  }
  return dir;
}

t.test('a key from systemd is the file in its folder', async (t) => {
  const dir = await makeCredentials(t);
  const mqtt = { ca: 'credential:ca', cert: 'credential:cert', key: 'credential:mqtt.key' };
  const { config, problems } = inspected(mqtt, { CREDENTIALS_DIRECTORY: dir });
  t.same(problems, []);
  t.match(config?.mqtt, { ca: join(dir, 'ca'), cert: join(dir, 'cert'), key: join(dir, 'mqtt.key') });
  const byEnvironment = inspected(
    { ca: join(dir, 'ca'), cert: join(dir, 'cert') },
    { CREDENTIALS_DIRECTORY: dir, VIGIE_MQTT_KEY: 'credential:mqtt.key' },
  );
  t.equal(byEnvironment.config?.mqtt?.key, join(dir, 'mqtt.key'));
});

t.test('each problem with a credential is one clear line', async (t) => {
  const dir = await makeCredentials(t);
  const env = { CREDENTIALS_DIRECTORY: dir };
  const pair = { cert: 'credential:cert', ca: 'credential:ca' };
  const cases: [string, ConfigOptions['env'], RegExp][] = [
    ['credential:box.key', env, /^no such file/],
    ['credential:../outbox', env, /is not a credential name/],
    ['credential:', env, /is not a credential name/],
    [
      'credential:mqtt.key',
      {},
      /is given by systemd only: LoadCredential=mqtt\.key:FILE in the service's unit/,
    ],
  ];
  for (const [key, environment, message] of cases) {
    const { config, problems } = inspected({ ...pair, key }, environment);
    t.equal(config, undefined);
    const [problem] = problems.filter(({ path }) => path === 'mqtt.key');
    t.match(problem, { message, line: 1 }, key);
  }
  const outside = inspected({ ...pair, key: 'credential:mqtt.key' }, {}, 'check');
  t.same(outside.problems, [], '`vigie check` outside of the service cannot know, and says nothing');
});

t.test('a private key that others can read is refused', async (t) => {
  const dir = await makeCredentials(t);
  const file = join(dir, 'mqtt.key');
  for (const [mode, fine] of [
    [0o400, true],
    [0o600, true],
    [0o640, true],
    [0o644, false],
    [0o660, false],
    [0o604, false],
  ] as const) {
    chmodSync(file, mode);
    const message = openToOthers(file);
    t.equal(message === undefined, fine, mode.toString(8));
    const { problems } = inspected({ ca: join(dir, 'ca'), cert: join(dir, 'cert'), key: file }, {});
    t.equal(problems.length, fine ? 0 : 1);
    if (!fine)
      t.match(problems[0], { path: 'mqtt.key', message: /open to others \(mode 06\d\d\); chmod 0640 / });
  }
});
