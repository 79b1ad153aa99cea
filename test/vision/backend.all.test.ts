/**
 * Proves that everything that runs a model keeps one contract (agent/vision/detect/backend.ts), each in a process of
 * its own.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { DetectorConfig } from '../../agent/contract/config.ts';
import { LABELS } from '../../agent/contract/label.ts';
import type { Detections } from '../lib/backend-child.ts';
import {
  copyUsual,
  elementConfig,
  elementModels,
  fakeElement,
  INPUT,
  inProcess,
  MODEL,
  noClip,
  noCompiler,
  noElement,
  noPython,
  type Outcome,
  type Step,
  streetFrames,
  writeCard,
  writeScript,
} from '../lib/inference-element.ts';
import { constantModel, type Output } from '../lib/onnx.ts';
import { MODEL_DIR, scratch } from '../lib/paths.ts';

t.setTimeout(180_000);

/** One way of running a model. */
interface Kind {
  readonly name: string;
  readonly skip: string | false;
  readonly env?: () => Record<string, string>;
  readonly config: DetectorConfig;
  /** Puts a good model into the folder. */
  good(dir: string): void;
  /** Puts a model with these outputs into the folder. */
  giving(dir: string, outputs: readonly Output[]): void;
}

const [width, height] = INPUT;
const onElement = noElement || noPython;
const FRAME = { name: 'frame', shape: [1, height, width, 3] };
const USUAL: DetectorConfig = {
  model: MODEL,
  input: [width, height],
  backend: 'onnxruntime',
  providers: ['cpu'],
};

function constants(outputs: readonly Output[], ids: boolean): Buffer {
  return constantModel(FRAME, outputs, ids ? 'vigie-' : undefined);
}

const kinds: Kind[] = [
  {
    name: 'onnxruntime',
    skip: false,
    config: USUAL,
    good: copyUsual,
    giving: (dir, outputs) => writeCard(dir, MODEL, constants(outputs, false)),
  },
  {
    name: 'gstreamer with onnxinference',
    skip: onElement,
    config: elementConfig('onnxinference', 'static'),
    good: (dir) => {
      const file = join(dir, 'static.onnx');
      elementModels('static', join(MODEL_DIR, `${MODEL}.onnx`), file, String(width), String(height));
      writeCard(dir, 'static', readFileSync(file));
    },
    giving: (dir, outputs) => writeCard(dir, 'static', constants(outputs, true)),
  },
  {
    name: 'gstreamer with an element that plays answers',
    skip: noCompiler,
    env: fakeElement,
    config: elementConfig('tfliteinference', 'fake'),
    good: (dir) => {
      copyUsual(dir);
      writeScript(dir, ['box 253 100 283 150 0.9 0', 'box 10 10 50 40 0.4 2']);
    },
    giving: (dir, outputs) => writeScript(dir, played(outputs)),
  },
];

/** The outputs in the language of the fake element. */
function played(outputs: readonly Output[]): string[] {
  const of = (name: string): Output | undefined => outputs.find((one) => one.name === name);
  const lines = [`box 20 20 40 40 0.5 ${of('labels')?.value ?? 0}`];
  if (outputs.length > 3) lines.push('fault extra');
  else if (of('boxes')?.shape[1] !== 4) lines.push('fault shape');
  else if (of('labels')?.type !== 'int32') lines.push('fault type');
  else if (of('scores')?.shape[0] !== 1) lines.push('fault unequal');
  return lines;
}

const FRAMES = noClip === false ? streetFrames(scratch(t), 2) : undefined;

async function outcomesOf(
  t: Test,
  { config, env }: Kind,
  modelDir: string,
  steps: readonly Step[],
): Promise<Outcome[]> {
  const task = { config, modelDir, steps, ...(FRAMES !== undefined && { frames: FRAMES }) };
  const { outcomes, endReason } = await inProcess(t, task, env?.());
  t.equal(endReason, undefined, 'the process has come to the last step');
  return outcomes;
}

