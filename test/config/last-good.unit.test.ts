/**
 * Tests the fallbacks: a refused configuration gives way to the last good one, a damaged model to the last one that
 * ran. Tests also `camera.substream`: accepted values, and that its credentials stay on the box like those of
 * `camera.source`.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { systemClock } from '../../agent/base/clock.ts';
import { AgentError } from '../../agent/base/errors.ts';
import { coverageReport } from '../../agent/cli/coverage.ts';
import { editedText, proposableOf } from '../../agent/config/edit.ts';
import { keepConfig, LAST_GOOD_FILE, usableConfig } from '../../agent/config/last-good.ts';
import { ConfigProblems, inspectConfig, inspectText, problemText } from '../../agent/config/load.ts';
import { shownSha256, streamWithSecret, withoutSecrets, withSecretsOf } from '../../agent/config/secrets.ts';
import type { Config } from '../../agent/contract/config.ts';
import { watchedHash } from '../../agent/restraint/journal/watched.ts';
import { parseCard } from '../../agent/vision/detect/card.ts';
import { Detector } from '../../agent/vision/detect/detector.ts';
import { keepModel } from '../../agent/vision/detect/kept-model.ts';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { configOf as authorisableConfig } from '../lib/agent.ts';
import { authorised } from '../lib/authority.ts';
import { SILENT } from '../lib/outbox.ts';
import { MODEL_DIR, scratch } from '../lib/paths.ts';

const MODEL = 'nanodet-g-city10';

function configText(box: string): string {
  return [
    'site: site-1',
    `box: ${box}`,
    'camera: { source: "test:pattern", fps: 5 }',
    'mqtt: { url: "mqtts://localhost:8883", ca: ca.pem, cert: cert.pem, key: key.pem, ack: broker }',
    'rules: []',
    '',
  ].join('\n');
}

t.test('a refused configuration gives way to the last good one', async (t) => {
  const dir = scratch(t);
  const [file, lastGoodFile] = [join(dir, 'vigie.yaml'), join(dir, LAST_GOOD_FILE)];
  const use = (): ReturnType<typeof usableConfig> => usableConfig(file, dir, { env: {}, mode: 'run' });
  await writeConfig(file, 'box-1', dir);
  const first = use();
  t.match(first, { file, refusal: undefined, config: { box: 'box-1' } });
  const text = readFileSync(file);
  writeFileSync(file, 'changed while it starts: [');
  keepConfig(first.bytes, dir);
  t.strictSame(readFileSync(lastGoodFile), text, 'the text of the start is stored, not the present file');
  writeFileSync(file, text);
  t.equal(statSync(lastGoodFile).mode & 0o777, 0o600, 'a camera’s password may be in it');

  writeFileSync(file, readFileSync(file, 'utf8').replace('box-1', 'Box 1'));
  const second = use();
  t.match(
    second,
    { file: lastGoodFile, config: { box: 'box-1' } },
    'it continues with the text of its start',
  );
  t.ok(second.refusal instanceof ConfigProblems);
  t.match(second.refusal?.message, /vigie\.yaml:2:\d+ box: .*Box 1/, 'and says where and why');

  await writeConfig(file, 'box-1', dir);
  writeFileSync(join(dir, 'cert.pem'), '');
  const third = use();
  t.match(
    third,
    { file: lastGoodFile, config: { box: 'box-1' } },
    'a certificate that went bad does not blind the box',
  );
  t.match(third.refusal?.message, /vigie\.yaml:4:\d+ mqtt\.cert: does not contain a certificate/);
  writeFileSync(file, readFileSync(file, 'utf8').replace('box-1', 'Box 1'));

  writeFileSync(lastGoodFile, 'site: [');
  t.throws(use, { message: /vigie\.yaml:2:\d+ box/ }, 'a damaged last good one is refused as well');
  rmSync(lastGoodFile);
  t.throws(use, { message: /vigie\.yaml:2:\d+ box/ }, 'without one the start fails as before');
  await writeConfig(file, 'box-1', dir);
  keepConfig(use().bytes, dir);
  rmSync(file);
  t.throws(use, { message: /vigie\.yaml/ }, 'a removed file is not replaced');
});

/** Writes the configuration file and the files that it names. */
async function writeConfig(file: string, box: string, dir: string): Promise<void> {
  const authority = new CertificateAuthority(join(dir, 'authority'));
  await authority.start();
  const { cert, key } = await authority.client(box);
  for (const [name, from] of Object.entries({ ca: authority.ca, cert, key })) {
    writeFileSync(join(dir, `${name}.pem`), readFileSync(from), { mode: 0o600 });
  }
  writeFileSync(file, configText(box).replaceAll(/(\w+)\.pem/g, `${dir}/$1.pem`));
}

