/**
 * Tests the doctor's accelerators: detection in made sysfs trees, power readings, agreement of two detectors, and
 * advice.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { parse } from 'yaml';
import { DROP_IN_DIR, PRESETS } from '../../agent/cli/doctor/accelerator-presets.ts';
import {
  acceleratorFindings,
  deviceGroups,
  elementsOf,
  findAccelerators,
  isReady,
} from '../../agent/cli/doctor/accelerators.ts';
import { type AdviceFacts, adviceOf } from '../../agent/cli/doctor/advice.ts';
import { agreementOf, type DetectedBox } from '../../agent/cli/doctor/agreement.ts';
import {
  comparisonOf,
  comparisonRows,
  type DetectorRun,
  quantileBelowMs,
} from '../../agent/cli/doctor/compare.ts';
import { modelMetrics } from '../../agent/cli/doctor/installed-models.ts';
import { boardPower, meanPower, pmicPower, readPower } from '../../agent/cli/doctor/watts.ts';
import { inspectText } from '../../agent/config/load.ts';
import { LATENCY_BOUNDS_MS } from '../../agent/contract/latency.ts';
import { writeTree } from '../lib/hailo-board.ts';
import { viewOf } from '../lib/local-status.ts';
import { ROOT, scratch } from '../lib/paths.ts';

const pci = (slot: string, vendor: string, device: string, driver?: string): Record<string, string> => ({
  [`sys/bus/pci/devices/${slot}/vendor`]: `0x${vendor}\n`,
  [`sys/bus/pci/devices/${slot}/device`]: `0x${device}\n`,
  ...(driver !== undefined && {
    [`sys/bus/pci/devices/${slot}/driver`]: `→../../../bus/pci/drivers/${driver}`,
  }),
});
const usb = (port: string, vendor: string, product: string): Record<string, string> => ({
  [`sys/bus/usb/devices/${port}/idVendor`]: `${vendor}\n`,
  [`sys/bus/usb/devices/${port}/idProduct`]: `${product}\n`,
});
const board = (...names: string[]): Record<string, string> => ({
  'sys/firmware/devicetree/base/compatible': `${names.join('\0')}\0`,
});
const dropIn = (name: string): Record<string, string> => ({ [join(DROP_IN_DIR, name)]: '[Service]\n' });
const group = (name: string): Record<string, string> => ({ 'etc/group': `root:x:0:\n${name}:x:990:\n` });

const ALL = new Set(PRESETS.map(({ element }) => element));

void t.test('a PC without an accelerator shows none, and its absent one is named', async (t) => {
  t.same(findAccelerators(scratch(t)), []);
  const pc = writeTree(scratch(t), {
    ...pci('0000:00:02.0', '8086', '9a49', 'i915'),
    ...usb('1-1', '046d', 'c52b'),
    'sys/bus/usb/devices/usb1/idVendor': '1d6b\n',
    'dev/dri/renderD128': '',
    'dev/hailo0': '',
  });
  t.same(findAccelerators(pc), [], 'a node without its device is none');
  t.match(acceleratorFindings([], new Set()), [{ name: 'accelerator', state: 'ok', detail: /none found/ }]);
  t.same([...(await elementsOf([]))], [], 'and GStreamer is not asked');
  t.match(acceleratorFindings([], new Set(), 'tfliteedgetpuinference'), [
    { name: 'accelerator', state: 'failed', detail: /none found for tfliteedgetpuinference/ },
  ]);
  t.match(acceleratorFindings([], new Set(), 'onnxinference'), [{ state: 'ok' }], 'which needs no device');
  const other = findAccelerators(writeTree(scratch(t), pci('0000:01:00.0', '1e60', '2864')));
  const names = acceleratorFindings(other, new Set(), 'tfliteedgetpuinference').map(({ name }) => name);
  t.same(names, ['accelerator', 'hailo'], 'another one does not take its place');
});

void t.test(
  'Coral is found on PCIe with driver, node, group and drop-in, and on USB without a driver',
  async (t) => {
    const card = pci('0000:03:00.0', '1ac1', '089a', 'apex');
    const accelerators = findAccelerators(writeTree(scratch(t), card));
    t.match(acceleratorFindings(accelerators, ALL, 'tfliteedgetpuinference'), [
      {
        name: 'coral',
        state: 'failed',
        detail: /missing: \/dev\/apex_\*, group apex, drop-in 50-coral\.conf/,
        fix: /groupadd --system apex; sudo install/,
      },
    ]);
    const complete = { ...card, 'dev/apex_0': '', ...group('apex'), ...dropIn('50-coral.conf') };
    const ready = findAccelerators(writeTree(scratch(t), complete));
    t.match(acceleratorFindings(ready, ALL), [{ name: 'coral', state: 'ok', detail: /--benchmark/ }]);
    t.equal(ready.filter((one) => isReady(one, ALL)).length, 1);
    // Debian has no such element.
    const detail = /missing: GStreamer element tfliteedgetpuinference\. It is not used; to use it: build the/;
    t.match(acceleratorFindings(ready, new Set()), [{ state: 'unknown', detail }]);

    for (const id of [usb('2-1', '1a6e', '089a'), usb('2-1', '18d1', '9302')]) {
      const stick = { ...id, ...group('plugdev'), ...dropIn('50-coral-usb.conf') };
      const sticks = findAccelerators(writeTree(scratch(t), stick));
      t.match(sticks, [{ preset: { name: 'coral-usb' }, driver: null, nodes: [] }]);
      t.match(acceleratorFindings(sticks, ALL), [{ name: 'coral-usb', state: 'ok', detail: /USB 2-1/ }]);
    }
    const both = { ...complete, ...usb('2-1', '1a6e', '089a') };
    t.same(
      findAccelerators(writeTree(scratch(t), both)).map(({ preset }) => preset.name),
      ['coral', 'coral-usb'],
    );
  },
);

void t.test('the doctor takes the groups of vision that exist', async (t) => {
  t.same(deviceGroups(scratch(t)), []);
  const groups = 'root:x:0:\nvideo:x:44:\napex:x:990:\nrendering:x:991:\n';
  t.same(deviceGroups(writeTree(scratch(t), { 'etc/group': groups })), ['video', 'apex']);
});

void t.test('built-in accelerators of Jetson and RK3588 are recognised', async (t) => {
  const orin = { ...board('nvidia,p3768-0000+p3767-0003', 'nvidia,tegra234'), 'dev/nvmap': '' };
  const jetson = findAccelerators(writeTree(scratch(t), { ...orin, ...dropIn('50-jetson.conf') }));
  t.match(acceleratorFindings(jetson, ALL), [
    { name: 'jetson', state: 'unknown', detail: /Orin.*NvDsBatchMeta, which vision does not read/ },
  ]);
  const rock = board('radxa,rock-5b', 'rockchip,rk3588');
  const accel = { ...rock, 'dev/accel/accel0': '', 'dev/accel/accel1': '', ...dropIn('50-rk3588.conf') };
  t.match(acceleratorFindings(findAccelerators(writeTree(scratch(t), accel)), ALL), [
    {
      name: 'rk3588',
      state: 'unknown',
      detail: /driver rocket, \/dev\/accel\/accel0, \/dev\/accel\/accel1.*cannot name/,
    },
  ]);
  const vendor = {
    ...rock,
    'dev/dri/renderD128': '',
    'dev/dri/renderD129': '',
    'sys/class/drm/renderD128/device/of_node/name': 'gpu\0',
    'sys/class/drm/renderD129/device/of_node/name': 'npu\0',
  };
  t.match(acceleratorFindings(findAccelerators(writeTree(scratch(t), vendor)), ALL), [
    { state: 'unknown', detail: /with driver rknpu; missing: kernel driver rocket/ },
  ]);
  const older = findAccelerators(writeTree(scratch(t), { ...rock, 'dev/rknpu': '' }));
  t.match(older, [{ devices: [/with driver rknpu/], driver: undefined }]);
  const gpu = { ...rock, 'dev/dri/renderD128': '', 'sys/class/drm/renderD128/device/of_node/name': 'gpu\0' };
  t.notMatch(findAccelerators(writeTree(scratch(t), gpu))[0]?.devices[0], /rknpu/, 'a GPU is not an NPU');
});

void t.test('presets match their files', async (t) => {
  const dir = join(ROOT, 'systemd/accelerators');
  for (const { folder, dropIn, element, group, nodes, obstacle } of PRESETS) {
    const conf = readFileSync(join(dir, folder, dropIn), 'utf8');
    t.match(conf, `/etc/systemd/system/vigie-vision.service.d/${dropIn}`, `${dropIn}: how to copy it`);
    t.equal(/^SupplementaryGroups=(.*)$/m.exec(conf)?.[1], group, `${dropIn}: its group`);
    for (const node of nodes) t.match(conf, node.startsWith('accel') ? 'char-accel' : node.replace('*', '0'));
    const text = readFileSync(join(dir, folder, 'detector.yaml'), 'utf8');
    const { detector } = parse(text) as { detector: { element?: { name: string } } };
    t.equal(detector.element?.name, obstacle === undefined ? element : undefined, folder);
    if (obstacle !== undefined) t.match(text, /[Dd]oes not run/, `${folder} says what does not run`);
  }
  const folders = readdirSync(dir);
  t.same(folders.sort(), [...new Set([...PRESETS.map(({ folder }) => folder), 'onnxinference'])].sort());
  for (const folder of folders) {
    const text = `site: lab\nbox: lab-1\n${readFileSync(join(dir, folder, 'detector.yaml'), 'utf8')}`;
    const { problems } = inspectText(text, { env: {}, mode: 'check', files: false });
    // The user of the accelerator makes the model for the element, so it is absent here.
    const otherProblems = problems.filter(
      ({ path, message }) => path !== 'detector.element.model' || !/no model card/.test(message),
    );
    t.same(otherProblems, [], `${folder}: a configuration may say so`);
  }
});

void t.test('watts are shown where a board reports them', async (t) => {
  const sensor = (files: Record<string, string>): string => {
    const entries = Object.entries(files).map(([name, text]) => [
      `sys/class/hwmon/hwmon1/${name}`,
      `${text}\n`,
    ]);
    return writeTree(scratch(t), Object.fromEntries(entries) as Record<string, string>);
  };
  t.equal(await readPower(sensor({ name: 'cpu_thermal' })), null);
  t.equal(await readPower(scratch(t)), null, 'no hwmon at all');
  const rail = (n: number, label: string, mV: number, mA: number): Record<string, string> => ({
    [`in${n}_label`]: label,
    [`in${n}_input`]: String(mV),
    [`curr${n}_input`]: String(mA),
  });
  const parts = { ...rail(2, 'VDD_CPU_GPU_CV', 5072, 400), in4_input: '6250', curr4_input: '9999' };
  const jetson = sensor({ name: 'ina3221', ...rail(1, 'VDD_IN', 5080, 1250), ...parts });
  t.same(await readPower(jetson), { watts: 6.35, of: 'VDD_IN' }, 'the whole module, not a sum of its parts');
  const meter = sensor({ name: 'ina219', power1_input: '3200000' });
  t.same(await readPower(meter), { watts: 3.2, of: 'ina219' });
  t.equal(await readPower(sensor({ name: 'ina219', power1_input: '' })), null, 'an empty answer is not zero');
  const rails = ['a', 'b'].map((name) => ({ name, watts: 1 }));
  t.equal(boardPower(rails), null, 'rails that may be parts of each other are not added up');
  const pmic = `   3V3_SYS_A current(1)=0.50000000A
  VDD_CORE_A current(7)=2.00000000A
     NO_VOLT_A current(9)=9.00000000A
   3V3_SYS_V volt(9)=3.30000000V
  VDD_CORE_V volt(15)=0.80000000V
     EXT5V_V volt(24)=5.10000000V
`;
  t.match(pmicPower(pmic), { watts: 3.25, of: /without what hangs on 5 V/ });
  t.equal(pmicPower('error=1 error_msg="Command not registered"'), null);

  const readings = [{ watts: 2, of: 'x' }, null, { watts: 4, of: 'x' }];
  const during = new Promise<string>((resolve) => setTimeout(resolve, 200, 'done'));
  const { result, power } = await meanPower(during, async () => readings.shift() ?? null, 20);
  t.same([result, power], ['done', { watts: 3, of: 'x' }]);
  t.same(await meanPower(Promise.resolve(1), async () => null), { result: 1, power: null });
  await t.rejects(
    meanPower(Promise.reject(new Error('vision died')), async () => null),
    /vision died/,
  );
});

const detection = (x: number, score: number, group = 'person'): DetectedBox => ({
  xyxyNorm: [x, 0.1, x + 0.1, 0.4],
  score,
  group,
});

/** Result for one frame, as `matched, onlyFirst, onlySecond`. */
function matches(first: readonly DetectedBox[], second: readonly DetectedBox[]): number[] {
  const { matched, onlyFirst, onlySecond } = agreementOf([[first, second]]);
  return [matched, onlyFirst, onlySecond];
}

