/**
 * Tests that vision survives every fault of an inference element: it continues on the CPU, reports the fault, and later
 * uses the element again.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { MaskConfig } from '../../agent/contract/config.ts';
import type { ModelCard } from '../../agent/vision/detect/card.ts';
import { ELEMENT, ElementVision } from '../lib/element-vision.ts';
import { FULL } from '../lib/run.ts';
import { MODEL, noCompiler, writeScript } from '../lib/inference-element.ts';
import { scratch } from '../lib/paths.ts';
import { slowness } from '../lib/slowness.ts';

t.setTimeout(600_000);

const skip = noCompiler;
/**
 * Limit from the last frame before the fault to the first one after it, ms. The fault is detected at once or after
 * ANSWER_WITHIN_MS (gstreamer.ts), and a start takes a second or two.
 */
const AGAIN_MS = 2000;
const STALLED_MS = 5000;
/**
 * Factor for a busy machine: a start of vision also reads models, which the measured start of node does not include.
 */
const SPARE = 3;

interface Fault {
  readonly name: string;
  readonly script: readonly string[];
  /** Reason that vision reports. */
  readonly reason: RegExp;
  /** The fault is detected only because no answer arrives. */
  readonly silent?: boolean;
  /** Played by a full run only. */
  readonly full?: boolean;
}

const AT = 'from 12';
const FIRST = 'from 0';
const FAULTS: readonly Fault[] = [
  {
    name: 'the device is unplugged',
    script: ['fault error', AT],
    reason: /fails: no device \(the device was unplugged\)/,
  },
  {
    name: 'the device is unplugged, and its driver does not come back from being stopped',
    script: ['fault error-and-stall', AT],
    reason: /fails: no device/,
    full: true,
  },
  { name: 'it stalls', script: ['fault stall', AT], reason: /gives no answer within 5 s/, silent: true },
  { name: 'it takes vision with it: segfault', script: ['fault segfault', AT], reason: /vision ended while/ },
  { name: 'abort', script: ['fault abort', AT], reason: /vision ended while/, full: true },
  // The part that waits for the answer ends first.
  { name: 'exit', script: ['fault exit 0', AT], reason: /vision ended while/, silent: true, full: true },
  { name: 'kill', script: ['fault kill', AT], reason: /vision ended while/, full: true },
  {
    name: 'a frame is dropped',
    script: ['fault drop', AT],
    reason: /gives no answer/,
    silent: true,
    full: true,
  },
  {
    name: 'two answers for one frame',
    script: ['fault twice', AT],
    reason: /answers for the frame of/,
    full: true,
  },
  {
    name: 'answers out of order',
    script: ['fault late', AT],
    reason: /answers for the frame of/,
    full: true,
  },
  {
    name: 'answers without a time',
    script: ['fault untimed', AT],
    reason: /answers for the frame of/,
    full: true,
  },
  {
    name: 'tensors of another shape',
    script: ['fault shape', AT],
    reason: /boxes float32 \[1,14\].* instead of/,
    full: true,
  },
  {
    name: 'tensors of another type',
    script: ['fault type', AT],
    reason: /vigie-labels float32 \[1\] instead of vigie-labels int32 \[1\]/,
    full: true,
  },
  {
    name: 'tensors of another name',
    script: ['fault name', AT],
    reason: /gives faces float32 \[1,4\].* instead of/,
    full: true,
  },
  { name: 'no tensors', script: ['fault none', AT], reason: /gives no tensors instead of/, full: true },
  {
    name: 'one tensor more',
    script: ['fault extra', AT],
    reason: /embedding besides /,
    full: true,
  },
  {
    name: 'more rows than any picture has',
    script: ['fault rows 5000', AT],
    reason: /scores float32 \[5000\]/,
    full: true,
  },
  {
    name: 'a foreign class',
    script: ['fault label 80', AT],
    reason: /names class 80, which its card/,
    full: true,
  },
  {
    name: 'at the first frame: error',
    script: ['fault error', FIRST],
    reason: /fails: no device/,
    full: true,
  },
  {
    name: 'at the first frame: segfault',
    script: ['fault segfault', FIRST],
    reason: /vision ended while/,
    full: true,
  },
  {
    name: 'a model compiled for another chip',
    script: ['fault refuse-model'],
    reason: /fails: wrong chip/,
    full: true,
  },
  { name: 'a frame that it does not take', script: ['fault refuse-caps'], reason: /fails: /, full: true },
];

const INPUT_OF_640: ModelCard['input'] = {
  ...({ name: 'frame', layout: 'NHWC', dtype: 'uint8', colour: 'RGB', letterbox: 'centred, black' } as const),
  multipleOf: 32,
  default: [640, 384],
  fixed: true,
};

const table: string[] = [];

