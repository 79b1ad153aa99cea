/**
 * Tests the detector with the real model on the CPU: detections, letterbox, model card checks, appearance features and
 * memory.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import type { AgentError } from '../../agent/base/errors.ts';
import type { Logger } from '../../agent/base/log.ts';
import { modelsDir, packageRoot } from '../../agent/base/package-root.ts';
import type { DetectorConfig } from '../../agent/contract/config.ts';
import { iou, type SizePx, type XyxyPx } from '../../agent/contract/geometry.ts';
import type { Detection, Features, Frame } from '../../agent/contract/picture.ts';
import type { ModelCard } from '../../agent/vision/detect/card.ts';
import { Detector } from '../../agent/vision/detect/detector.ts';
import { constantModel, type Output } from '../lib/onnx.ts';
import { scratch } from '../lib/paths.ts';
import { unlessAll } from '../lib/run.ts';

const MODELS = modelsDir();
const CLIP = join(packageRoot(), '.cache', 'vtest.avi');
const WITH_CLIP = { skip: existsSync(CLIP) ? false : `${CLIP} is absent: scripts/setup fetches it` };
const ALL_WITH_CLIP = { skip: WITH_CLIP.skip || unlessAll };
const MODEL = 'nanodet-g-city10';
const SOURCE: SizePx = { widthPx: 768, heightPx: 576 };

function config(over: Partial<DetectorConfig> = {}): DetectorConfig {
  return { model: MODEL, input: [416, 256], backend: 'onnxruntime', providers: ['cpu'], ...over };
}

/** A logger that stores its warnings. */
function keeping(): { log: Logger; warnings: string[] } {
  const warnings: string[] = [];
  const quiet = (): void => undefined;
  const warn = (_fields: object, message: string): void => {
    warnings.push(message);
  };
  return { log: { error: quiet, warn, info: quiet, debug: quiet }, warnings };
}

function detector(
  modelDir: string,
  over: Partial<DetectorConfig> = {},
  features = false,
  log = keeping().log,
): Detector {
  return new Detector({ config: config(over), modelDir, features, clock: systemClock, log });
}

function frameOf(rgb: Uint8Array, source: SizePx, [widthPx, heightPx]: readonly [number, number]): Frame {
  return { index: 1, ptsNs: 0n, atMs: 0, wallMs: 0, source, input: { widthPx, heightPx }, rgb };
}

/** One raw RGB frame of the GStreamer pipeline `head`, letterboxed as the camera does it. */
function letterboxed(t: Test, head: string[], [width, height]: readonly [number, number]): Buffer {
  const out = join(t.testdir(), 'frame.rgb');
  const size = `video/x-raw,width=${width},height=${height},pixel-aspect-ratio=1/1`;
  const letterbox = ['!', 'videoscale', 'add-borders=true', '!', size, '!', 'videoconvert'];
  // eos-after counts the buffer at which the stream ends, which is not passed on.
  const one = [
    '!',
    'video/x-raw,format=RGB',
    '!',
    'identity',
    'eos-after=2',
    '!',
    'filesink',
    `location=${out}`,
  ];
  execFileSync('gst-launch-1.0', ['-q', ...head, ...letterbox, ...one]);
  return readFileSync(out);
}

/** A model folder with a copy of the real model, for damaging it. */
function copyOfModels(t: Test): string {
  const dir = t.testdir();
  for (const ext of ['json', 'onnx'])
    copyFileSync(join(MODELS, `${MODEL}.${ext}`), join(dir, `${MODEL}.${ext}`));
  return dir;
}

/** A model folder with the real card, except for another file and its entry about features. */
function withFile(t: Test, bytes: Uint8Array, features?: ModelCard['features']): string {
  const file = 'other.onnx';
  const dir = copyOfModels(t);
  const { features: _, ...real } = JSON.parse(
    readFileSync(join(MODELS, `${MODEL}.json`), 'utf8'),
  ) as ModelCard;
  const card = { ...real, ...(features && { features }) };
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  writeFileSync(join(dir, file), bytes);
  writeFileSync(join(dir, `${MODEL}.json`), JSON.stringify({ ...card, file, bytes: bytes.length, sha256 }));
  return dir;
}