void t.test('two detectors are compared by the boxes on which they agree', async (t) => {
  const same = [detection(0.1, 0.9), detection(0.5, 0.31)];
  const none = { onlyFirst: 0, onlySecond: 0 };
  const alike = { frames: 1, matched: 2, iouMean: 1, scoreDifferenceMean: 0, ...none };
  t.same(agreementOf([[same, same]]), alike);
  t.same(agreementOf([]), { frames: 0, matched: 0, iouMean: null, scoreDifferenceMean: null, ...none });
  const near = agreementOf([[[detection(0.1, 0.31)], [detection(0.11, 0.29)]]]);
  t.match(near, { matched: 1, ...none }, 'either side of the threshold is one thing');
  t.ok(Math.abs((near.iouMean ?? 0) - 9 / 11) < 1e-9);
  const one = [detection(0.1, 0.9)];
  t.same(matches([detection(0.1, 0.29)], [detection(0.1, 0.2)]), [0, 0, 0]);
  t.same(matches(one, [detection(0.1, 0.9, 'vehicle')]), [0, 1, 1]);
  t.same(matches(one, [detection(0.18, 0.9)]), [0, 1, 1]);
  t.same(matches(one, [detection(0.1, 0.8), detection(0.105, 0.9)]), [1, 0, 1], 'each box once, the nearest');
  const ratio = fc.double({ min: 0, max: 0.9, noNaN: true });
  const boxes = fc.array(
    fc.tuple(ratio, ratio).map(([x, score]) => detection(x, score)),
    { maxLength: 8 },
  );
  const isSymmetric = fc.property(boxes, boxes, (a, b) => {
    const [matched, onlyA, onlyB] = matches(a, b);
    return String(matches(b, a)) === String([matched, onlyB, onlyA]);
  });
  fc.assert(isSymmetric, { numRuns: 50 });
});