for (const { name, script, reason, silent = false, full = false } of FAULTS) {
  const skipReason = skip || (full && !FULL && 'set VIGIE_TEST_RUN=full for every fault');
  t.test(name, { skip: skipReason }, async (t) => {
    const atStart = !script.includes(AT);
    const box = new ElementVision(t, script).start();
    const cpu = atStart ? 1 : 2;
    if (!atStart) t.ok(await box.runsOn(ELEMENT, 1), 'the element runs the model');
    if (!atStart) t.equal(box.detectors[0]?.fallback, null);
    t.ok(await box.runsOn('cpu', cpu), 'then the CPU');
    t.equal(box.ends.length, 1, 'by one end of vision');
    const { fallback = '' } = box.detectors[cpu - 1] ?? {};
    t.match(fallback, reason, `told: ${fallback}`);
    t.match(fallback, /; it is tried again at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    t.notMatch(fallback, /\n/);
    t.match(box.trial, { failures: 1, isOn: false });
    if (!atStart) {
      const limitMs = SPARE * AGAIN_MS * slowness() + (silent ? STALLED_MS : 0);
      const gap = `frames again after ${Math.round(box.gapMs)} ms, at most ${Math.round(limitMs)}`;
      t.ok(box.gapMs <= limitMs, gap);
    }
    table.push(`${name}: ${atStart ? 'at the start' : `${(box.gapMs / 1000).toFixed(1)} s`}: ${fallback}`);
  });
}

t.test(
  'vision uses the element again after its time, and waits longer after each failure',
  { skip },
  async (t) => {
    const box = new ElementVision(t, ['fault error', AT]).start();
    t.ok(await box.runsOn(ELEMENT, 1));
    t.ok(await box.runsOn('cpu', 2));
    // Three seconds remain until the next trial.
    box.writeTrial({ failedAtMs: Date.now() - 57_000 });
    box.kill();
    t.ok(await box.runsOn('cpu', 3), 'another vision knows of it');
    t.ok(await box.runsOn(ELEMENT, 4), 'vision restarts with the element');
    t.equal(box.ends.at(-1)?.code, 0, 'in peace');
    t.equal(box.last?.fallback, null, 'which is reported');
    t.ok(await box.runsOn('cpu', 5), 'it fails again');
    t.match(box.trial, { failures: 2, isOn: false });
    const nextTrialMs = Date.parse(/again at (\S+)$/.exec(box.last?.fallback ?? '')?.[1] ?? '');
    const delayMs = nextTrialMs - (box.trial?.failedAtMs ?? 0);
    t.ok(delayMs > 118_000 && delayMs <= 120_000, `for ${delayMs} ms`);
    box.plugIn();
    box.writeTrial({ failedAtMs: Date.now() - 120_000 });
    box.kill();
    t.ok(await box.runsOn(ELEMENT, 6), 'plugged in again');
    const before = box.frames.length;
    await box.msUntil(() => box.frames.length > before + 15);
    t.equal(box.detectors.length, 6, 'and vision continues');
  },
);

t.test(
  'a trial mark left by a killed vision counts as a failure, an unreadable one does not',
  { skip },
  async (t) => {
    const box = new ElementVision(t, []).start();
    t.ok(await box.runsOn(ELEMENT, 1));
    t.equal(box.trial?.isOn, true, 'the mark exists during the trial');
    box.kill();
    t.ok(await box.runsOn('cpu', 2), 'killed while it was tried');
    t.match(box.last?.fallback, /^vision ended while its element was tried; it is tried again at/);
    box.writeTrial('{"failures":');
    box.kill();
    t.ok(await box.runsOn(ELEMENT, 3), 'a damaged mark');
    box.writeTrial({ failures: 3, failedAtMs: Date.now() + 10 * 365 * 86_400_000, isOn: false });
    box.kill();
    t.ok(await box.runsOn(ELEMENT, 4), 'a mark from the future');
    await box.vision.stop();
    t.match(box.trial, { isOn: false }, 'a normal end removes the mark');
  },
);

t.test(
  'an element that never worked is reported at once, and vision continues on the CPU',
  { skip },
  async (t) => {
    const cases: [string, (t: Test) => ElementVision, RegExp][] = [
      [
        'an element that is not here',
        (t) =>
          new ElementVision(t, [], {
            element: { name: 'tflitevsiinference', model: 'fake', properties: [] },
          }),
        /^detector\.element\.name tflitevsiinference: GStreamer element not installed; it comes with/,
      ],
      [
        'a model of another size',
        (t) => {
          const box = new ElementVision(t, []);
          const { modelDir } = box;
          writeScript(modelDir, [], { input: INPUT_OF_640 });
          return box;
        },
        /^detector\.input 416x256: model fake takes 640x384 only$/,
      ],
      [
        'a damaged model file of the element',
        (t) => {
          const box = new ElementVision(t, []);
          truncateSync(join(box.modelDir, 'fake.tflite'), 5);
          return box;
        },
        /^model file .*fake\.tflite is truncated: 5 bytes instead of/,
      ],
      [
        'a model of another kind',
        (t) => new ElementVision(t, [], { element: { name: ELEMENT, model: MODEL, properties: [] } }),
        /^detector\.element\.model .* is the file .*\.onnx; tfliteinference takes \.tflite$/,
      ],
    ];
    for (const [name, make, reason] of cases)
      await t.test(name, async (t) => {
        const box = make(t).start();
        t.ok(await box.runsOn('cpu', 1));
        t.match(box.last?.fallback, reason);
        t.same(box.ends, [], 'no vision had to end');
        t.notOk(box.trial?.failures, 'and no wait is set: a repaired one is used at the next start');
      });
  },
);

t.test('two damaged models give one clear line, repeatedly, until one is fixed', { skip }, async (t) => {
  const box = new ElementVision(t, []);
  truncateSync(join(box.modelDir, 'fake.tflite'), 5);
  truncateSync(join(box.modelDir, `${MODEL}.onnx`), 1000);
  box.start();
  await box.msUntil(() => box.failures.length > 1);
  t.match(box.failures[0], /model file .*nanodet-g-city10\.onnx is truncated/);
  writeScript(box.modelDir, ['box 150 60 200 200 0.9 0']);
  t.ok(await box.runsOn(ELEMENT, 1));
});

t.test(
  'vision runs and tries the element each time where its trial file cannot be written',
  { skip },
  async (t) => {
    const box = new ElementVision(t, ['fault error', AT]);
    // A file in place of the folder, because root could write to a read-only folder.
    writeFileSync(join(box.trialFile, '..'), '');
    box.start();
    t.ok(await box.runsOn(ELEMENT, 1));
    t.ok(await box.runsOn(ELEMENT, 2), 'again');
    t.notOk(existsSync(box.trialFile));
    t.match(box.failures[0], /fails: no device/);
  },
);

for (const [name, script] of [
  ['stalls in a frame', ['fault stall', AT]],
  ['stalls in its first frame', ['fault stall', FIRST]],
  ['stalls while it is loaded', ['fault stall-start']],
  ['does not come back from being stopped', ['fault stall-stop', AT]],
] as const)
  t.test(`a suspension ends vision in time while the element ${name}`, { skip }, async (t) => {
    const box = new ElementVision(t, script).start();
    if (script.includes(AT as never)) t.ok(await box.runsOn(ELEMENT, 1));
    // The mark says that the element is being loaded.
    else await box.msUntil(() => box.trial?.isOn === true);
    await box.msUntil(() => false, 1500);
    const { pid = 0 } = box.vision;
    const isGone = (): boolean => !existsSync(`/proc/${pid}`);
    // Under systemd no supervisor kills vision when its time is over.
    box.vision.send({ kind: 'stop' });
    const tookMs = await box.msUntil(isGone, 10_000);
    t.ok(tookMs < 2000, `gone after ${Math.round(tookMs)} ms`);
    t.notOk(box.failures[0], 'and that does not count as a failure of vision');
  });

t.test('vision waits for a slow element and leaves out frames', { skip }, async (t) => {
  const box = new ElementVision(t, ['fault slow 400', AT]).start();
  t.ok(await box.runsOn(ELEMENT, 1));
  await box.msUntil(() => box.frames.length > 22);
  const gaps = box.frames.slice(-10).map(({ atMs }, i, all) => atMs - (all[i - 1]?.atMs ?? atMs - 400));
  t.ok(Math.min(...gaps.slice(1)) > 300, `${gaps.map(Math.round)} ms between frames`);
  const late = box.frames.at(-1)?.message.observation.wallMs ?? 0;
  t.ok(Date.now() - late < 3000, 'the frames are of now');
  t.equal(box.detectors.length, 1);
});

t.test('the element sees a masked area as black', { skip }, async (t) => {
  const clip = join(scratch(t), 'white.mkv');
  const white = ['-f', 'lavfi', '-i', 'color=white:s=768x576:r=10:d=20', '-c:v', 'ffv1', clip];
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...white]);
  // The script reports how dark the picture is in two places for the element; a white place is not a detection.
  const script = ['box 60 50 120 150 dark 0', 'box 240 50 300 150 dark 2'];
  const left: MaskConfig['polygon'] = [
    [0, 0],
    [0.5, 0],
    [0.5, 1],
    [0, 1],
  ];
  const camera = { source: `file:${clip}`, fps: 10 };
  for (const [masks, expected] of [
    [[], []],
    [[{ id: 'windows', polygon: left }], ['person']],
  ] as [MaskConfig[], string[]][])
    await t.test(`the element sees ${masks.length} masks as black`, async (t) => {
      const box = new ElementVision(t, script, {}, { masks, camera }).start();
      t.ok(await box.runsOn(ELEMENT, 1));
      await box.msUntil(() => box.frames.length > 5);
      for (const { message } of box.frames) {
        t.same(
          message.detections.map(({ label }) => label),
          expected,
        );
        t.ok(message.detections.every(({ score }) => score > 0.99));
      }
      await box.vision.stop();
    });
});

t.teardown(() => {
  for (const line of table) t.comment(line);
});