const boxes: Output = { name: 'boxes', type: 'float32', shape: [1, 4], value: 20 };
const scores: Output = { name: 'scores', type: 'float32', shape: [1], value: 0.5 };
const labels: Output = { name: 'labels', type: 'int32', shape: [1], value: 0 };
const PLAIN = [boxes, scores, labels];

async function refusal(one: Detector): Promise<AgentError> {
  try {
    await one.start();
  } catch (error) {
    return error as AgentError;
  } finally {
    await one.stop();
  }
  throw new Error('the detector started');
}

t.test('the detector does not start while ONNX Runtime would send usage data', async (t) => {
  delete process.env['ORT_DISABLE_TELEMETRY'];
  const error = await refusal(detector(MODELS));
  t.match(error, { name: 'AgentError', kind: 'config', message: /ORT_DISABLE_TELEMETRY=1/ });
  t.notMatch(readFileSync('/proc/self/maps', 'utf8'), /onnxruntime/, 'the library was not even loaded');
  process.env['ORT_DISABLE_TELEMETRY'] = '1';
});

t.test('people and vehicles of a street frame are found in source pixels', WITH_CLIP, async (t) => {
  const rgb = letterboxed(t, ['filesrc', `location=${CLIP}`, '!', 'decodebin'], [416, 256]);
  const one = detector(MODELS);
  const info = await one.start();
  t.match(info, { model: MODEL, provider: 'cpu', fallback: null, sha256: /^[0-9a-f]{64}$/ });
  const detections = await one.detect(frameOf(rgb, SOURCE, [416, 256]));
  // Places of the three walkers and the white van in the first frame, read off the picture.
  const expected: [Detection['group'], number, XyxyPx][] = [
    ['person', 0.5, [500, 156, 531, 234]],
    ['person', 0.5, [253, 219, 283, 308]],
    ['person', 0.5, [640, 240, 686, 322]],
    ['vehicle', 0.3, [651, 44, 724, 99]],
  ];
  for (const [group, score, xyxyPx] of expected) {
    const match = detections.find((box) => box.group === group && iou(box.xyxyPx, xyxyPx) > 0.6);
    t.ok((match?.score ?? 0) >= score, `${group} at ${xyxyPx.join(' ')}: ${match?.score.toFixed(2)}`);
  }
  t.ok(
    detections.every(({ score }, i) => score >= 0.15 && score <= (detections[i - 1]?.score ?? 1)),
    'from the floor up, best first',
  );
  t.ok(
    detections.every(
      ({ xyxyPx: [x1, y1, x2, y2] }) => 0 <= x1 && x1 < x2 && x2 <= 768 && 0 <= y1 && y1 < y2 && y2 <= 576,
    ),
    'inside the frame',
  );
  t.same(
    await one.detect(frameOf(rgb, SOURCE, [416, 256])),
    detections,
    'the same frame says the same again',
  );
  await t.rejects(one.detect(frameOf(rgb, SOURCE, [256, 416])), { kind: 'bug', message: /256x416/ });
  await one.stop();
});

t.test('other input sizes find the same people', ALL_WITH_CLIP, async (t) => {
  for (const input of [
    [416, 416],
    [640, 384],
  ] as [number, number][]) {
    const rgb = letterboxed(t, ['filesrc', `location=${CLIP}`, '!', 'decodebin'], input);
    const one = detector(MODELS, { input });
    await one.start();
    const detections = await one.detect(frameOf(rgb, SOURCE, input));
    const people = detections.filter(({ group, score }) => group === 'person' && score >= 0.5);
    t.equal(people.length, 3, input.join('x'));
    await one.stop();
  }
});

