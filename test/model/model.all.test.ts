/**
 * Tests `scripts/model import`: refusals, class names, int8 and float forms, and the reproducible build of the shipped
 * model.
 */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { makeLogger } from '../../agent/base/log.ts';
import { LABELS } from '../../agent/contract/label.ts';
import type { Frame } from '../../agent/contract/picture.ts';
import { Camera } from '../../agent/vision/camera/camera.ts';
import { readCard } from '../../agent/vision/detect/card.ts';
import { detections, frameOf } from '../lib/model-inferences.ts';
import { MODEL_DIR, ROOT, STREET_CLIP, scratch } from '../lib/paths.ts';
import { start } from '../lib/program.ts';
import { unlessFull } from '../lib/run.ts';

const PROGRAM = join(ROOT, 'scripts', 'model');
const HELPER = join(ROOT, 'test', 'lib', 'make-export.py');
const FORKS = join(ROOT, 'test', 'lib', 'model-forks.py');
/** Debian's own, independent of PATH. */
const PYTHON = '/usr/bin/python3';
const needed = [
  STREET_CLIP,
  ...['onnx', 'onnxruntime', 'cv2'].map((name) => `/usr/lib/python3/dist-packages/${name}`),
];
// The file of OpenCV's module has the machine in its name.
const exists = (path: string): boolean =>
  existsSync(path) ||
  readdirSync(join(path, '..')).some((name) => name.startsWith('cv2') && path.endsWith('cv2'));
const absent = needed.find((path) => !exists(path));
const options = {
  skip: absent === undefined ? false : `${absent} is absent: scripts/setup --for all brings it`,
};

/** A row of a card's accuracy. */
interface AccuracyRow {
  readonly copy?: string;
  readonly data: string;
  readonly frames: number;
  readonly apAtIou50: number;
}

