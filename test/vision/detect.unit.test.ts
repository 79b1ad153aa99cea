/**
 * Tests the detector's parts that need no model: letterbox, suppression, model card, the loader of foreign code, and when
 * a failed element is tried again.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { AgentError } from '../../agent/base/errors.ts';
import type { Logger } from '../../agent/base/log.ts';
import { packageRoot } from '../../agent/base/package-root.ts';
import type { SizePx, XyxyPx } from '../../agent/contract/geometry.ts';
import { groupOf, type Label } from '../../agent/contract/label.ts';
import { placementOf, toSource } from '../../agent/contract/letterbox.ts';
import type { Detection } from '../../agent/contract/picture.ts';
import type { Backend, RawDetections } from '../../agent/vision/detect/backend.ts';
import { type ModelCard, parseCard } from '../../agent/vision/detect/card.ts';
import { ElementTrial } from '../../agent/vision/detect/element-trial.ts';
import { GuardedLoader } from '../../agent/vision/detect/guarded-loader.ts';
import type { Loader } from '../../agent/vision/detect/loading.ts';
import { suppressWithinGroups } from '../../agent/vision/detect/suppress.ts';
import { elementConfig } from '../lib/inference-element.ts';
import { SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';

const CARD = join(packageRoot(), 'models', 'nanodet-g-city10.json');
const size = (widthPx: number, heightPx: number): SizePx => ({ widthPx, heightPx });

t.test('letterbox: placements match known values', async (t) => {
  t.same(placementOf(size(768, 576), size(416, 256)), { leftPx: 36, topPx: 0, widthPx: 341, heightPx: 256 });
  t.same(placementOf(size(1920, 1080), size(416, 256)), {
    leftPx: 0,
    topPx: 10,
    widthPx: 416,
    heightPx: 234,
  });
  t.same(placementOf(size(416, 256), size(416, 256)), { leftPx: 0, topPx: 0, widthPx: 416, heightPx: 256 });
});

t.test('letterbox: boxes map back to their place, clipped to the source', async (t) => {
  const part = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(
      fc.constantFrom(size(768, 576), size(1920, 1080), size(480, 640)),
      part,
      part,
      (from, a, b) => {
        const to = size(416, 256);
        const placement = placementOf(from, to);
        const box: XyxyPx = [a * 100, b * 100, a * 100 + 50, b * 100 + 20];
        const [x1, y1, x2, y2] = box;
        const scaled: XyxyPx = [
          placement.leftPx + (x1 * placement.widthPx) / from.widthPx,
          placement.topPx + (y1 * placement.heightPx) / from.heightPx,
          placement.leftPx + (x2 * placement.widthPx) / from.widthPx,
          placement.topPx + (y2 * placement.heightPx) / from.heightPx,
        ];
        const restored = toSource(scaled, placement, from);
        return restored?.every((value, i) => Math.abs(value - (box[i] ?? 0)) < 1e-6) ?? false;
      },
    ),
  );
  const placement = placementOf(size(768, 576), size(416, 256));
  t.same(toSource([-50, -50, 500, 500], placement, size(768, 576)), [0, 0, 768, 576], 'clipped');
  t.equal(
    toSource([0, 0, 36, 256], placement, size(768, 576)),
    undefined,
    'the border is cut off completely',
  );
  t.equal(toSource([Number.NaN, 0, 200, 200], placement, size(768, 576)), undefined, 'not a number');
});

function detection(label: Label, score: number, xyxyPx: XyxyPx): Detection {
  return { label, group: groupOf(label), score, xyxyPx };
}

t.test('suppression: one vehicle with two labels becomes one', async (t) => {
  const detections = [
    detection('truck', 0.3, [0, 0, 100, 100]),
    detection('car', 0.5, [0, 0, 100, 95]),
    detection('person', 0.2, [0, 0, 100, 100]),
    detection('bus', 0.4, [0, 0, 100, 40]),
  ];
  const remaining = suppressWithinGroups(detections, () => 0.6);
  t.same(
    remaining.map(({ label }) => label),
    ['car', 'bus', 'person'],
    'best first; the truck is the car; overlap of 0.4 is another object; a person is not a vehicle',
  );
});

t.test('card: the card in models/ is valid', async (t) => {
  const card = parseCard(readFileSync(CARD, 'utf8'), CARD);
  t.equal(card.name, 'nanodet-g-city10');
  t.equal(card.inGraph.scoreMin, 0.15);
});

t.test('card: invalid values are refused', async (t) => {
  const text = readFileSync(CARD, 'utf8');
  const edited = (change: (card: ModelCard) => void): string => {
    const card = JSON.parse(text) as ModelCard;
    change(card);
    return JSON.stringify(card);
  };
  const cases: readonly [string, string, AgentError['kind'], RegExp][] = [
    ['truncated', text.slice(0, 900), 'corrupt', /c\.json is not JSON/],
    ['no card', '[]', 'corrupt', /c\.json: \/: /],
    [
      'a face',
      text.replace('"16": "dog"', '"16": "face"'),
      'config',
      /class 16 "face" is not a class that a detector/,
    ],
    ['a plate', text.replace('"0": "person"', '"80": "plate"'), 'config', /class 80 "plate".*refused/],
    ['names swapped', text.replace('"2": "car"', '"2": "bus"'), 'config', /class 2 "bus"/],
    [
      'an inherited key',
      text.replace('"0": "person"', '"constructor": "person"'),
      'config',
      /class constructor "person"/,
    ],
    ['another folder', text.replace('"nanodet-g-city10.onnx"', '"../x.onnx"'), 'corrupt', /\/file: /],
    ['floats in', text.replace('"uint8"', '"float32"'), 'corrupt', /\/input\/dtype: Expected 'uint8'/],
    [
      'no threshold',
      edited((card) => delete card.thresholds.groups.vehicle),
      'corrupt',
      /\/thresholds\/groups\/vehicle\/labels: car is missing/,
    ],
    [
      'no licence',
      edited((card) => Reflect.deleteProperty(card.weights, 'licence')),
      'corrupt',
      /\/weights\/licence/,
    ],
  ];
  for (const [name, content, kind, message] of cases) {
    t.not(content, text, `${name}: differs from the real card`);
    t.throws(() => parseCard(content, 'c.json'), { name: 'AgentError', kind, message }, name);
  }
});

const MADE_CARD = { name: 'made', sha256: '00' } as ModelCard;
const NEVER = new Promise<never>(() => undefined);
const NOTHING: RawDetections = {
  boxes: new Float32Array(),
  scores: new Float32Array(),
  labels: new Int32Array(),
};

/** CPU model whose worker threads are gone, so that nothing that it waits for ends. */
class StuckLoader implements Loader {
  readonly mayTryAgain = false;
  readonly failed = false;
  readonly #backend: Backend = { takesAnySize: true, run: () => NEVER, release: () => NEVER };