/** Makes a folder with the real model; `spoil` flips one bit of the file. */
function installModel(t: Test): { dir: string; spoil: () => void } {
  const dir = scratch(t);
  for (const ext of ['json', 'onnx'])
    copyFileSync(join(MODEL_DIR, `${MODEL}.${ext}`), join(dir, `${MODEL}.${ext}`));
  const file = join(dir, `${MODEL}.onnx`);
  const spoil = (): void => {
    const bytes = readFileSync(file);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
    writeFileSync(file, bytes);
  };
  return { dir, spoil };
}

t.test('a damaged model gives way to the one that ran last', async (t) => {
  process.env['ORT_DISABLE_TELEMETRY'] = '1';
  const { dir: modelDir, spoil } = installModel(t);
  const keptDir = join(scratch(t), 'kept');
  const refusalOf = async (dir: string | undefined, kind: string): Promise<string> => {
    const error: unknown = await start(dir).catch((error: unknown) => error);
    t.match(error, { kind });
    return error instanceof AgentError ? error.message : '';
  };
  const start = async (dir?: string) => {
    const config = {
      model: MODEL,
      input: [416, 256] as [number, number],
      backend: 'onnxruntime' as const,
      providers: ['cpu'],
    };
    const detector = new Detector({ config, modelDir, keptDir: dir, clock: systemClock, log: SILENT });
    try {
      return await detector.start();
    } finally {
      await detector.stop();
    }
  };
  spoil();
  t.match(await refusalOf(keptDir, 'corrupt'), /altered/, 'none has run yet');
  spoil();
  const sound = await start(keptDir);
  t.equal(sound.fallback, null);
  t.strictSame(readdirSync(keptDir).sort(), [`${MODEL}.json`, `${sound.sha256}.onnx`].sort());
  const keptAt = statSync(join(keptDir, `${MODEL}.json`)).mtimeMs;
  await start(keptDir);
  t.equal(statSync(join(keptDir, `${MODEL}.json`)).mtimeMs, keptAt, 'the same model is not written again');

  spoil();
  const fallbackRun = await start(keptDir);
  t.equal(fallbackRun.sha256, sound.sha256);
  const last = `the model that ran last (SHA-256 ${sound.sha256.slice(0, 12)}…) runs instead`;
  t.match(fallbackRun.fallback, /altered/);
  t.ok(fallbackRun.fallback?.includes(last), fallbackRun.fallback ?? '');
  await t.rejects(
    start(),
    { kind: 'corrupt', message: /altered/ },
    'a replay runs the installed one or none',
  );

  rmSync(join(modelDir, `${MODEL}.json`));
  t.match(
    await refusalOf(keptDir, 'config'),
    /no model card/,
    'a mistake for a person to fix is not covered up',
  );
  copyFileSync(join(MODEL_DIR, `${MODEL}.json`), join(modelDir, `${MODEL}.json`));
  writeFileSync(join(keptDir, `${sound.sha256}.onnx`), 'half');
  t.match(await refusalOf(keptDir, 'corrupt'), /truncated/, 'the stored model is checked like any other');
});

t.test('only one model of a name is kept', async (t) => {
  const dir = scratch(t);
  const card = parseCard(readFileSync(join(MODEL_DIR, `${MODEL}.json`), 'utf8'), 'card');
  const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
  const keep = (name: string, text: string): Promise<void> =>
    keepModel(dir, { ...card, name, sha256: hash(text), bytes: text.length }, Buffer.from(text));
  await keep('one', 'first');
  await keep('other', 'second');
  await keep('one', 'third');
  const models = ['second', 'third'].map((text) => `${hash(text)}.onnx`).sort();
  t.strictSame(readdirSync(dir).sort(), [...models, 'one.json', 'other.json']);
  const third = join(dir, `${hash('third')}.onnx`);
  writeFileSync(third, 'thirt');
  await keep('one', 'third');
  t.equal(readFileSync(third, 'utf8'), 'third', 'a damaged one is written again');
  writeFileSync(join(dir, 'one.json'), 'half a car');
  await keep('one', 'third');
  t.match(
    JSON.parse(readFileSync(join(dir, 'one.json'), 'utf8')),
    { name: 'one' },
    'a damaged card is written again',
  );
  const file = join(dir, 'file');
  writeFileSync(file, '');
  await t.rejects(keepModel(join(file, 'no'), card, Buffer.from('')), AgentError, 'a folder that cannot be');
  t.notOk(existsSync(join(file, 'no')));
});

const MAIN = 'rtsp://admin:hunter2@10.0.0.2/main';
const SUB = 'rtsp://admin:hunter2@10.0.0.2/sub';