t.test('a larger picture beside a frame finds more people, each once', ALL_WITH_CLIP, async (t) => {
  const one = detector(MODELS);
  t.equal(one.largerPictureWidthMaxPx, 0, 'before the model is loaded');
  await one.start();
  t.equal(one.largerPictureWidthMaxPx, Number.POSITIVE_INFINITY);
  const people = (detections: Detection[]): Detection[] =>
    detections.filter(({ group, score }) => group === 'person' && score >= 0.5);
  const file = join(scratch(t), 'night.mkv');
  // Nine tenths of the light are gone, and the sensor's noise exceeds the difference between a coat and the street.
  const night = 'hue=s=0,eq=gamma=.35,noise=alls=20:all_seed=1';
  let [withoutIt, withIt] = [0, 0];
  // The noise decides whether one person has a sufficient score, so people of six moments are tested.
  for (const atS of [3, 13, 23, 33, 43, 53]) {
    const frameArgs = ['-v', 'error', '-y', '-ss', String(atS), '-i', CLIP, '-frames:v', '2'];
    execFileSync('ffmpeg', [...frameArgs, '-vf', night, '-c:v', 'ffv1', file]);
    const head = ['filesrc', `location=${file}`, '!', 'decodebin'];
    const frame = frameOf(letterboxed(t, head, [416, 256]), SOURCE, [416, 256]);
    const fine = { size: { widthPx: 832, heightPx: 512 }, rgb: letterboxed(t, head, [832, 512]) };
    const [small, both] = [people(await one.detect(frame)), people(await one.detect({ ...frame, fine }))];
    withoutIt += small.length;
    withIt += both.length;
    for (const { xyxyPx } of small)
      t.ok(
        both.some((other) => iou(other.xyxyPx, xyxyPx) > 0.6),
        `${atS} s: ${xyxyPx} is still there`,
      );
    const hasDuplicate = both.some((a) => both.some((b) => a !== b && iou(a.xyxyPx, b.xyxyPx) > 0.6));
    t.notOk(hasDuplicate, `${atS} s: each person once`);
  }
  t.ok(withIt > 1.2 * withoutIt, `${withIt} people instead of ${withoutIt}`);
  await one.stop();
});

t.test('a missing provider falls back to cpu with a clear line', async (t) => {
  const { log, warnings } = keeping();
  const one = detector(MODELS, { providers: ['nonesuch'] }, false, log);
  const info = await one.start();
  t.equal(info.provider, 'cpu');
  t.match(info.fallback, /nonesuch/);
  t.match(warnings, [/detector runs on cpu instead: nonesuch: .*not found/]);
  await one.stop();
});

t.test('a file that is not the measured model is refused before it is loaded', async (t) => {
  const cases: [string, (dir: string) => void, AgentError['kind'], RegExp][] = [
    [
      'truncated',
      (dir) => truncateSync(join(dir, `${MODEL}.onnx`), 1000),
      'corrupt',
      /truncated: 1000 bytes instead of \d+/,
    ],
    [
      'one bit changed',
      (dir) => {
        const bytes = readFileSync(join(dir, `${MODEL}.onnx`));
        bytes.writeUInt8(bytes.readUInt8(2_000_000) ^ 1, 2_000_000);
        writeFileSync(join(dir, `${MODEL}.onnx`), bytes);
      },
      'corrupt',
      /altered: SHA-256 [0-9a-f]{64} instead of/,
    ],
    [
      'no model at all',
      (dir) => {
        const bytes = Buffer.alloc(1000, 7);
        const card = JSON.parse(readFileSync(join(dir, `${MODEL}.json`), 'utf8')) as object;
        const sha256 = createHash('sha256').update(bytes).digest('hex');
        writeFileSync(join(dir, `${MODEL}.json`), JSON.stringify({ ...card, bytes: bytes.length, sha256 }));
        writeFileSync(join(dir, `${MODEL}.onnx`), bytes);
      },
      'corrupt',
      /does not load on cpu/,
    ],
    ['empty', (dir) => writeFileSync(join(dir, `${MODEL}.onnx`), ''), 'corrupt', /truncated: 0 bytes/],
    [
      'card of another model',
      (dir) => copyFileSync(join(dir, `${MODEL}.json`), join(dir, 'other.json')),
      'corrupt',
      /is that of/,
    ],
  ];
  for (const [name, spoil, kind, message] of cases) {
    const dir = copyOfModels(t);
    spoil(dir);
    const model = existsSync(join(dir, 'other.json')) ? 'other' : MODEL;
    const error = await refusal(detector(dir, { model }));
    t.match(error, { name: 'AgentError', kind, message }, name);
    t.notMatch(error.message, /\n/, `${name}: one line`);
  }
});

