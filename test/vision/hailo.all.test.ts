/**
 * Tests detection through an element with the layout of HailoRT: equal boxes over a street, and each wrong answer. The
 * element is fake-element.c; it reports the detections of the CPU for the frames with the same bytes.
 */
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import type { HailoCard } from '../../agent/vision/detect/card.ts';
import type { Detections } from '../lib/backend-child.ts';
import {
  copyUsual,
  elementConfig,
  fakeBoard,
  INPUT,
  inProcess,
  MODEL,
  noClip,
  noCompiler,
  type Outcome,
  type Step,
  streetFrames,
  writeHailoScript,
} from '../lib/inference-element.ts';
import { MODEL_DIR, scratch } from '../lib/paths.ts';

t.setTimeout(300_000);

const FRAMES = 200;
const FRAME_BYTES = INPUT[0] * INPUT[1] * 3;

/** FNV-1a with 32 bits, as the element computes it. */
function hashOf(bytes: Uint8Array): number {
  let hash = 2_166_136_261;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 16_777_619) >>> 0;
  return hash;
}

/** Script of the fake element: the boxes of every frame, which it gives only for a frame of the same bytes. */
function scriptOf(all: readonly Detections[], frames: Buffer): string[] {
  return all.flatMap(({ boxes, scores, labels }, frame) => [
    // Frame 0 is the black one with which the backend is opened.
    `at ${frame + 1} ${hashOf(frames.subarray(frame * FRAME_BYTES, (frame + 1) * FRAME_BYTES))}`,
    ...scores.map(
      (score, row) => `box ${boxes.slice(row * 4, row * 4 + 4).join(' ')} ${score} ${labels[row]}`,
    ),
  ]);
}

t.test(
  'hailonet gives the boxes of the CPU over 200 frames of a street',
  { skip: noCompiler || noClip },
  async (t) => {
    const dir = scratch(t);
    const frames = streetFrames(dir, FRAMES);
    const steps: Step[] = [{ do: 'load' }, { do: 'run all' }];
    const cpuConfig = elementConfig('hailonet', MODEL, { backend: 'onnxruntime' });
    const cpu = await inProcess(t, { config: cpuConfig, modelDir: MODEL_DIR, frames, steps });
    const reference = cpu.outcomes[1]?.found ?? [];
    t.equal(reference.length, FRAMES);
    for (const order of ['by-class', 'by-score'] as const) {
      writeHailoScript(dir, scriptOf(reference, readFileSync(frames)), { order, boxesMax: 256 });
      const task = { config: elementConfig('hailonet', 'fake'), modelDir: dir, frames, steps };
      const { outcomes, endReason } = await inProcess(t, task, fakeBoard(t));
      t.equal(endReason, undefined);
      t.match(outcomes[0]?.info, { provider: 'hailonet', model: 'fake' });
      t.same(difference(outcomes[1]?.found ?? [], reference), { labels: 0, boxes: 0, scores: 0 }, order);
    }
    t.ok(
      reference.reduce((sum, { scores }) => sum + scores.length, 0) > 5000,
      'there is something to compare',
    );
  },
);

t.test(
  'features and the people of a larger picture come from the CPU while hailonet detects',
  { skip: noCompiler || noClip },
  async (t) => {
    const dir = scratch(t);
    const frames = streetFrames(dir, 2);
    const steps: Step[] = [
      { do: 'detect', frame: 0 },
      { do: 'detect', frame: 1, larger: true },
    ];
    const cpuConfig = elementConfig('hailonet', MODEL, { backend: 'onnxruntime' });
    const cpu = await inProcess(t, { config: cpuConfig, modelDir: MODEL_DIR, frames, steps });
    const people = cpu.outcomes[1]?.detections?.filter(({ group }) => group === 'person') ?? [];
    t.ok(people.length > 2, 'there is something to compare');
    // The element itself finds a car.
    writeHailoScript(dir, ['box 10 20 110 220 0.5 2']);
    const config = elementConfig('hailonet', 'fake');
    const withoutModel = await inProcess(t, { config, modelDir: dir, frames, steps }, fakeBoard(t));
    t.same(withoutModel.outcomes[0]?.features, undefined, 'none without the CPU’s model');
    t.match(withoutModel.outcomes[0]?.detections, [{ label: 'car' }], 'the element works without it');
    copyUsual(dir);
    const { outcomes } = await inProcess(t, { config, modelDir: dir, frames, steps }, fakeBoard(t));
    t.match(outcomes[0]?.detections, [{ label: 'car' }]);
    t.ok(outcomes[0]?.features !== undefined && outcomes[0].features === cpu.outcomes[0]?.features);
    t.equal(outcomes[1]?.features, cpu.outcomes[1]?.features, 'features to the last bit');
    const peopleBeside = outcomes[1]?.detections?.filter(({ group }) => group === 'person');
    // The CPU alone detects them twice, in the frame and in the larger picture.
    t.equal(peopleBeside?.length, people.length, 'the same people');
    t.same(
      peopleBeside?.map(({ xyxyPx }) => xyxyPx),
      people.map(({ xyxyPx }) => xyxyPx),
    );
    t.equal(outcomes[1]?.largerPictureWidthMaxPx, 832, 'twice the usual width of the CPU’s model');
  },
);

