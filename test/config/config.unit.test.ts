/**
 * Tests the configuration loader with test/fixtures/config/*.yaml. Each file ends with its expected messages: lines
 * that begin with `#= `, exact and complete (… replaces lists that grow with the schema). `#mode` and `#env` lines set
 * the circumstances.
 */
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { withoutSecret } from '../../agent/base/log.ts';
import { describeConfig } from '../../agent/config/describe.ts';
import { CONFIG_KEYS } from '../../agent/config/environment.ts';
import { EXAMPLE } from '../../agent/config/example.ts';
import {
  type ConfigMode,
  ConfigProblems,
  inspectConfig,
  inspectText,
  loadConfig,
  problemText,
} from '../../agent/config/load.ts';
import { displayValue, hideSecrets } from '../../agent/config/problem.ts';
import { findWarnings } from '../../agent/config/warnings.ts';
import { nearest } from '../../agent/config/words.ts';
import type { Config } from '../../agent/contract/config.ts';
import type { PointNorm } from '../../agent/contract/geometry.ts';
import { covers, polygonProblem } from '../../agent/contract/polygon.ts';
import { RULE_SCHEMAS } from '../../agent/contract/rule-config.ts';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { ROOT, scratch } from '../lib/paths.ts';

const LINE = { id: 'kerb', from: [0, 0], to: [1, 1] };
const PASSING = { id: 'passing', kind: 'line-crossing', line: 'kerb', purpose: 'order' };
const PLACES = { lines: [LINE], rules: [PASSING] };
const FIXTURES = join(ROOT, 'test', 'fixtures', 'config');