t.test('missing model files are named with the remedy', async (t) => {
  const dir = copyOfModels(t);
  const noCard = await refusal(detector(dir, { model: 'yolo' }));
  t.match(noCard, {
    kind: 'config',
    message: /no model card .*yolo\.json; models found there: nanodet-g-city10/,
  });
  writeFileSync(
    join(dir, 'alone.json'),
    readFileSync(join(dir, `${MODEL}.json`), 'utf8').replaceAll(MODEL, 'alone'),
  );
  const noFile = await refusal(detector(dir, { model: 'alone' }));
  t.match(noFile, { kind: 'config', message: /alone\.onnx is missing: .*scripts\/model build/ });
  const noFolder = await refusal(detector(join(dir, 'nowhere')));
  t.match(noFolder, { kind: 'config', message: /nowhere/ });
  const badInput = await refusal(detector(dir, { input: [400, 256] }));
  t.match(badInput, { kind: 'config', message: /detector\.input 400x256: .* multiples of 32/ });
});

t.test('a model with more outputs than ten classes and their boxes is refused', async (t) => {
  const { input } = JSON.parse(readFileSync(join(MODELS, `${MODEL}.json`), 'utf8')) as ModelCard;
  const frame = { name: input.name, shape: [1, 256, 416, 3] };
  const embedding: Output = { name: 'embedding', type: 'float32', shape: [1, 128], value: 0.1 };
  const cases: [string, Output[], RegExp][] = [
    [
      'an appearance vector',
      [boxes, scores, labels, embedding],
      /gives embedding float32 \[1,128\] besides boxes/,
    ],
    [
      'boxes with landmarks',
      [{ ...boxes, shape: [1, 14] }, scores, labels],
      /no boxes float32 \[n,4\]; .*refused/,
    ],
    [
      'scores of 80 classes',
      [boxes, { ...scores, shape: [1, 80] }, labels],
      /no scores float32 \[n\]; .*refused/,
    ],
    [
      'faces in the place of boxes',
      [{ ...boxes, name: 'faces' }, scores, labels],
      /gives faces float32 \[1,4\].*: no boxes float32 \[n,4\]/,
    ],
    [
      'a class of another list',
      [boxes, scores, { ...labels, value: 1000 }],
      /names class 1000, which its card/,
    ],
  ];
  for (const [name, outputs, message] of cases) {
    const error = await refusal(detector(withFile(t, constantModel(frame, outputs))));
    t.match(error, { name: 'AgentError', message }, name);
    t.notMatch(error.message, /\n/, `${name}: one line`);
  }
  const fine = detector(withFile(t, constantModel(frame, [boxes, scores, labels])));
  await fine.start();
  await fine.stop();
});