  async load() {
    return {
      card: MADE_CARD,
      backend: this.#backend,
      info: { model: 'made', sha256: '00', provider: 'cpu', fallback: null },
    };
  }

  run = (): Promise<RawDetections> => NEVER;
  release = (): Promise<void> => NEVER;
}

function loaderWith(element: { failed: boolean }): GuardedLoader {
  const backend = {
    takesAnySize: false,
    get failed() {
      return element.failed;
    },
    async run() {
      if (element.failed) throw new AgentError('corrupt', 'gives no answer within 5 s');
      return NOTHING;
    },
    release: async () => undefined,
  };
  return new GuardedLoader(
    { config: elementConfig('hailonet', 'made'), modelDir: '/', clock: systemClock, log: SILENT },
    {
      noun: 'element',
      fallback: new StuckLoader(),
      runsBeside: true,
      prepare: async () => ({
        card: MADE_CARD,
        identity: 'made',
        open: async () => ({ backend, provider: 'hailonet', fallback: null }),
      }),
    },
  );
}

t.test('vision does not wait for the CPU model after a failure of the element', async (t) => {
  const element = { failed: false };
  const loader = loaderWith(element);
  const { cpuModel, info } = await loader.load();
  t.equal(info.provider, 'hailonet');
  t.equal(cpuModel?.card, MADE_CARD, 'the CPU model is loaded beside it');
  t.same(await loader.run(new Uint8Array(), {}), NOTHING);
  element.failed = true;
  await t.rejects(loader.run(new Uint8Array(), {}), { message: /no answer/ });
  await loader.release();
  t.ok(loader.failed, 'and is killed next');
});

t.test('a sound end waits for the CPU model, whose runs must not be cut off', async (t) => {
  const loader = loaderWith({ failed: false });
  await loader.load();
  const result = await Promise.race([
    loader.release().then(() => 'ended'),
    systemClock.sleep(100).then(() => 'waits'),
  ]);
  t.equal(result, 'waits');
});

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** One element over several runs: each begins with the file that the previous run left on the disk. */
const ELEMENT = 'tfliteinference, a model, 416x256';

