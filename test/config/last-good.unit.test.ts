/**
 * Tests the fallbacks: a refused configuration gives way to the last good one, a damaged model to the last one that
 * ran.
 */
import { createHash } from 'node:crypto';
import {
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
import { systemClock } from '../../agent/base/clock.ts';
import { AgentError } from '../../agent/base/errors.ts';
import { keepConfig, LAST_GOOD_FILE, usableConfig } from '../../agent/config/last-good.ts';
import { ConfigProblems } from '../../agent/config/load.ts';
import { parseCard } from '../../agent/vision/detect/card.ts';
import { Detector } from '../../agent/vision/detect/detector.ts';
import { keepModel } from '../../agent/vision/detect/kept-model.ts';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
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