function areDetections(t: Test, results: readonly Detections[] | undefined, of: string): void {
  for (const { boxes, scores, labels } of results ?? [])
    t.ok(
      boxes.length === scores.length * 4 &&
        labels.length === scores.length &&
        [...boxes, ...scores].every(Number.isFinite) &&
        labels.every((label) => Object.hasOwn(LABELS, String(label))),
      `${of}: n × 4 boxes, n scores, n labels that its card knows`,
    );
}

for (const kind of kinds) {
  const { name, skip } = kind;
  t.test(name, { skip: skip || noClip }, async (t) => {
    await t.test('a backend answers frame by frame until it is released', (t) => answers(t, kind));
    await t.test('output that breaks the contract is refused', (t) => refuses(t, kind));
  });
}

async function answers(t: Test, kind: Kind): Promise<void> {
  const dir = scratch(t);
  kind.good(dir);
  const run = (frame: Extract<Step, { do: 'run' }>['frame']): Step => ({ do: 'run', frame });
  const steps: Step[] = [
    { do: 'load' },
    ...[run('black'), run(0), run('too small'), run('too large'), run(0)],
    ...([{ do: 'release during a run' }, { do: 'release' }] as const),
    run(0),
  ];
  const outcomes = await outcomesOf(t, kind, dir, steps);
  const [load, black, street, small, large, repeated, during, released, after] = outcomes;
  t.match(load, { info: { fallback: null } });
  for (const [of, one] of Object.entries({ black, street, repeated, during })) {
    t.equal(one?.error, undefined, of);
    areDetections(t, one?.found, of);
  }
  t.ok((street?.found?.[0]?.scores.length ?? 0) > 0, 'something is in the street');
  const wrong = { kind: 'bug', message: /^frame of \d+ bytes instead of 319488: 416x256, RGB$/ };
  t.match([small?.error, large?.error], [wrong, wrong], 'a frame of another size is refused');
  t.same(repeated?.found, street?.found, 'the same frame says the same, whatever came between');
  t.same(during?.found, street?.found, 'a release waits for the run under way');
  t.equal(released?.error, undefined, 'it is released once');
  t.match(after?.error, { kind: 'bug', message: /the detector was stopped/ });
}

const BOXES: Output = { name: 'boxes', type: 'float32', shape: [1, 4], value: 20 };
const SCORES: Output = { name: 'scores', type: 'float32', shape: [1], value: 0.5 };
const LABEL: Output = { name: 'labels', type: 'int32', shape: [1], value: 0 };
const EMBEDDING: Output = { name: 'embedding', type: 'float32', shape: [1, 128], value: 0.1 };
const FEATURES: Output = { name: 'features', type: 'uint8', shape: [1, 8, 13, 24], value: 1 };

async function refuses(t: Test, kind: Kind): Promise<void> {
  const cases: [string, Output[], RegExp][] = [
    ['an appearance vector', [BOXES, SCORES, LABEL, EMBEDDING], /embedding/],
    [
      'a map of features of which its card says nothing',
      [BOXES, SCORES, LABEL, FEATURES],
      /features|embedding|inference failed/,
    ],
    ['boxes with landmarks', [{ ...BOXES, shape: [1, 14] }, SCORES, LABEL], /boxes/],
    ['labels that are no integers', [BOXES, SCORES, { ...LABEL, type: 'float32' }], /labels/],
    [
      'a class that no card may name',
      [BOXES, SCORES, { ...LABEL, value: 80 }],
      /names class 80, which its card/,
    ],
    [
      'a class of another list',
      [BOXES, SCORES, { ...LABEL, value: 1000 }],
      /names class 1000, which its card/,
    ],
    ['a class below nought', [BOXES, SCORES, { ...LABEL, value: -1 }], /names class -1, which its card/],
  ];
  for (const [name, outputs, message] of cases) {
    const dir = scratch(t);
    copyUsual(dir);
    kind.giving(dir, outputs);
    const [load] = await outcomesOf(t, kind, dir, [{ do: 'load' }]);
    t.match(load?.error, { kind: /^(corrupt|config)$/, message }, `${name}: ${load?.error?.message}`);
    t.notMatch(load?.error?.message, /\n/, `${name}: one line`);
  }
  const dir = scratch(t);
  kind.giving(dir, [BOXES, SCORES, LABEL]);
  const [load] = await outcomesOf(t, kind, dir, [{ do: 'load' }]);
  t.equal(load?.error, undefined, 'the same without any of it is loaded');
}