interface ImportEnd {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function runImport(...args: string[]): Promise<ImportEnd> {
  return importedWith({}, ...args);
}

async function importedWith(environment: NodeJS.ProcessEnv, ...args: string[]): Promise<ImportEnd> {
  const env = { ...process.env, ...environment };
  try {
    const { stdout, stderr } = await promisify(execFile)(PROGRAM, ['import', ...args], { env });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

/** Results of scripts/model import for each of these lists of arguments. */
async function importedTogether(all: readonly (readonly string[])[]): Promise<ImportEnd[]> {
  const folder = join(ROOT, 'scripts', 'workshop', 'model');
  const truth = join(process.env['VIGIE_DATA'] ?? join(ROOT, '../shared/data'), 'gt/pets09-s2l1.txt');
  const places = Object.entries({
    clip: STREET_CLIP,
    'our-stills': join(ROOT, '.cache/model/opencv-doc/usr/share/doc/opencv-doc/examples/data'),
    models: MODEL_DIR,
    cache: join(ROOT, '.cache/model'),
    truth,
  }).flatMap(([name, value]) => [`--${name}`, value]);
  const running = promisify(execFile)(PYTHON, ['-B', FORKS, folder], { maxBuffer: 1e7 });
  running.child.stdin?.end(JSON.stringify(all.map((args) => [...places, ...args])));
  return JSON.parse((await running).stdout) as ImportEnd[];
}

/** Makes a folder with these exports and eight stills. */
function exportsIn(t: Test, exportsWanted: Record<string, Record<string, string>>): string {
  const dir = scratch(t);
  const all = { ...exportsWanted, stills: { what: 'stills', clip: STREET_CLIP } };
  execFileSync(PYTHON, ['-B', HELPER, dir], { input: JSON.stringify(all) });
  return dir;
}

/** Import options for the street's first pictures only, of which the acceptance check uses every fifth. */
function shortClip(dir: string, frames: number): string[] {
  const clip = join(dir, 'short.avi');
  const copied = ['-frames:v', String(frames), '-c', 'copy', clip];
  execFileSync('ffmpeg', ['-v', 'error', '-i', STREET_CLIP, ...copied], { stdio: 'inherit' });
  return ['--clip', clip];
}

const yolox = (names: string, fields: Record<string, string> = {}): Record<string, string> => ({
  what: 'yolox',
  names,
  ...fields,
});

/** File, its export, arguments, expected message. */
const REFUSALS: [string, Record<string, string>, string[], RegExp][] = [
  ['cut', yolox('person', { bytes: '900' }), [], /cut\.onnx is not an ONNX file, or is cut short/],
  ['faces', yolox('face,license_plate'), [], /none of the export's 2 classes \(face, license_plate\) is one/],
  ['silent', yolox('person', { silent: '' }), [], /does not say what its classes are called.* --classes/],
  ['batch', yolox('person', { batch: '4' }), [], /takes 4 pictures at once: export it with a batch of 1/],
  ['two', yolox('person', { inputs: '' }), [], /has 2 inputs \(picture .*, image_shape .*\); .* one picture/],
  [
    'marks',
    yolox('person,face', { also: 'landmarks' }),
    [],
    /one output .* landmarks \[1, 8, 2, 3\]; --outputs/,
  ],
  ['size', yolox('person'), ['--input', '416x256'], /was exported for 96x64 and takes no other size/],
  ['kind', yolox('person,cat'), ['--kind', 'detr'], /^model: detr: expected two outputs/],
  ['odd', yolox('person'), ['--classes', '/no/such/file'], /--classes: \/no\/such\/file cannot be read/],
  ['sight', yolox('person'), ['--stills', MODEL_DIR], /holds 0 pictures .* expected 8 to 400/],
];
/** The refusal that comes last, after quantisation and measurement. */
const POOR = /gate on accuracy: the float model reaches AP 0\.000 .*--accept-accuracy/;

t.test(
  'an export that cannot become a model is refused in one line and leaves no file',
  options,
  async (t) => {
    const dir = exportsIn(
      t,
      Object.fromEntries(REFUSALS.map(([name, exportOptions]) => [`${name}.onnx`, exportOptions])),
    );
    writeFileSync(join(dir, 'text.onnx'), 'hello\n');
    const out = join(dir, 'out');
    const cases: [string, string[], RegExp][] = [
      ...REFUSALS.map(([name, , args, expected]): [string, string[], RegExp] => [name, args, expected]),
      ['text', [], /text\.onnx is not an ONNX file/],
      ['nowhere', [], /nowhere\.onnx is not a file/],
      ['sight', [], POOR],
    ];
    const common = ['--kind', 'yolox', '--stills', join(dir, 'stills'), '--out', out, ...shortClip(dir, 20)];
    const argumentLists = cases.map(([name, args]) => [join(dir, `${name}.onnx`), ...common, ...args]);
    const results = await importedTogether(argumentLists);
    t.strictSame(results[0], await runImport(...(argumentLists[0] ?? [])), 'by the command line');
    for (const [index, [name, , expected]] of cases.entries()) {
      const { code, out: printed, err } = results[index] as ImportEnd;
      t.match({ code, printed, err }, { code: 1, printed: '', err: expected }, name);
      t.match(err, /^model: [^\n]+\n$/, `${name}: one line`);
    }
    t.strictSame(existsSync(out) ? readdirSync(out) : [], [], 'no file, no folder of its own');

    const usage: [string[], RegExp][] = [
      [['--kind', 'yolo'], /--kind takes no 'yolo': it is one of yolox, nanodet, picodet, detr, ssd/],
      [[], /--kind is missing/],
      [['--kind', 'yolox', '--input', '400x256'], /--input takes WIDTHxHEIGHT, multiples of 32/],
      [['--kind', 'yolox', '--std', '1,1,0'], /--std takes three numbers/],
      [['--kind', 'yolox', '--map', 'van=vehicle'], /--map takes NAME=LABEL with a label of person, bicycle/],
      [['--kind', 'yolox', '--map', 'license_plates=car'], /--map: 'license_plates' tells who somebody is/],
      [['--kind', 'yolox', '--map', 'Human Face=person'], /--map: 'Human Face' tells who somebody is/],
      [['--kind', 'yolox', '--name', 'My Model'], /--name takes at most 40 small letters/],
    ];
    const usageResults = await importedTogether(usage.map(([args]) => [join(dir, 'kind.onnx'), ...args]));
    for (const [index, [args, expected]] of usage.entries()) {
      const { code, err } = usageResults[index] as ImportEnd;
      t.match({ code, err }, { code: 2, err: expected }, args.join(' '));
    }
    const [first = []] = usage.map(([args]) => [join(dir, 'kind.onnx'), ...args]);
    t.strictSame(usageResults[0], await runImport(...first), 'by the command line');
  },
);

t.test(
  'a dropped class is not in the model, and the kept ones score as in the export',
  options,
  async (t) => {
    const names = 'face,person,cat,motorbike,license_plate,truck,van';
    const dir = exportsIn(t, {
      'half.onnx': yolox(names, { dtype: 'float16', batch: 'n', open: '', layout: 'NHWC', opset: '11' }),
      'plain.onnx': yolox(names),
    });
    const out = join(dir, 'out');
    // Random weights detect no one, in any number of pictures.
    const clip = shortClip(dir, 20);
    const common = ['--kind', 'yolox', '--stills', join(dir, 'stills'), ...clip, '--accept-accuracy'];
    const half = await runImport(join(dir, 'half.onnx'), ...common, '--out', out, '--input', '128x96');
    t.equal(half.code, 0, half.err);
    for (const note of [
      /float16 was turned into float32/,
      /the batch was open \(n\) and is 1 now/,
      /the export leaves its size open; it is 128x96 now/,
      /takes pictures channels last/,
      /opset 11 was brought to 17/,
      /AP 0\.000 on people/,
    ])
      t.match(half.err, note);
    t.match(half.out, /^([0-9a-f]{64} {2}\S+\.onnx\n){3}$/, 'quiet else');

    const plain = await runImport(join(dir, 'plain.onnx'), ...common, '--out', out, '--map', 'van=car');
    t.equal(plain.code, 0, plain.err);
    const files = readdirSync(out).filter((name) => !name.startsWith('half'));
    const models = ['plain-96x64-float', 'plain-s8s8', 'plain'];
    const expected = models.flatMap((name) => [`${name}.json`, `${name}.onnx`]);
    t.strictSame(files.sort(), ['plain-96x64-calibration', ...expected].sort());
    const calibration = readdirSync(join(out, 'plain-96x64-calibration'));
    t.strictSame(calibration.length, 12, 'eight stills, two of them dark again, a list and an array');
    const float = join(out, 'plain-96x64-float.onnx');
    const inspection = JSON.parse(
      execFileSync(PYTHON, ['-B', HELPER, '--look', float, join(dir, 'plain.onnx')], { encoding: 'utf8' }),
    ) as Record<'found' | 'worst' | 'best', number>;
    // Four of seven class rows are left.
    const ids = { boxes: 'vigie-boxes', scores: 'vigie-scores', labels: 'vigie-labels' };
    t.match(inspection, { rows: [8, 5 + 4], outputs: Object.keys(ids), metadata: ids });
    t.ok(inspection.found > 0 && inspection.worst < 1e-3, `${inspection.worst} off`);
    t.ok(Math.abs(inspection.best) < 1e-5, 'the best score is the export’s');

    process.env['ORT_DISABLE_TELEMETRY'] = '1';
    for (const name of models) {
      const card = await readCard(out, name);
      t.strictSame(card.classes, { 0: 'person', 2: 'car', 3: 'motorcycle', 7: 'truck' }, name);
      t.match(card, { accuracyNote: /^NOT ACCEPTED BY THE GATE: / }, 'the card says so');
      const rgb = new Uint8Array(96 * 64 * 3).fill(114);
      const detected = await detections(out, name, [96, 64], [frameOf(rgb, [96, 64])]);
      t.ok(Array.isArray(detected[0]), `${name}: runs in the box's own detector`);
    }
  },
);

t.test('int8 that loses too much accuracy is refused, and the float form is accepted', options, async (t) => {
  const dir = exportsIn(t, { 'fragile.onnx': { what: 'nanodet', size: '256x160', fragile: '' } });
  const out = join(dir, 'out');
  mkdirSync(out);
  for (const name of ['fragile.onnx', 'fragile-s8s8.json'])
    writeFileSync(join(out, name), 'an earlier import');
  const levels = ['--colour', 'RGB', '--mean', '114,114,114', '--std'];
  const args = [join(dir, 'fragile.onnx'), '--kind', 'nanodet', ...levels];
  const licence = ['--licence', 'Apache-2.0', '--source', 'https://github.com/RangiLyu/nanodet'];
  const rest = ['--stills', join(dir, 'stills'), '--out', out, ...shortClip(dir, 300), ...licence];
  const before = readdirSync(out);
  const interrupted = start(t, PROGRAM, ['import', ...args, '1,1,1', ...rest]);
  while (readdirSync(out).length === before.length && interrupted.code === undefined)
    await new Promise((resolve) => setTimeout(resolve, 20));
  interrupted.child.kill('SIGTERM');
  t.equal(await interrupted.exit, 143, interrupted.err);
  t.strictSame(readdirSync(out), before, 'an interrupted run leaves what was there');

  const nowhere = { VIGIE_DATA: join(dir, 'nowhere') };
  const { code, out: printed, err } = await importedWith(nowhere, ...args, '1,1,1', ...rest);
  t.equal(code, 3, 'written in part');
  t.match(err, /^model: gate on accuracy: U8S8 loses [^\n]+\n$/, err);
  t.match(err, /S8S8 loses 0\.\d+ of the float model's AP 0\.\d+ on infra-red copies, more than 0\.08/);
  t.match(
    err,
    /Written: fragile-256x160-float\.onnx, which passed; refused: fragile\.onnx and fragile-s8s8\.onnx/,
  );
  const float = 'fragile-256x160-float';
  t.match(printed, new RegExp(`^[0-9a-f]{64} {2}\\S+/${float}\\.onnx\n$`), 'only the written file');
  const files = ['fragile-256x160-calibration', `${float}.json`, `${float}.onnx`];
  t.strictSame(readdirSync(out).sort(), files, 'forms of an earlier import would pass for those of this one');
  const card = await readCard(out, float);
  t.match(card, { accuracyNote: /^A sample of 159 frames/, weights: { licence: 'Apache-2.0' } });
  const [plain, night] = card.accuracy as AccuracyRow[];
  t.match(plain, { copy: undefined, data: /without ground truth: agreement with what nanodet-g-city10/ });
  t.match(night, { copy: /^infra-red, by scripts\/model import$/ });
  t.ok((plain?.apAtIou50 ?? 0) >= 0.8, `AP ${plain?.apAtIou50} in agreement with the detector of models/`);
  const { person } = card.thresholds.groups;
  t.match(person, { reason: /^Not measured: taken over/ }, 'agreement sets no threshold');

  // The normalisation of its training, which the export already contains.
  const normalisedTwice = await importedWith(nowhere, ...args, '57.4,57.1,58.4', ...rest);
  t.match(normalisedTwice, { code: 1, out: '' });
  t.match(
    normalisedTwice.err,
    /the float model reaches AP 0\.\d+ on people, less than 0\.6: --kind, --colour, --mean/,
  );
});

t.test('the gate weighs each form on each view', options, async (t) => {
  const script = [
    'import json, sys; sys.path.insert(0, sys.argv[1]); from quiet import onnx; import gate',
    'ap = lambda *aps: {form: gate.Figures(one, 0, None, None) for form, one in zip(("float", "u8", "s8"), aps)}',
    'print(json.dumps([[gate.objection(gate.Figures(plain[0], 0, None, None)),',
    '                   gate.losses({"plain": ap(*plain), "infra-red": ap(*night)})]',
    '                  for plain, night in json.loads(sys.argv[2])]))',
  ].join('\n');
  const folder = join(ROOT, 'scripts', 'workshop', 'model');
  const [float, night] = [0.87, 0.82];
  const views = [
    { plain: [float, 0.86, 0.86], infraRed: [night, 0.75, 0.75] },
    { plain: [float, 0.86, 0.83], infraRed: [night, 0.47, 0.78] },
    { plain: [0.3, 0.3, 0.3], infraRed: [0.2, 0.2, 0.2] },
  ].map(({ plain, infraRed }) => [plain, infraRed]);
  const printed = execFileSync(PYTHON, ['-B', '-c', script, folder, JSON.stringify(views)], {
    encoding: 'utf8',
  });
  const [good, uneven, poor] = JSON.parse(printed) as unknown[];
  t.strictSame(good, [null, { u8: [], s8: [] }]);
  t.match(uneven, [null, { u8: [/^U8S8 loses 0\.350 .* on infra-red copies/], s8: [/^S8S8 loses 0\.040/] }]);
  t.match(poor, [/AP 0\.300 on people/, { u8: [], s8: [] }]);
});

// Fetches 240 MB.
t.test('the model of models/ is built again to the bit', { skip: options.skip || unlessFull }, async (t) => {
  const out = scratch(t);
  execFileSync(PROGRAM, ['build', '--out', join(out, 'built.onnx'), '--input', '416x256']);
  const street = await streetFrames([416, 256]);
  t.strictSame(
    await detections(out, 'built-416x256', [416, 256], street),
    await detections(MODEL_DIR, 'nanodet-g-city10', [416, 256], street),
    'its form of one size finds the same',
  );
  t.ok(
    readFileSync(join(out, 'built.onnx')).equals(readFileSync(join(MODEL_DIR, 'nanodet-g-city10.onnx'))),
    'the same bytes',
  );
});

/** Every twentieth of the first 200 frames of the street clip. */
async function streetFrames([widthPx, heightPx]: readonly [number, number]): Promise<Frame[]> {
  const camera = new Camera({
    source: `file:${STREET_CLIP}`,
    fps: null,
    input: { widthPx, heightPx },
    masks: [],
    mode: 'replay',
    clock: systemClock,
    log: makeLogger('test', 'error'),
    onOpened: () => undefined,
    onLost: () => undefined,
  });
  const frames: Frame[] = [];
  await camera.start();
  try {
    for (let frame = await camera.next(); frame !== null && frame.index <= 200; frame = await camera.next()) {
      if (frame.index % 20 === 1) frames.push({ ...frame, rgb: Uint8Array.from(frame.rgb) });
    }
  } finally {
    await camera.stop();
  }
  return frames;
}

t.test('both languages have the same list of detectable classes', options, async (t) => {
  const script =
    'import json, sys; sys.path.insert(0, sys.argv[1]); import labels; print(json.dumps(labels.LABELS))';
  const folder = join(ROOT, 'scripts', 'workshop', 'model');
  const printed = execFileSync(PYTHON, ['-B', '-c', script, folder], { encoding: 'utf8' });
  t.strictSame(JSON.parse(printed), { ...LABELS });
});