/** A run over a clip; `inferences` are the latency classes of its detector runs. */
function runOf(
  on: string,
  inferences: readonly number[],
  boxes: readonly DetectedBox[],
  fallback: string | null = null,
): DetectorRun {
  const counts = [...LATENCY_BOUNDS_MS, Number.POSITIVE_INFINITY].map(
    (_, index) => inferences.filter((one) => one === index).length,
  );
  const detect = { cpuMs: 0, wallMs: inferences.length * 9.87, latency: { counts, sumMs: 0 } };
  const model = { model: 'nanodet-g-city10', sha256: 'ab'.repeat(32) };
  return {
    trial: {
      detector: { kind: 'detector', ...model, provider: on, fallback },
      stats: { stages: { detect } } as unknown as DetectorRun['trial']['stats'] & object,
      frames: inferences.length,
      watchedFrames: 0,
      watchedMs: 0,
      view: viewOf({}),
    },
    boxesByFrame: new Map([[1, boxes]]),
    power: on === 'cpu' ? null : { watts: 6.35, of: 'VDD_IN' },
  };
}

void t.test('the doctor compares the accelerator with the CPU', async (t) => {
  t.equal(quantileBelowMs({ counts: [1, 1, 8] }, 0.5), 5);
  t.equal(quantileBelowMs({ counts: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3] }, 0.5), null);
  const cpu = runOf('cpu', [3, 3, 4], [detection(0.1, 0.9)]);
  const alone = comparisonOf(cpu);
  t.match(alone, { accelerator: null, agreement: null, note: /no accelerator to compare/ });
  const both = comparisonOf(runOf('onnxinference', [1, 1, 2], [detection(0.1, 0.8)]), cpu);
  t.match(both, { cpu: { on: 'cpu' }, accelerator: { on: 'onnxinference' }, note: null });
  t.same(comparisonRows(both), [
    [
      'compared',
      'nanodet-g-city10 on onnxinference: 9.87 ms per run (p50 at most 2 ms, p95 at most 5 ms; 3 runs), 6.35 W (VDD_IN)',
    ],
    [
      'cpu',
      'nanodet-g-city10 on cpu: 9.87 ms per run (p50 at most 10 ms, p95 at most 20 ms; 3 runs), power unknown',
    ],
    [
      'agreement',
      '1 boxes seen by both (mean IoU 1.000, scores 0.100 apart), 0 by the accelerator alone, 0 by the CPU alone, on 1 frames',
    ],
  ]);
  t.match(
    comparisonOf(runOf('cpu', [1], [detection(0.1, 0.9)], 'cuda is not there'), cpu),
    { agreement: null, note: /fell back to cpu: cuda is not there/ },
    'agreement of the CPU with itself is not reported',
  );
  t.match(comparisonOf(cpu, cpu), { agreement: { frames: 1 } }, 'another library on the CPU is compared');
  const empty = comparisonOf(runOf('onnxinference', [1], []), runOf('cpu', [1], []));
  t.match(empty.note, /nothing was detected on this clip/, 'agreement on an empty clip is not praised');
});

