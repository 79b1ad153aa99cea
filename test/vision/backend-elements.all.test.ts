/**
 * Proves that a model gives the same numbers by GStreamer's own elements as outside GStreamer, also for models of the
 * SSD kind.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { DetectorConfig } from '../../agent/contract/config.ts';
import type { ModelCard } from '../../agent/vision/detect/card.ts';
import type { Detections } from '../lib/backend-child.ts';
import {
  elementConfig,
  elementModels,
  INPUT,
  inProcess,
  noClip,
  noElement,
  noPython,
  type Outcome,
  streetFrames,
  writeCard,
} from '../lib/inference-element.ts';
import { MODEL_DIR, scratch } from '../lib/paths.ts';

t.setTimeout(300_000);

const skip = noElement || noPython || noClip;
const SIDES = INPUT.map(String);

async function load(t: Test, config: DetectorConfig, modelDir: string, frames?: string): Promise<Outcome[]> {
  const steps = [{ do: 'load' }, { do: frames === undefined ? 'run' : 'run all', frame: 'black' }] as const;
  const task = { config, modelDir, steps, ...(frames !== undefined && { frames }) };
  const { outcomes, endReason } = await inProcess(t, task as Parameters<typeof inProcess>[1]);
  t.equal(endReason, undefined);
  return outcomes;
}

/** The largest difference between two lists of numbers; infinite where one is longer. */
function largestDifference(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (b[i] ?? Number.NaN))), 0);
}

const FRAMES = 200;

t.test(
  'an element gives the same detections as Debian’s ONNX Runtime over 200 frames of a street',
  { skip },
  async (t) => {
    const dir = scratch(t);
    const frames = streetFrames(dir, FRAMES);
    t.equal(readFileSync(frames).length, FRAMES * INPUT[0] * INPUT[1] * 3);
    const file = join(dir, 'static.onnx');
    elementModels('static', join(MODEL_DIR, 'nanodet-g-city10.onnx'), file, ...SIDES);
    writeCard(dir, 'static', readFileSync(file));
    const [loaded, element] = await load(t, elementConfig('onnxinference', 'static'), dir, frames);
    t.match(loaded, { info: { provider: 'onnxinference' } });
    const detections = element?.found ?? [];
    const debian: Detections[] = elementModels('run', file, frames, ...SIDES)
      .trim()
      .split('\n')
      .map((line) => {
        const [boxes = [], scores = [], labels = []] = JSON.parse(line) as number[][];
        return { boxes, scores, labels };
      });
    t.same([detections.length, debian.length], [FRAMES, FRAMES]);
    const rows = detections.reduce((sum, { scores }) => sum + scores.length, 0);
    const largest = (of: (one: Detections) => readonly number[]): number =>
      detections.reduce(
        (max, one, i) => Math.max(max, largestDifference(of(one), of(debian[i] as Detections))),
        0,
      );
    const apartPx = largest(({ boxes }) => boxes);
    const apartScore = largest(({ scores }) => scores);
    t.same(
      largest(({ labels }) => labels),
      0,
      'the same labels, in the same order',
    );
    t.ok(
      apartPx <= 1e-3 && apartScore <= 1e-3,
      `${rows} rows: boxes ${apartPx} px apart, scores ${apartScore}`,
    );
    t.ok(rows > 1000, 'there is something to compare');
    t.comment(`${((element?.ms ?? 0) / FRAMES).toFixed(1)} ms a frame in the element`);
  },
);

/** A model of the SSD kind that always returns these rows: x1 y1 x2 y2 in 0..1, score, class. */
function ssd(dir: string, rows: readonly (readonly number[])[], over: Partial<ModelCard> = {}): void {
  const file = join(dir, 'ssd.onnx');
  elementModels('ssd', file, ...SIDES, JSON.stringify(rows));
  writeCard(dir, 'ssd', readFileSync(file), { decoder: 'ssdobjectdetector', ...over });
}

t.test('ssdobjectdetector decodes a model of the SSD kind', { skip: noElement || noPython }, async (t) => {
  const config = elementConfig('onnxinference', 'ssd');
  await t.test('boxes are exact to a pixel, labels come by name, and the best is first', async (t) => {
    const dir = scratch(t);
    ssd(dir, [
      [0.5, 0.25, 0.75, 0.5, 0.6, 2],
      [0.1, 0.2, 0.3, 0.6, 0.9, 0],
      [0.1, 0.1, 0.2, 0.9, 0.2, 28],
      // Below the card's floor, which is .15.
      [0.6, 0.1, 0.7, 0.9, 0.1, 28],
    ]);
    const [load1, run] = await load(t, config, dir);
    t.match(load1?.info, { provider: 'onnxinference', model: 'ssd' });
    const objects = run?.found?.[0];
    t.same(objects?.labels, [0, 2, 28]);
    t.ok(largestDifference(objects?.scores ?? [], [0.9, 0.6, 0.2]) < 1e-6, `${objects?.scores}`);
    const boxesPx = [41.6, 51.2, 124.8, 153.6, 208, 64, 312, 128, 41.6, 25.6, 83.2, 230.4];
    t.ok(largestDifference(objects?.boxes ?? [], boxesPx) <= 1, `${objects?.boxes}`);
  });
  await t.test('a box as large as the frame is returned', async (t) => {
    const dir = scratch(t);
    ssd(dir, [[0, 0, 1, 1, 0.9, 7]]);
    const [, run] = await load(t, config, dir);
    t.same(run?.found?.[0], { boxes: [0, 0, 416, 256], scores: [0.9].map(Math.fround), labels: [7] });
  });
  for (const [name, label] of [
    ['a class that no card may name', 1000],
    ['a class of the list that is not a city’s', 15],
    ['a class below nought', -1],
  ] as const)
    await t.test(`${name} is refused`, async (t) => {
      const dir = scratch(t);
      ssd(dir, [[0.1, 0.2, 0.3, 0.6, 0.9, label]]);
      const [load1] = await load(t, config, dir);
      t.match(load1?.error, { kind: 'corrupt', message: /names class .*, which its card does not know/ });
    });
  await t.test("a class that the model's own card does not name is refused", async (t) => {
    const dir = scratch(t);
    ssd(dir, [[0.1, 0.2, 0.3, 0.6, 0.9, 2]], { classes: { 0: 'person' } });
    const [load1] = await load(t, config, dir);
    t.match(load1?.error, { kind: 'corrupt', message: /names class car, which its card does not know/ });
  });
});