/**
 * Counts frames with other labels, and boxes and scores that differ by more than rounding: a float32 from 0 to 1 that is
 * multiplied by 416 is exact to 0.0001 px.
 */
function difference(all: readonly Detections[], reference: readonly Detections[]) {
  const counts = { labels: 0, boxes: 0, scores: 0 };
  for (const [frame, expected] of reference.entries()) {
    const foundRows = sorted(all[frame] ?? { boxes: [], scores: [], labels: [] });
    const rows = sorted(expected);
    if (foundRows.length !== rows.length) counts.labels += 1;
    for (const [at, row] of rows.entries()) {
      const [label = -1, score = -1, ...box] = foundRows[at] ?? [];
      if (label !== row[0]) counts.labels += 1;
      if (Math.abs(score - (row[1] ?? 0)) > 1e-6) counts.scores += 1;
      if (row.slice(2).some((side, index) => Math.abs(side - (box[index] ?? 1e9)) > 1e-3)) counts.boxes += 1;
    }
  }
  return counts;
}

/** Rows of label, score and corners; by score and, for equal scores, by place. */
function sorted({ boxes, scores, labels }: Detections): number[][] {
  return scores
    .map((score, row) => [labels[row] ?? -1, score, ...boxes.slice(row * 4, row * 4 + 4)])
    .sort((a, b) => (b[1] ?? 0) - (a[1] ?? 0) || (a[0] ?? 0) - (b[0] ?? 0) || (a[2] ?? 0) - (b[2] ?? 0));
}

async function firstRun(
  t: Test,
  lines: readonly string[],
  change: Partial<HailoCard> = {},
): Promise<Outcome[]> {
  const dir = scratch(t);
  writeHailoScript(dir, lines, change);
  const steps: Step[] = [{ do: 'load' }, { do: 'run', frame: 'black' }];
  const { outcomes } = await inProcess(
    t,
    { config: elementConfig('hailonet', 'fake'), modelDir: dir, steps },
    fakeBoard(t),
  );
  return outcomes;
}

t.test('wrong answers of hailonet are refused with what they are', { skip: noCompiler }, async (t) => {
  const box = 'box 10 20 110 220 0.5 0';
  const cases: readonly (readonly [fault: string, message: RegExp])[] = [
    ['old-version 1', /comes from HailoRT 4\.17 to 4\.19 \(metadata of 448 bytes/],
    ['odd-count 202', /gives 101 boxes of class 0/],
    ['garbage', /gives .* boxes of class|invalid box/],
    ['extra', /gives nms .* and embedding/],
    ['none', /lacks HailoRT's output nms/],
    ['error', /fails: .*the device was unplugged/],
    ['drop', /gives no answer within/],
  ];
  await Promise.all(
    cases.map(async ([fault, message]) => {
      const [loaded, run] = await firstRun(t, [box, `fault ${fault}`, 'from 1']);
      t.match(loaded?.info, { provider: 'hailonet' }, fault);
      t.match(run?.error, { kind: 'corrupt', message }, fault);
      t.match(run?.error?.message, /^detector\.element hailonet with model fake /);
    }),
  );
});

t.test('bytes of earlier frames behind the last box are not read', { skip: noCompiler }, async (t) => {
  const [, run] = await firstRun(t, ['box 10 20 110 220 0.5 0', 'box 200 20 300 120 0.25 27']);
  t.same(run?.found?.[0]?.labels, [0], 'a class outside the card is dropped');
});

t.test('a network without the section of its output, or for another element, is refused', async (t) => {
  const dir = scratch(t);
  writeHailoScript(dir, []);
  const steps: Step[] = [{ do: 'load' }];
  const loaded = async (element: string) =>
    (await inProcess(t, { config: elementConfig(element, 'fake'), modelDir: dir, steps }, {})).outcomes[0]
      ?.error;
  t.match(await loaded('onnxinference'), {
    kind: 'config',
    message: /is the file fake\.hef; onnxinference takes \.onnx/,
  });
});