const textOf = (source: string, substream?: string): string =>
  `site: s\nbox: b\ncamera:\n  source: "${source}" # by the door\n${
    substream === undefined ? '' : `  substream: "${substream}"\n`
  }  fps: 4\n`;

const inspected = (text: string, env: Record<string, string> = {}) =>
  inspectText(text, { env, mode: 'replay' });

function configOf(text: string): Config {
  const { config, problems } = inspected(text);
  if (config === undefined) throw new Error(problems.map((one) => problemText('x', one)).join('; '));
  return config;
}

void t.test('a second stream is another RTSP stream of the same host and port', async (t) => {
  t.equal(configOf(textOf(MAIN)).camera?.substream, undefined, 'off by default');
  t.equal(configOf(textOf(MAIN, SUB)).camera?.substream, SUB);
  const bySetting = inspected(textOf(MAIN), { VIGIE_CAMERA_SUBSTREAM: SUB }).config;
  t.equal(bySetting?.camera?.substream, SUB);
  const cases: [string, string, RegExp][] = [
    [MAIN, 'rtsp://admin:hunter2@10.0.0.2:8554/sub', /another .* same host and port as camera.source/],
    [MAIN, 'file:/a.mp4', /must be rtsp:\/\//],
    [MAIN, 'rtsp://admin:hunter2 10.0.0.2/sub', /printable ASCII/],
    ['v4l2:/dev/video0', SUB, /needs an RTSP stream in camera.source; leave it out/],
  ];
  for (const [source, substream, message] of cases) {
    const { config, problems } = inspected(textOf(source, substream));
    t.equal(config, undefined, substream);
    t.match(problems, [{ path: 'camera.substream', line: 5, message }], substream);
    t.equal(problems.length, 1, 'one line');
    t.notMatch(JSON.stringify(problems), /hunter2/, 'without its login');
  }
  const both = inspected(textOf('rtsp://h#x/main', SUB)).problems;
  t.match(both, [{ path: 'camera.source' }], 'a fault of the source alone is reported once');
  t.equal(both.length, 1);
});

void t.test('its login is hidden outside the box, and filled in from the same device alone', async (t) => {
  for (const text of [
    textOf(MAIN, SUB),
    textOf('rtsp://10.0.0.2/main', SUB),
    textOf(MAIN, 'rtsp://viewer:hunter2@10.0.0.2/sub?token=hunter2'),
    `{"camera": {"substream": "${SUB}", "source": "${MAIN}"}}\n`,
  ]) {
    const hiddenText = withoutSecrets(text) ?? '';
    t.notMatch(hiddenText, /hunter2/);
    const filled = withSecretsOf(hiddenText, text);
    t.strictSame(parse(filled), parse(text), 'and is what it was');
    t.equal(shownSha256(text.replaceAll('hunter2', 'other')), shownSha256(text), 'its hash tells no login');
    t.equal(streamWithSecret(hiddenText), undefined);
  }
  t.equal(streamWithSecret(textOf('rtsp://10.0.0.2/main', SUB)), 'substream');
  t.equal(streamWithSecret(textOf(MAIN, SUB)), 'source');

  const previous = textOf(MAIN);
  const added = textOf('rtsp://***@10.0.0.2/main', 'rtsp://***@10.0.0.2/sub');
  t.equal(withSecretsOf(added, previous), textOf(MAIN, SUB), 'a new one has the login of the source');
  const own = textOf(MAIN, 'rtsp://viewer:p@10.0.0.2/sub');
  t.equal(
    withSecretsOf(textOf('rtsp://***@10.0.0.2/main', 'rtsp://***@10.0.0.2/sub2'), own),
    textOf(MAIN, 'rtsp://viewer:p@10.0.0.2/sub2'),
    'or its own',
  );
  for (const foreignAddress of ['rtsp://***@10.0.0.3/sub', 'rtsp://***@10.0.0.2:8554/sub'])
    t.throws(
      () => withSecretsOf(textOf('rtsp://***@10.0.0.2/main', foreignAddress), textOf(MAIN, SUB)),
      /^camera.substream: the login .* of another camera/,
    );
  const shared = `camera: { source: "rtsp://10.0.0.2/main", substream: &s "rtsp://***@10.0.0.2/sub" }\nsite: *s\n`;
  t.throws(() => withSecretsOf(shared, textOf(MAIN, SUB)), /^camera.substream: .* through an alias/);
});

void t.test('a password in a file that everybody can read gives a warning', async (t) => {
  const file = join(scratch(t), 'vigie.yaml');
  writeFileSync(file, textOf('rtsp://10.0.0.2/main', SUB));
  chmodSync(file, 0o644);
  const { warnings } = inspectConfig(file, { env: {}, mode: 'replay' });
  t.match(warnings, [{ path: 'camera.substream', message: /every user can read/ }]);
});

void t.test('the second stream is part of the watched camera, without its login', async (t) => {
  const hash = (substream?: string, key = 'of this box'): string =>
    watchedHash({ config: configOf(textOf(MAIN, substream)), key: Buffer.from(key) });
  t.equal(hash(SUB), hash('rtsp://other:x@10.0.0.2/sub'), 'another password is the same camera');
  t.not(hash(SUB), hash('rtsp://10.0.0.2/sub2'));
  const [one, other] = ['rtsp://10.0.0.2/sub?token=1', 'rtsp://10.0.0.2/sub?token=2'];
  t.not(hash(one), hash(other), 'another key is another stream');
  t.not(hash(one), hash(one, 'of another box'), 'and cannot be guessed from the hash');
  t.not(hash(SUB), hash());
});

void t.test('a technician’s proposal keeps, sets or drops it', async (t) => {
  const text = textOf(MAIN, SUB);
  const shownProposal = proposableOf(configOf(text));
  t.equal(shownProposal.substreamAddress, 'rtsp://10.0.0.2/sub');
  t.notMatch(JSON.stringify(shownProposal), /hunter2/);
  t.notOk('substreamAddress' in proposableOf(configOf(textOf(MAIN))));
  const { cameraAddress, substreamAddress, ...otherFields } = shownProposal;
  const edited = (change: object, before = text): string =>
    editedText(before, { ...structuredClone(otherFields), ...change });

  t.equal(edited({}), text, 'absent: unchanged');
  t.equal(
    edited({ source: cameraAddress, substream: substreamAddress }),
    text,
    'proposed unchanged: with its login',
  );
  t.equal(edited({ substream: null }), textOf(MAIN), 'null: none');
  t.strictSame(parse(edited({ substream: SUB }, textOf(MAIN))), parse(text));
  for (const source of ['rtsp://a:b@10.0.0.3/main', 'rtsp://a:b@10.0.0.2/cam?channel=2', 'v4l2:/dev/video0'])
    t.equal(edited({ source }), textOf(source), 'another camera: the former stream goes');
  t.equal(
    edited({ source: 'rtsp://10.0.0.3/main', substream: 'rtsp://10.0.0.3/sub' }),
    textOf('rtsp://10.0.0.3/main', 'rtsp://10.0.0.3/sub'),
  );
  const [source, viewer] = ['rtsp://admin:new@10.0.0.2/main', 'rtsp://viewer:x@10.0.0.2/sub'];
  t.equal(
    edited({ source }),
    textOf(source, 'rtsp://admin:new@10.0.0.2/sub'),
    'the same login changes with it',
  );
  t.equal(edited({ source }, textOf(MAIN, viewer)), textOf(source, viewer), 'a login of its own stays');
});

const AUTHORISABLE = authorisableConfig(
  {
    site: 'lab',
    box: 'lab-1',
    camera: {
      source: 'rtsp://admin:hunter2@10.0.0.2/main',
      substream: 'rtsp://admin:hunter2@10.0.0.2/sub?x=hunter2',
    },
    lines: [{ id: 'kerb', from: [0, 0], to: [1, 1] }],
    rules: [{ id: 'over-kerb', kind: 'line-crossing', line: 'kerb', purpose: 'counting' }],
  },
  'replay',
);
const [ADDRESS, SUB_ADDRESS] = ['rtsp://10.0.0.2/main', 'rtsp://10.0.0.2/sub?x=hunter2'];

void t.test('an order that does not name the second stream is one line of advice', async (t) => {
  const { problem, warnings } = coverageReport(authorised(AUTHORISABLE, scratch(t)));
  t.equal(problem, undefined, 'and the order still applies');
  t.strictSame(warnings, [
    'camera.substream: authorisation 2026-77 does not name rtsp://10.0.0.2/sub?x=***, so the box runs without it; ask for an authorisation that names it as substream',
  ]);
});

void t.test('an order that names both streams gives no advice', async (t) => {
  for (const cameraFields of [
    { camera: ADDRESS, substream: SUB_ADDRESS },
    { camera: SUB_ADDRESS, substream: ADDRESS },
  ])
    t.strictSame(coverageReport(authorised(AUTHORISABLE, scratch(t), cameraFields)).warnings, []);
  const { substream: _, ...camera } = AUTHORISABLE.camera ?? { source: ADDRESS, fps: 5 };
  t.strictSame(coverageReport(authorised({ ...AUTHORISABLE, camera }, scratch(t))).warnings, []);
});
