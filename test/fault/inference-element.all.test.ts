/**
 * Tests that vision survives every fault of an inference element: it continues on the CPU, reports the fault, and later
 * uses the element again. Elements are TFLite's, and HailoRT's on a made board with a Hailo-8 (hailo-board.ts).
 */
import { execFileSync } from 'node:child_process';
import { existsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { MaskConfig } from '../../agent/contract/config.ts';
import { ELEMENT, ElementVision } from '../lib/element-vision.ts';
import type { BoardChange } from '../lib/hailo-board.ts';
import { MODEL, noCompiler, writeScript } from '../lib/inference-element.ts';
import { scratch } from '../lib/paths.ts';
import { slowness } from '../lib/slowness.ts';
import { rectangle } from '../lib/street.ts';

t.setTimeout(600_000);

const skip = noCompiler;
const HAILONET = 'hailonet';
type Element = typeof ELEMENT | typeof HAILONET;
const visionOn = (t: Test, element: Element, script: readonly string[], board: BoardChange = {}) =>
  element === ELEMENT ? new ElementVision(t, script) : new ElementVision(t, script, {}, {}, board);

/**
 * Limit from the last frame before the fault to the first one after it, ms. The fault is detected at once or after
 * ANSWER_WITHIN_MS (gstreamer.ts), and a start takes a second or two.
 */
const AGAIN_MS = 2000;
const STALLED_MS = 5000;
/** Factor for a busy machine: a start of vision also reads models, which the measured start of node does not include. */
const SPARE = 3;
const AT = 'from 12';
const FIRST = 'from 0';
/** Faults that are detected only because no answer arrives. */
const SILENT_FAULTS = /^fault stall/;
const VISION_END = /vision ended while/;

/** Element, fault, its moment, and the reason that vision reports. */
const FAULTS: readonly (readonly [Element, string, string, RegExp])[] = [
  [ELEMENT, 'fault error', AT, /fails: no device \(the device was unplugged\)/],
  [ELEMENT, 'fault stall', AT, /gives no answer within 5 s/],
  [ELEMENT, 'fault segfault', AT, VISION_END],
  [ELEMENT, 'fault twice', AT, /answers for the frame of/],
  [ELEMENT, 'fault rows 5000', AT, /scores float32 \[5000\]/],
  [ELEMENT, 'fault segfault', FIRST, VISION_END],
  [ELEMENT, 'fault refuse-model', '', /fails: wrong chip/],
  [
    HAILONET,
    'fault g-error',
    AT,
    /^vision ended while its element was tried: .*HAILO_STREAM_ABORTED\(62\): inference failed/,
  ],
];

const table: string[] = [];
t.teardown(() => {
  for (const line of table) t.comment(line);
});

for (const [element, fault, moment, reason] of FAULTS) {
  const name = `${element} ${fault} ${moment}`;
  t.test(`the CPU takes over after ${name}`, { skip }, async (t) => {
    const atStart = moment !== AT;
    const box = visionOn(t, element, moment === '' ? [fault] : [fault, moment]).start();
    const cpu = atStart ? 1 : 2;
    if (!atStart) t.ok(await box.runsOn(element, 1), 'the element runs the model');
    if (!atStart) t.equal(box.detectors[0]?.fallback, null);
    t.ok(await box.runsOn('cpu', cpu), 'then the CPU');
    t.equal(box.ends.length, 1, 'by one end of vision');
    const { fallback = '' } = box.detectors[cpu - 1] ?? {};
    t.match(fallback, reason, `told: ${fallback}`);
    t.match(fallback, /; it is tried again at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    t.notMatch(fallback, /\n/);
    t.match(box.trial, { failures: 1, isOn: false });
    const limitMs = SPARE * AGAIN_MS * slowness() + (SILENT_FAULTS.test(fault) ? STALLED_MS : 0);
    const took = `frames again after ${Math.round(box.gapMs)} ms, at most ${Math.round(limitMs)}`;
    if (!atStart) t.ok(box.gapMs <= limitMs, took);
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
  'hailonet is tried again after a fault, and old bytes behind its last box are not read',
  { skip },
  async (t) => {
    const box = visionOn(t, HAILONET, ['fault error', AT]).start();
    t.ok(await box.runsOn(HAILONET, 1));
    t.ok(await box.runsOn('cpu', 2));
    box.plugIn();
    box.writeTrial({ failedAtMs: Date.now() - 60_000 });
    box.kill();
    t.ok(await box.runsOn(HAILONET, 3));
    const before = box.frames.length;
    await box.msUntil(() => box.frames.length > before + 15);
    t.equal(box.detectors.length, 3, 'and runs on');
    for (const { message } of box.frames.slice(before))
      t.same(
        message.detections.map(({ label }) => label),
        ['person'],
      );
  },
);

/** Vision with an element that cannot work, and the reason for it. */
const NEVER_WORKED: readonly (readonly [string, (t: Test) => ElementVision, RegExp])[] = [
  [
    'an element that is not here',
    (t) =>
      new ElementVision(t, [], { element: { name: 'tflitevsiinference', model: 'fake', properties: [] } }),
    /^detector\.element\.name tflitevsiinference: GStreamer element not installed; it comes with/,
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
    'a board with two versions of HailoRT',
    (t) => visionOn(t, HAILONET, [], { 'sys/module/hailo_pci/version': '4.22.0\n' }),
    /^detector\.element hailonet: driver hailo_pci 4\.22\.0 and libhailort 4\.23\.0 have different versions; sudo apt/,
  ],
];

for (const [name, make, reason] of NEVER_WORKED)
  t.test(`vision runs on the CPU and reports ${name} at once`, { skip }, async (t) => {
    const box = make(t).start();
    t.ok(await box.runsOn('cpu', 1));
    t.match(box.last?.fallback, reason);
    t.same(box.ends, [], 'no vision had to end');
    t.notOk(box.trial?.failures, 'and no wait is set: a repaired one is used at the next start');
  });

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

t.test('vision tries the element each time where its trial file cannot be written', { skip }, async (t) => {
  const box = new ElementVision(t, ['fault error', AT]);
  // A file in place of the folder, because root could write to a read-only folder.
  writeFileSync(join(box.trialFile, '..'), '');
  box.start();
  t.ok(await box.runsOn(ELEMENT, 1));
  t.ok(await box.runsOn(ELEMENT, 2), 'again');
  t.notOk(existsSync(box.trialFile));
  t.match(box.failures[0], /fails: no device/);
});

for (const [element, script] of [
  [ELEMENT, ['fault stall', AT]],
  [ELEMENT, ['fault stall-stop', AT]],
  [HAILONET, ['fault stall-start']],
] as const) {
  t.test(`a suspension ends vision in time in ${element} ${script[0]}`, { skip }, async (t) => {
    const box = visionOn(t, element, script).start();
    if (script.includes(AT as never)) t.ok(await box.runsOn(element, 1));
    // The mark says that the element is being loaded.
    else await box.msUntil(() => box.trial?.isOn === true);
    await box.msUntil(() => false, 1500);
    const { pid = 0 } = box.vision;
    // Under systemd no supervisor kills vision when its time is over.
    box.vision.send({ kind: 'stop' });
    const tookMs = await box.msUntil(() => !existsSync(`/proc/${pid}`), 10_000);
    t.ok(tookMs < 2000, `gone after ${Math.round(tookMs)} ms`);
    t.notOk(box.failures[0], 'and that does not count as a failure of vision');
  });
}

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
  const left: MaskConfig['polygon'] = rectangle(0, 0, 0.5, 1);
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