t.test(
  'an element without detections reports none, with tensors of no memory',
  { skip: noCompiler },
  async (t) => {
    const kind = kinds.find(({ config }) => config.element?.name === 'tfliteinference') as Kind;
    const dir = scratch(t);
    writeScript(dir, []);
    const [load, run] = await outcomesOf(t, kind, dir, [{ do: 'load' }, { do: 'run', frame: 'black' }]);
    t.same([load?.error, run?.error], [undefined, undefined]);
    t.same(run?.found, [{ boxes: [], scores: [], labels: [] }]);
  },
);

const EQUAL_FRAMES = 200;

t.test('onnxinference detects what the CPU detects in a street', { skip: onElement || noClip }, async (t) => {
  const frames = streetFrames(scratch(t), EQUAL_FRAMES);
  const steps: Step[] = [{ do: 'load' }, { do: 'run all' }];
  const results: (readonly Detections[])[] = [];
  for (const { name, config, good } of kinds.slice(0, 2)) {
    const modelDir = scratch(t);
    good(modelDir);
    const { outcomes } = await inProcess(t, { config, modelDir, frames, steps });
    results.push(outcomes[1]?.found ?? []);
    t.equal(results.at(-1)?.length, EQUAL_FRAMES, name);
  }
  t.ok((results[0] ?? []).flatMap(({ scores }) => scores).length > 1000, 'there is something to compare');
  t.same(results[1], results[0], 'to the last bit');
});

t.test('ssdobjectdetector decodes a model of the SSD kind', { skip: onElement }, async (t) => {
  const dir = scratch(t);
  const file = join(dir, 'ssd.onnx');
  // x1 y1 x2 y2 in 0..1, score, class; the last is below the card's floor, which is .15.
  const rows = [
    [0.5, 0.25, 0.75, 0.5, 0.625, 2],
    [0, 0, 1, 1, 0.875, 0],
    [0.6, 0.1, 0.7, 0.9, 0.1, 28],
  ];
  elementModels('ssd', file, String(width), String(height), JSON.stringify(rows));
  writeCard(dir, 'ssd', readFileSync(file), { decoder: 'ssdobjectdetector' });
  const steps: Step[] = [{ do: 'load' }, { do: 'run', frame: 'black' }];
  const config = elementConfig('onnxinference', 'ssd');
  const { outcomes } = await inProcess(t, { config, modelDir: dir, steps });
  const boxes = [0, 0, 416, 256, 208, 64, 312, 128];
  t.same(outcomes[1]?.found?.[0], { boxes, scores: [0.875, 0.625], labels: [0, 2] }, 'the best is first');
});

t.test('frames leave nothing behind in the element’s pipeline', { skip: noCompiler }, async (t) => {
  const kind = kinds.find(({ config }) => config.element?.name === 'tfliteinference') as Kind;
  const dir = scratch(t);
  kind.good(dir);
  const soak: Step = { do: 'soak', frames: 10_000 };
  const [, warm, later] = await outcomesOf(t, kind, dir, [{ do: 'load' }, soak, soak]);
  const grownMiB = (later?.rssMiB ?? Number.POSITIVE_INFINITY) - (warm?.rssMiB ?? 0);
  // A promise that waits indefinitely keeps 3 kB a frame, which would be 30 MiB; V8 takes and gives back a few.
  t.ok(grownMiB < 10, `${grownMiB.toFixed(1)} MiB in ${soak.frames} frames, to ${later?.rssMiB?.toFixed(0)}`);
});