void t.test('every mistake of every bad configuration is reported with its place', async (t) => {
  for (const file of readdirSync(FIXTURES)) {
    const content = readFileSync(join(FIXTURES, file), 'utf8');
    const expected = [...content.matchAll(/^#= (.*)$/gm)].map((match) => String(match[1]));
    const text = content.replace(/^#= .*\n/gm, '');
    const env = Object.fromEntries([...text.matchAll(/^#env ([^=]+)=(.*)$/gm)].map(([, k, v]) => [k, v]));
    const mode = (/^#mode (\w+)$/m.exec(text)?.[1] ?? 'check') as ConfigMode;
    const { config, problems } = inspectText(text, { env, mode });
    const messages = problems.map((problem) => problemText('', problem).replace(/^:?/, '').trim());
    t.ok(expected.length > 0, `${file} expects something`);
    t.equal(config, undefined, `${file} is refused`);
    const expectedMessages = expected.map((line, index) =>
      fits(line, messages[index] ?? '') ? messages[index] : line,
    );
    t.same(messages, expectedMessages, file);
    t.notMatch(messages.join('\n'), /hunter2/, `${file}: no secret is shown`);
  }
});

function fits(expected: string, line: string): boolean {
  const parts = expected.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(line);
}

void t.test('a file becomes a frozen configuration with its defaults', async (t) => {
  const dir = scratch(t);
  const file = join(dir, 'vigie.yaml');
  writeFileSync(file, 'site: lab\nbox: lab-1\nrules: []\n');
  const config = loadConfig(file, { env: {}, mode: 'replay' });
  t.match(config, {
    site: 'lab',
    detector: { model: 'nanodet-g-city10', input: [416, 256], backend: 'onnxruntime', providers: ['cpu'] },
    zones: [],
    retention: { eventsDays: 30, snapshotsDays: 7, sealedDays: 30, outboxMiB: 64 },
  });
  t.notOk('camera' in config, 'absent keys stay absent');
  t.throws(() => (config.detector.input as number[]).push(1), TypeError, 'frozen to the bottom');
  t.throws(() => Object.assign(config, { site: 'other' }), TypeError);
});

void t.test('an unreadable configuration file is refused with one line', async (t) => {
  const dir = scratch(t);
  const path = (name: string): string => join(dir, name);
  writeFileSync(path('empty.yaml'), '');
  writeFileSync(path('latin1.yaml'), Buffer.from([0x73, 0x3a, 0x20, 0xe9]));
  writeFileSync(path('large.yaml'), `# ${'x'.repeat(262_144)}\n`);
  const cases = {
    'absent.yaml': /absent\.yaml: no such file$/,
    '.': /: is not a file$/,
    'empty.yaml': /: is empty; docs\/ref\/config\.md has a full example$/,
    'latin1.yaml': /: is not UTF-8 text$/,
    'large.yaml': /: larger than 256 KiB; not a configuration$/,
  };
  for (const [name, message] of Object.entries(cases)) {
    t.throws(() => loadConfig(path(name), { env: {}, mode: 'run' }), { kind: 'config', message }, name);
  }
  writeFileSync(path('bad.yaml'), 'site: A\nbox: B\n');
  try {
    loadConfig(path('bad.yaml'), { env: {}, mode: 'run' });
    t.fail('must throw');
  } catch (error) {
    t.ok(error instanceof ConfigProblems && error instanceof AgentError);
    if (!(error instanceof ConfigProblems)) return;
    t.equal(error.problems.length, 4, 'site, box, camera, mqtt');
    t.match(error.message, /^[^\n]*bad\.yaml:1:1 [^\n]*; and 3 more errors: `vigie check [^\n]*` lists all$/);
  }
});

void t.test('the environment overrides each scalar key of the file', async (t) => {
  const values: Record<string, string> = {
    VIGIE_SITE: 'other',
    VIGIE_CAMERA_SOURCE: 'v4l2:/dev/video0',
    VIGIE_CAMERA_FPS: '7.5',
    VIGIE_DETECTOR_INPUT: '640,384',
    VIGIE_DETECTOR_PROVIDERS: 'cuda, cpu',
    VIGIE_HOLIDAYS: '2026-07-14,2026-12-25',
    VIGIE_MQTT_URL: 'mqtt://127.0.0.1:1883',
    VIGIE_RETENTION_OUTBOX_MIB: '128',
    VIGIE_LOG: 'debug',
    PATH: '/bin',
  };
  const { config, problems } = inspectText('site: lab\nbox: lab-1\n', { env: values, mode: 'run' });
  t.same(problems, []);
  t.match(config, {
    site: 'other',
    box: 'lab-1',
    camera: { source: 'v4l2:/dev/video0', fps: 7.5 },
    detector: { input: [640, 384], providers: ['cuda', 'cpu'] },
    holidays: ['2026-07-14', '2026-12-25'],
    mqtt: { url: 'mqtt://127.0.0.1:1883', ack: 'archive' },
    retention: { outboxMiB: 128, eventsDays: 30 },
  });
  const names = CONFIG_KEYS.map(({ variable }) => variable);
  t.equal(new Set(names).size, names.length, 'no two keys share a variable');
  for (const { variable } of CONFIG_KEYS)
    t.match(describeConfig(), `\`${variable}\``, `${variable} is documented`);
});

void t.test('the required keys depend on the command', async (t) => {
  const rule = 'rules: [{ id: r, kind: loitering, zone: z, purpose: evaluation }]';
  const base = `site: lab\nbox: lab-1\nzones: [{ id: z, polygon: [[0, 0], [1, 0], [1, 1]] }]\n${rule}\n`;
  const full = `${base}camera: { source: "test:pattern" }\nmqtt: { url: "mqtt://localhost" }\n`;
  const count = (text: string, mode: ConfigMode): number =>
    inspectText(text, { env: {}, mode }).problems.length;
  t.equal(count(base, 'replay'), 0);
  t.equal(count(base, 'check'), 0, 'a configuration for replay');
  t.equal(count(base, 'run'), 3, 'camera, mqtt, purpose');
  t.equal(count(full, 'replay'), 0);
  t.equal(count(full, 'check'), 1, 'with camera and mqtt it is judged for run');
  t.equal(count(full, 'run'), 1);
  for (const host of ['127.0.0.1', '127.8.8.8', '[::1]', 'localhost:1883']) {
    t.equal(count(full.replace('localhost', host).replace('evaluation', 'order'), 'run'), 0, host);
  }
  for (const host of ['10.0.0.1', '127.0.0.1.example', 'localhost.example', '[::2]', '0.0.0.0']) {
    t.equal(count(full.replace('localhost', host).replace('evaluation', 'order'), 'run'), 1, host);
  }
});

void t.test('a box cannot have a name that the broker knows as another’s', async (t) => {
  const problemsOf = (box: string, mode: ConfigMode) =>
    inspectText(
      `site: lab\nbox: ${box}\ncamera: { source: "test:pattern" }\nmqtt: { url: "mqtt://localhost" }\n`,
      { env: {}, mode },
    ).problems;
  for (const box of ['all']) {
    for (const mode of ['run', 'check'] as const) {
      t.match(problemsOf(box, mode), [
        { path: 'box', line: 2, found: `"${box}"`, message: /give this box another/ },
      ]);
    }
  }
  t.same(problemsOf('room', 'replay'), [], 'a replay speaks to no broker');
  t.same(problemsOf('room-1', 'run'), []);
});

void t.test('keys and certificates must exist, and the key must be private', async (t) => {
  const dir = scratch(t);
  const pem = (name: string): string => join(dir, name);
  const authority = new CertificateAuthority(join(dir, 'authority'));
  await authority.start();
  const pair = await authority.client('lab-1');
  writeFileSync(pem('ca'), readFileSync(authority.ca));
  writeFileSync(pem('cert'), readFileSync(pair.cert));
  writeFileSync(pem('key'), readFileSync(pair.key), { mode: 0o600 });
  const file = join(dir, 'vigie.yaml');
  const mqtt = { url: 'mqtts://room.example', ca: pem('ca'), cert: pem('cert'), key: pem('key') };
  const camera = { source: 'rtsp://admin:hunter2@10.0.0.2/main' };
  // JSON is YAML, so the same loader reads it.
  writeFileSync(file, JSON.stringify({ site: 'lab', box: 'lab-1', camera, mqtt, ...PLACES }), {
    mode: 0o640,
  });
  const inspect = (files?: boolean) =>
    inspectConfig(file, { env: {}, mode: 'check', ...(files === undefined ? {} : { files }) });
  t.match(inspect(), { problems: [], warnings: [] });
  for (const mode of [0o640, 0o400, 0o600]) {
    chmodSync(pem('key'), mode);
    t.same(inspect().problems, [], mode.toString(8));
  }
  for (const mode of [0o644, 0o660, 0o604, 0o740]) {
    chmodSync(pem('key'), mode);
    t.match(inspect().problems, [
      { path: 'mqtt.key', line: 1, message: /private key is open to others.*chmod 0640/ },
    ]);
    t.same(inspect(false).problems, [], 'not checked when the files are elsewhere');
  }
  chmodSync(pem('key'), 0o640);
  chmodSync(file, 0o644);
  const { warnings } = inspect();
  t.match(warnings, [{ path: 'camera.source', message: /every user can read; run chmod 0640/ }]);
  t.notMatch(JSON.stringify(warnings), 'hunter2');
  mkdirSync(join(dir, 'folder'));
  writeFileSync(file, readFileSync(file, 'utf8').replace(pem('ca'), join(dir, 'folder')));
  t.match(inspect().problems, [{ path: 'mqtt.ca', message: 'is not a file' }]);
});

void t.test('certificates and key must be what their names say, and this box’s', async (t) => {
  const dir = scratch(t);
  const authority = new CertificateAuthority(join(dir, 'authority'));
  await authority.start();
  const [own, other] = await Promise.all([authority.client('lab-1'), authority.client('lab-2')]);
  const caKey = join(dir, 'authority/ca.key');
  const file = (name: string, ...content: string[]): string => {
    writeFileSync(join(dir, name), content.join(''), { mode: 0o600 });
    return join(dir, name);
  };
  const text = (name: string): string => readFileSync(name, 'utf8');
  const good = { ca: authority.ca, ...own };
  const cases: [string, object, string?, RegExp?][] = [
    ['all in order', {}],
    ['an authority of two certificates', { ca: file('two', text(authority.ca), text(own.cert)) }],
    ['a private key as ca', { ca: caKey }, 'ca', /^is a private key; must be/],
    [
      'the authority with its key',
      { ca: file('both', text(authority.ca), text(caKey)) },
      'ca',
      /^holds a private key too, which belongs on no box; must be/,
    ],
    ['no certificate', { ca: file('odd', 'PEM') }, 'ca', /^does not contain a certificate/],
    ['a key as certificate', { cert: own.key }, 'cert', /^is a private key; must be the certificate of this/],
    ['a certificate as key', { key: file('x', text(own.cert)) }, 'key', /^does not contain a usable private/],
    [
      'another box’s pair',
      other,
      'cert',
      /^is the certificate of lab-2; must be one with the CN of `box`, lab-1/,
    ],
    [
      'another box’s key',
      { key: other.key },
      'key',
      /^does not belong to the certificate .* \(mqtt\.cert\)$/,
    ],
    ['no PEM', { ca: file('large', 'x'.repeat(300_000)) }, 'ca', /^is larger than 256 KiB; use a PEM file$/],
  ];
  for (const [name, change, key, message] of cases) {
    for (const mode of ['check', 'run'] as const) {
      const { problems } = inspectText(
        JSON.stringify({
          site: 'lab',
          box: 'lab-1',
          camera: { source: 'test:pattern' },
          mqtt: { url: 'mqtts://room.example', ...good, ...change },
        }),
        { env: {}, mode },
      );
      t.match(problems, key === undefined ? [] : [{ path: `mqtt.${key}`, message }], `${name}, ${mode}`);
      t.equal(problems.length, key === undefined ? 0 : 1, name);
      t.notMatch(JSON.stringify(problems), 'PRIVATE KEY', 'no part of a key is shown');
    }
  }
});

void t.test('settings that are allowed but cannot work give a warning', async (t) => {
  const text = `
site: lab
box: lab-1
camera: { source: "test:pattern", fps: 2 }
zones:
  - { id: yard, polygon: [[0, 0], [0.5, 0], [0.5, 0.5]] }
  - { id: dot, polygon: [[0.9, 0.9], [0.91, 0.9], [0.91, 0.91]] }
  - { id: spare, polygon: [[0, 0], [1, 0], [1, 1]] }
lines:
  - { id: kerb, from: [0.1, 0.05], to: [0.4, 0.3] }
masks:
  - { id: wall, polygon: [[0, 0], [0.6, 0], [0.6, 0.6], [0, 0.6]] }
rules:
  - { id: a, kind: loitering, zone: yard, purpose: evaluation, afterS: 1.4 }
  - id: b
    kind: vehicle-in-pedestrian-zone
    zone: dot
    purpose: evaluation
    schedule: [{ days: [holiday], from: "00:00", to: "24:00" }]
  - { id: c, kind: line-crossing, line: kerb, purpose: evaluation }
`;
  const { config, warnings } = inspectText(text, { env: {}, mode: 'check' });
  t.ok(config, 'accepted');
  t.match(warnings, [
    { path: 'zones[0]', line: 6, message: 'lies entirely under the mask "wall", so it can never match' },
    { path: 'zones[1].polygon', line: 7, message: /^only 5.3 px² of the detector's 416×256 input/ },
    { path: 'zones[2]', line: 8, message: 'no rule uses "spare"' },
    { path: 'lines[0]', line: 10, message: /^lies entirely under the mask "wall"/ },
    {
      path: 'rules[0].afterS',
      line: 14,
      message: /^shorter than 3 analysed frames at 2 fps; use 1.5 or more/,
    },
    { path: 'rules[1].schedule[0].days', line: 19, message: /`holidays` is empty/ },
  ]);
  const idle =
    'site: lab\nbox: lab-1\ncamera: { source: "test:pattern" }\nmqtt: { url: "mqtt://localhost" }\n';
  t.match(inspectText(idle, { env: {}, mode: 'run' }).warnings, [
    { path: 'rules', message: 'is empty: the box would watch nothing; name at least one rule' },
  ]);
  t.same(
    inspectText('site: lab\nbox: lab-1\n', { env: {}, mode: 'replay' }).warnings,
    [],
    'a replay without rules still detects and tracks',
  );
});

void t.test('a model with one input size gives a warning where another size is configured', async (t) => {
  const dir = scratch(t);
  writeFileSync(join(dir, 'one.json'), '{"input": {"fixed": true, "default": [416, 256]}}');
  writeFileSync(join(dir, 'any.json'), '{"input": {"default": [416, 256]}}');
  const text = 'site: lab\nbox: lab-1\ndetector: { input: [640, 384] }\n';
  const base = inspectText(text, { env: {}, mode: 'replay' }).config as Config;
  const messagesFor = (model: string, detector: Partial<Config['detector']>): string[] => {
    const changedConfig = { ...base, detector: { ...base.detector, model, ...detector } };
    return findWarnings(changedConfig, undefined, dir).map(({ message }) => message);
  };
  t.same(messagesFor('any', {}), []);
  t.same(messagesFor('none', {}), [], 'a missing card is reported elsewhere');
  t.same(messagesFor('one', {}), ['model one takes [416, 256] only: the detector does not start']);
  t.same(messagesFor('one', { input: [416, 256] }), []);
  const element = { name: 'onnxinference', model: 'one', properties: [] };
  t.same(messagesFor('any', { backend: 'gstreamer', element }), [
    'model one takes [416, 256] only: it runs on the CPU, not on onnxinference',
  ]);
  t.same(messagesFor('any', { element }), [], 'which is not used');
});

void t.test('a ground plane needs two plausible people, and far zones give a warning', async (t) => {
  const inspect = (people: string, zone = '[[0, 0.6], [1, 0.6], [1, 1]]') =>
    inspectText(
      `
site: lab
box: lab-1
groundPlane: { people: ${people} }
zones: [{ id: yard, polygon: ${zone} }]
rules: [{ id: a, kind: loitering, zone: yard, purpose: evaluation }]
`,
      { env: {}, mode: 'check' },
    );
  const near = '{ feet: [0.5, 0.9], head: [0.5, 0.7] }';
  t.match(inspect(`[${near}, { feet: [0.5, 0.5], head: [0.5, 0.4] }]`), { problems: [], warnings: [] });
  const wrong = (people: string): unknown => inspect(people).problems;
  t.match(wrong(`[${near}, { feet: [0.5, 0.3], head: [0.5, 0.4] }]`), [
    { path: 'groundPlane.people[1].head', line: 4, message: /above the feet/ },
  ]);
  t.match(wrong(`[${near}, { feet: [0.5, 0.85], head: [0.5, 0.6] }]`), [
    { path: 'groundPlane.people', message: /different distances/ },
  ]);
  t.match(wrong(`[${near}, { feet: [0.5, 0.5], head: [0.5, 0.2] }]`), [
    { path: 'groundPlane.people', message: /lower in the picture is nearer and must look taller/ },
  ]);
  t.match(wrong(`[${near}]`), [{ path: 'groundPlane.people' }]);
  const far = inspect(
    `[${near}, { feet: [0.5, 0.5], head: [0.5, 0.4] }]`,
    '[[0, 0.2], [1, 0.2], [1, 0.3], [0, 0.3]]',
  );
  t.match(far.warnings, [
    { path: 'zones[0].polygon', message: /too far .* at its near side a person is 13 px tall/ },
  ]);
});

void t.test('the documented example is complete and valid', async (t) => {
  const { config, problems, warnings } = inspectText(EXAMPLE, { env: {}, mode: 'run', files: false });
  t.same(problems, []);
  t.same(warnings, []);
  for (const { path } of CONFIG_KEYS) {
    const value = path.reduce<unknown>((group, key) => Reflect.get(Object(group), key), config);
    t.not(value, undefined, path.join('.'));
    t.match(EXAMPLE, new RegExp(`^ *${path.at(-1)}:`, 'm'), `${path.join('.')} is in the example`);
  }
  const kinds = RULE_SCHEMAS.map((schema) => schema.properties.kind.const);
  t.same(new Set(config?.rules.map(({ kind }) => kind)), new Set(kinds), 'every kind of rule');
  t.equal(readFileSync(join(ROOT, 'docs', 'ref', 'config.md'), 'utf8').includes(EXAMPLE), true);
});

void t.test('a polygon may not cross itself, and covers only what lies wholly inside', async (t) => {
  const regular = (corners: number, radius: number): PointNorm[] =>
    Array.from({ length: corners }, (_, i) => {
      const angle = (2 * Math.PI * i) / corners;
      return [0.5 + radius * Math.cos(angle), 0.5 + radius * Math.sin(angle)];
    });
  fc.assert(
    fc.property(
      fc.integer({ min: 3, max: 64 }),
      fc.double({ min: 0.01, max: 0.49, noNaN: true }),
      (corners, radius) => {
        const polygon = regular(corners, radius);
        const [first, second, ...rest] = polygon;
        const crossed =
          corners > 3 && first && second && rest[0] ? [first, rest[0], second, ...rest.slice(1)] : undefined;
        return (
          polygonProblem(polygon) === undefined &&
          polygonProblem([...polygon].reverse()) === undefined &&
          (crossed === undefined || polygonProblem(crossed) !== undefined) &&
          covers(regular(corners, radius + 0.005), polygon) &&
          !covers(polygon, regular(corners, radius + 0.005))
        );
      },
    ),
  );
  t.pass('regular polygons are fine, swapped corners are not, larger covers smaller');
});

void t.test('misspelt words get the nearest key, and secrets are hidden', async (t) => {
  const keys = ['eventsDays', 'snapshotsDays', 'zones', 'fps'];
  t.equal(nearest('eventDays', keys), 'eventsDays');
  t.equal(nearest('snapshots_days', keys), 'snapshotsDays');
  t.equal(nearest('zonse', keys), 'zones', 'swapped letters count once');
  t.equal(nearest('colour', keys), undefined);
  t.equal(nearest('z'.repeat(100_000), keys), undefined);
  t.equal(hideSecrets('rtsp://admin:p@ss:w@10.0.0.2/main?key=x'), 'rtsp://***@10.0.0.2/main?***');
  t.equal(hideSecrets('admin:pass@10.0.0.2'), 'admin:***@10.0.0.2');
  t.equal(hideSecrets('rtsp:/admin:pass@10.0.0.2'), 'rtsp:/***@10.0.0.2');
  t.equal(hideSecrets('file:/clips/a.mp4'), 'file:/clips/a.mp4');
  const source = (value: string): string | null => displayValue(value, ['camera', 'source']);
  for (const [text, hidden] of [
    ['rtsp://[fe80::1]:554/', 'rtsp://[fe80::1]/'],
    ['rtsp://h/cam?channel=1&x=y', 'rtsp://h/cam?channel=1&x=***'],
    ['file:/a:b.mp4', 'file:/a:b.mp4'],
    ['10.0.0.2/main', '***'],
    ['http://10.0.0.2:554/main', 'http://***'],
  ] as const) {
    t.equal(source(text), JSON.stringify(hidden), 'an unparsable part is not shown');
  }
  const addressless = ['admin:hunter2', 'rtsp:admin:hunter2/x', 'rtsp:////a:hunter2'];
  for (const broken of ['rtsp://admin:hunter2 10.0.0.2/main', ...addressless]) {
    t.match(source(broken), /^"(rtsp:\/*)?\*\*\*"$/, 'a login that has lost its @');
  }
  for (const address of [
    'rtsp://10.0.0.2/user=admin_password=hunter2_channel=1',
    'rtsp://admin:hunter2@h/?x=hunter2',
  ]) {
    t.notMatch(source(address), 'hunter2');
    t.notMatch(withoutSecret(address), 'hunter2');
  }
});