t.test('features of places come twice a second of media time, when requested', WITH_CLIP, async (t) => {
  const rgb = letterboxed(t, ['filesrc', `location=${CLIP}`, '!', 'decodebin'], [416, 256]);
  const frame = frameOf(rgb, SOURCE, [416, 256]);
  const one = detector(MODELS, {}, true);
  const plain = detector(MODELS);
  await Promise.all([one.start(), plain.start()]);
  const { detections: plainDetections } = await plain.detectWithFeatures(frame);
  const at = async (atMs: number): Promise<Features | undefined> => {
    const sight = await one.detectWithFeatures({ ...frame, atMs });
    t.same(sight.detections, plainDetections, 'what is found is the same');
    return sight.features;
  };
  const times: number[] = [];
  for (let atMs = 0; atMs < 2000; atMs += 100) if ((await at(atMs)) !== undefined) times.push(atMs);
  t.same(times, [0, 500, 1000, 1500]);
  const features = await at(2000);
  t.match(features, { columns: 52, rows: 32, channels: 128, cellPx: 8, input: frame.input });
  t.equal(features?.values.length, 52 * 32 * 128);
  const first = new Set(features?.values);
  const { features: described } = JSON.parse(
    readFileSync(join(MODELS, `${MODEL}.json`), 'utf8'),
  ) as ModelCard;
  const { scale = 1, zeroPoint } = described ?? {};
  t.equal(features?.zeroPoint, zeroPoint);
  const unquantised = (level: number): number => (level - (features?.zeroPoint ?? 0)) * scale;
  t.ok(
    first.size > 100 && [...first].every((level) => Math.abs(unquantised(level)) < 1),
    'values of the network',
  );
  t.equal((await plain.detectWithFeatures(frame)).features, undefined, 'without a request');
  await Promise.all([one.stop(), plain.stop()]);
});

t.test('features that the card does not describe are refused like any other output', async (t) => {
  const { input } = JSON.parse(readFileSync(join(MODELS, `${MODEL}.json`), 'utf8')) as ModelCard;
  const frame = { name: input.name, shape: [1, 256, 416, 3] };
  const map = (shape: readonly number[], type: Output['type'] = 'uint8'): Output[] => [
    ...PLAIN,
    { name: 'features', type, shape, value: 3 },
  ];
  const card = { channels: 2, cellPx: 8, scale: 0.5, zeroPoint: 1 } as const;
  const cases: [string, Output[], ModelCard['features'], RegExp][] = [
    ['unknown to the card', map([1, 32, 52, 2]), undefined, /features uint8 \[1,32,52,2\] besides boxes/],
    ['none', PLAIN, card, /gives none instead of features uint8 \[1,rows,columns,2\]/],
    ['a vector', map([1, 2]), card, /gives features uint8 \[1,2\] instead of/],
    ['other channels', map([1, 32, 52, 3]), card, /instead of features uint8 \[1,rows,columns,2/],
    ['floats', map([1, 32, 52, 2], 'float32'), card, /gives features float32/],
    ['one for each box', map([1, 1, 52, 2]), card, /features \[1,1,52,2\] instead of \[1,32,52,2\]/],
    ['finer than it may be', map([1, 64, 104, 2]), { ...card, cellPx: 4 as 8 }, /\/features\/cellPx/],
  ];
  for (const [name, outputs, features, message] of cases) {
    const dir = withFile(t, constantModel(frame, outputs), features);
    t.match(await refusal(detector(dir)), { name: 'AgentError', message }, name);
  }
  const dir = withFile(t, constantModel(frame, map([1, 32, 52, 2])), card);
  const one = detector(dir, {}, true);
  await one.start();
  const { features } = await one.detectWithFeatures(
    frameOf(new Uint8Array(416 * 256 * 3), SOURCE, [416, 256]),
  );
  t.ok(features?.values.length === 2 * 32 * 52 && features.values.every((value) => value === 3));
  await one.stop();
  const modest = withFile(t, constantModel(frame, PLAIN));
  const other = detector(modest, {}, true);
  await other.start();
  const sight = await other.detectWithFeatures(frameOf(new Uint8Array(416 * 256 * 3), SOURCE, [416, 256]));
  t.equal(sight.features, undefined, 'a model without features works all the same');
  await other.stop();
});

t.test('stop waits for the current run, and may be called again', async (t) => {
  const one = detector(MODELS);
  await one.start();
  const rgb = new Uint8Array(416 * 256 * 3);
  const running = one.detect(frameOf(rgb, SOURCE, [416, 256]));
  await Promise.all([one.stop(), one.stop()]);
  t.same(await running, [], 'a black frame shows nothing');
  await t.rejects(one.detect(frameOf(rgb, SOURCE, [416, 256])), { name: 'AgentError', kind: 'bug' });
});