class ElementRuns {
  readonly dir: string;
  readonly file: string;
  readonly warnings: string[] = [];
  wallMs = Date.parse('2026-03-01T12:00:00Z');
  nowMs = 1000;
  readonly #log: Logger;

  constructor(t: Test) {
    this.dir = join(scratch(t), 'models');
    this.file = join(this.dir, 'element-trial');
    const quiet = (): void => undefined;
    const warn = (_fields: object, message: string): void => {
      this.warnings.push(message);
    };
    this.#log = { error: quiet, warn, info: quiet, debug: quiet };
  }

  start(element = ELEMENT): ElementTrial {
    const clock = { nowMs: () => this.nowMs, wallMs: () => this.wallMs };
    const trial = new ElementTrial({ dir: this.dir, clock, log: this.#log, noun: 'element' });
    trial.start(element);
    return trial;
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.wallMs += ms;
  }

  get onDisk(): { failures: number; isOn: boolean } {
    const { failures, isOn } = JSON.parse(readFileSync(this.file, 'utf8'));
    return { failures, isOn };
  }

  write(trial: object | string): void {
    mkdirSync(this.dir, { recursive: true });
    writeFileSync(this.file, typeof trial === 'string' ? trial : JSON.stringify({ what: ELEMENT, ...trial }));
  }
}

t.test('a working element leaves no mark after ten minutes, nor after a peaceful end', async (t) => {
  const runs = new ElementRuns(t);
  const first = runs.start();
  t.equal(first.postponedReason, undefined);
  t.notOk(existsSync(runs.file), 'no file for an element that was never tried');
  first.begin();
  t.same(runs.onDisk, { failures: 0, isOn: true }, 'the mark is there before it is loaded');
  runs.pass(10 * MINUTE_MS - 1);
  first.works();
  t.same(runs.onDisk, { failures: 0, isOn: true });
  runs.pass(1);
  first.works();
  t.same(runs.onDisk, { failures: 0, isOn: false }, 'it has worked for ten minutes');
  rmSync(runs.file);
  first.works();
  t.notOk(existsSync(runs.file), 'a frame writes nothing more');
  const second = runs.start();
  second.begin();
  second.end();
  second.end();
  t.same(runs.onDisk, { failures: 0, isOn: false });
  t.equal(runs.start().postponedReason, undefined);
  t.same(runs.warnings, []);
});

t.test('a failing element is held off for a minute, doubled each time up to an hour', async (t) => {
  const runs = new ElementRuns(t);
  const minutes = [1, 2, 4, 8, 16, 32, 60, 60, 60];
  for (const [i, forMinutes] of minutes.entries()) {
    const trial = runs.start();
    t.equal(trial.postponedReason, undefined, `trial ${i + 1}`);
    trial.begin();
    runs.pass(3000);
    trial.failed('it is unplugged');
    t.same(runs.onDisk, { failures: i + 1, isOn: false });
    const retryTime = new Date(runs.wallMs + forMinutes * MINUTE_MS).toISOString().replace('.000Z', 'Z');
    t.equal(trial.postponedReason, `it is unplugged; it is tried again at ${retryTime}`);
    runs.pass(forMinutes * MINUTE_MS - 1);
    t.match(
      runs.start().postponedReason,
      /^it is unplugged; it is tried again at/,
      'the next run knows it too',
    );
    runs.pass(1);
  }
});

t.test('failures are forgotten after the element has worked for its hold-off time', async (t) => {
  const runs = new ElementRuns(t);
  runs.write({ failures: 5, failedAtMs: runs.wallMs - HOUR_MS, reason: 'hot', isOn: false });
  const trial = runs.start();
  trial.begin();
  runs.pass(10 * MINUTE_MS);
  trial.works();
  t.same(runs.onDisk, { failures: 5, isOn: false }, 'after ten minutes it takes no vision with it');
  runs.pass(6 * MINUTE_MS - 1);
  trial.works();
  t.same(runs.onDisk, { failures: 5, isOn: false });
  runs.pass(1);
  trial.works();
  t.same(runs.onDisk, { failures: 0, isOn: false }, 'after sixteen it is as good as new');
  trial.failed('hot');
  t.same(runs.onDisk, { failures: 1, isOn: false }, 'and held off for a minute again');
});

t.test('an element that crashes vision every two minutes is held off longer each time', async (t) => {
  const runs = new ElementRuns(t);
  for (const forMinutes of [1, 2, 4, 8]) {
    const trial = runs.start();
    t.equal(trial.postponedReason, undefined);
    trial.begin();
    for (let s = 0; s < 120; s += 1) {
      runs.pass(1000);
      trial.works();
    }
    t.ok(runs.start().postponedReason, 'the next vision finds the mark');
    runs.pass(forMinutes * MINUTE_MS - 1);
    t.ok(runs.start().postponedReason);
    runs.pass(1);
  }
});

t.test('a mark left on the disk counts as a failure at the time of the next start', async (t) => {
  const runs = new ElementRuns(t);
  runs.start().begin();
  runs.pass(10 * HOUR_MS);
  const next = runs.start();
  t.match(next.postponedReason, /^vision ended while its element was tried; it is tried again at/);
  t.same(runs.onDisk, { failures: 1, isOn: false });
  t.same(runs.start().postponedReason, next.postponedReason, 'it is counted once');
});

t.test('the last line of the element explains its own end only', async (t) => {
  const runs = new ElementRuns(t);
  const lineFile = join(runs.dir, '..', 'element-last-line');
  runs.start().begin();
  writeFileSync(lineFile, '[HailoRT] [error] failed with status=76\n\x1b[2J');
  t.match(
    runs.start().postponedReason,
    /^vision ended while its element was tried: \[HailoRT\] \[error\] failed with status=76\\x0a\\x1b\[2J; it is tried/,
  );
  runs.pass(HOUR_MS);
  runs.start().begin();
  t.notOk(existsSync(lineFile), 'it is removed before the next trial');
  t.match(runs.start().postponedReason, /^vision ended while its element was tried; it is tried/);
});

t.test('a clock that was set back or was years ahead does not hold off', async (t) => {
  const runs = new ElementRuns(t);
  const trial = runs.start();
  trial.failed('cold');
  t.ok(trial.postponedReason);
  runs.wallMs -= 1;
  t.equal(trial.postponedReason, undefined);
  runs.wallMs += 10 * 365 * 24 * HOUR_MS;
  t.equal(runs.start().postponedReason, undefined);
});

t.test('an unreadable file loses the memory and logs one line', async (t) => {
  const good = { failures: 1, failedAtMs: Date.parse('2026-03-01T12:00:00Z'), reason: 'hot', isOn: false };
  for (const [name, content] of [
    ['cut off', JSON.stringify(good).slice(0, 20)],
    ['empty', ''],
    ['another thing', { hello: 1 }],
    ['a count that is none', { ...good, failures: -1 }],
    ['a time that is none', { ...good, failedAtMs: 'yesterday' }],
    ['a reason that is too long', { ...good, reason: 'x'.repeat(1001) }],
    ['null', 'null'],
  ] as const) {
    const runs = new ElementRuns(t);
    runs.write(content);
    const trial = runs.start();
    t.equal(trial.postponedReason, undefined, name);
    t.same(
      runs.warnings,
      ['the result of the last element trial cannot be read; the element is tried'],
      name,
    );
    trial.begin();
    t.same(runs.onDisk, { failures: 0, isOn: true }, `${name}: and a good one is written`);
  }
  const folder = new ElementRuns(t);
  mkdirSync(folder.file, { recursive: true });
  t.equal(folder.start().postponedReason, undefined, 'a folder in its place');
  t.equal(folder.warnings.length, 1);
});

t.test('an unwritable folder limits the memory to one run of vision', async (t) => {
  const runs = new ElementRuns(t);
  writeFileSync(runs.dir, 'a file in the place of the folder');
  const trial = runs.start();
  trial.begin();
  trial.failed('hot');
  t.match(trial.postponedReason, /^hot; /);
  t.ok(runs.warnings.includes('the result of the element trial cannot be written'), String(runs.warnings));
  t.equal(runs.start().postponedReason, undefined, 'the next life tries it');
});

t.test('a failure applies only to the same element, model, size and property', async (t) => {
  const runs = new ElementRuns(t);
  runs.start().failed('compiled for another chip');
  t.ok(runs.start().postponedReason);
  const changedRun = runs.start('tfliteinference, another model, 416x256');
  t.equal(changedRun.postponedReason, undefined, 'a changed element is tried');
  changedRun.begin();
  t.ok(runs.start('tfliteinference, another model, 416x256').postponedReason, 'and its own mark counts');
});