const FACTS: AdviceFacts = {
  cores: 4,
  model: 'nanodet-g-city10',
  input: [416, 256],
  fps: 5,
  inferenceMs: 20,
  untimed: 'no frame was analysed',
  takesOneSize: false,
  on: 'cpu',
  ready: [],
  unready: [],
  view: viewOf({}),
  metrics: [],
};

void t.test('advice fits this board and this view', async (t) => {
  const advice = (over: Partial<AdviceFacts>): string => adviceOf({ ...FACTS, ...over }).join('\n');
  t.equal(
    advice({}),
    'model nanodet-g-city10, input 416×256, the CPU: a detector run takes 20 ms on one of 4 cores, and may take 100 ms at 5 a second',
  );
  const far = viewOf({ people: 30, heightTenthNorm: 0.06 });
  t.match(
    advice({ view: far }),
    /input 640×384, the CPU: a detector run takes about 46 ms \(20 measured\).*too small/,
  );
  const near = viewOf({ input: [640, 384], people: 30, heightHalfNorm: 0.4, heightTenthNorm: 0.3 });
  t.match(
    advice({ view: near, input: [640, 384] }),
    /input 416×256, the CPU: a detector run takes about 8\.7 ms.*so close/,
  );
  const spare =
    /^hailonet has time for input 640×384 \(about 28 ms a run\), which finds more of the distant people/m;
  t.match(advice({ inferenceMs: 12, on: 'hailonet' }), spare);
  t.match(
    advice({ inferenceMs: 12, on: 'hailonet', takesOneSize: true }),
    /the model takes one size: make it for/,
  );
  const quick = { inferenceMs: 12, on: 'hailonet' };
  const close = viewOf({ people: 30, heightHalfNorm: 0.4, heightTenthNorm: 0.3 });
  const slow = [{ inferenceMs: 12 }, { inferenceMs: 60, on: 'hailonet' }, { ...quick, fps: null }];
  for (const none of [...slow, { ...quick, input: [640, 384] as const }, { ...quick, view: close }])
    t.notMatch(advice(none), /has time/, JSON.stringify(none));
  t.match(advice({ inferenceMs: 240 }), /the CPU with camera\.fps: 2: a detector run takes 240 ms/);
  t.match(advice({ inferenceMs: 400 }), /camera\.fps: 1\.2, too few for walking people \(2 or more\)/);
  t.match(
    advice({ inferenceMs: 120, view: far }),
    /input 416×256, the CPU with camera\.fps: 4\.1: a detector run takes 120 ms .*too small .*, and 640×384 is too slow here$/,
  );
  t.match(advice({ inferenceMs: 240, unready: ['hailo'] }), /camera\.fps: 2, or make hailo ready/);
  t.match(
    advice({ inferenceMs: 60, view: far, ready: ['coral'] }),
    /the accelerator coral \(\/usr\/share\/vigie\/accelerators\/coral\/detector\.yaml\): a detector run takes about 140 ms/,
  );
  t.match(advice({ ready: ['coral'] }), /the CPU: .*coral is there: `vigie doctor --benchmark` shows/);
  t.match(advice({ on: 'onnxinference' }), /as now on onnxinference: a detector run takes 20 ms, and may/);
  t.match(
    advice({ inferenceMs: null, view: undefined }),
    /the CPU: no detector run was timed: no frame was analysed$/,
  );
  t.match(advice({ fps: null }), /the CPU: a detector run takes 20 ms on one of 4 cores; without a camera/);
  t.match(advice({ view: far, takesOneSize: true }), /too small.*\(the model takes one size: make it/);
  t.notMatch(advice({ takesOneSize: true }), /one size/, 'not for a suitable size');

  const figure = (model: string, data: string, recall: number) => ({ model, data, recall });
  const own = [figure('nanodet-g-city10', 'a', 0.8), figure('nanodet-g-city10', 'b', 0.7)];
  const better = [...own, figure('ssd', 'a', 0.86), figure('ssd', 'b', 0.72), figure('other', 'c', 1)];
  t.match(advice({ metrics: better }), /model ssd is installed too and found 4 of 100 people more.* 2 sets/);
  t.notMatch(advice({ metrics: [...own, figure('ssd', 'a', 0.81)] }), /ssd/, 'less than what chance makes');
  t.notMatch(advice({ metrics: [...own, figure('ssd', 'c', 1)] }), /ssd/, 'other pictures are not compared');
});

void t.test('installed models have figures', async (t) => {
  const metrics = modelMetrics(join(ROOT, 'models'));
  t.match(
    metrics.find(({ data }) => /^TUD-Stadtmitte.*unmodified, 416×256$/.test(data)),
    { model: 'nanodet-g-city10', recall: 0.841 },
  );
  t.equal(
    new Set(metrics.map(({ model, data }) => `${model} ${data}`)).size,
    metrics.length,
    'one figure each',
  );
  const dir = writeTree(scratch(t), { 'broken.json': '{', 'other.json': '{"name": 1}', 'NOTICE.md': '' });
  t.same(modelMetrics(dir), []);
});
