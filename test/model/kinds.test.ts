/** Tests that every kind and form of model passes through the whole import. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import type { Detection } from '../../agent/contract/picture.ts';
import { readCard } from '../../agent/vision/detect/card.ts';
import { unlessFull } from '../lib/run.ts';
import { detections, frameOf } from '../lib/model-inferences.ts';
import { ROOT, STREET_CLIP, scratch } from '../lib/paths.ts';

/** Debian's own, independent of PATH. */
const PYTHON = '/usr/bin/python3';
const PROGRAMS = join(ROOT, 'scripts', 'programs', 'model');
const CHECKER = join(ROOT, 'test', 'lib', 'model-imports.py');
const ELEMENT_HELPER = join(import.meta.dirname, '..', 'lib', 'element-inferences.js');
/** Tolerances for float32, which keeps seven digits: for boxes up to some hundred pixels, and for scores below 1. */
const BOXES_WITHIN_PX = 1e-3;
const SCORES_WITHIN = 1e-5;

const needed = [STREET_CLIP, '/usr/lib/python3/dist-packages/onnxruntime'];
const absent = needed.find((path) => !existsSync(path));
const options = {
  skip: absent === undefined ? false : `${absent} is absent: scripts/setup --for test brings it`,
};

/** One line of model-imports.py, which describes the members. */
interface Imported {
  readonly name: string;
  readonly kind: string;
  readonly size: [number, number];
  readonly frames: number[];
  readonly boxesPx: number;
  readonly scores: number;
  readonly expected: number;
  readonly float: number;
  readonly u8: number;
  readonly s8: number;
  readonly notes: string[];
}

const run = promisify(execFile);

t.test(
  'every kind and form passes through the whole import',
  { skip: options.skip || unlessFull },
  async (t) => {
    const out = join(scratch(t), 'out');
    process.env['ORT_DISABLE_TELEMETRY'] = '1';
    const { stdout, stderr } = await run(PYTHON, ['-B', CHECKER, PROGRAMS, out, STREET_CLIP], {
      maxBuffer: 16 * 2 ** 20,
    });
    t.equal(stderr, '', 'quiet');
    const all = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Imported);
    const kinds = new Set(all.map(({ kind }) => kind));
    t.strictSame([...kinds], ['yolox', 'nanodet', 'picodet', 'detr', 'ssd'], 'every kind');
    for (const one of all) asTheExport(t, one);
    const saying = (name: string): string => all.find((one) => one.name === name)?.notes.join('\n') ?? '';
    t.match(saying('yolox-half'), /float16 was turned into float32/);
    t.match(saying('yolox-half'), /the batch was open \(n\) and is 1 now/);
    t.match(saying('yolox-nhwc'), /takes pictures channels last/);
    t.match(saying('yolox-maps'), /opset 11 was brought to 17/);

    const elementArgs: string[] = [];
    const outside: Detection[][] = [];
    for (const { name, size } of all) {
      const frame = frameOf(readFileSync(join(out, `${name}.rgb`)), size);
      const float = `${name}-${size.join('x')}-float`;
      for (const model of [name, `${name}-s8s8`, float]) {
        const card = await readCard(out, model);
        t.strictSame(card.classes, { 0: 'person', 2: 'car' }, `${model}: the card`);
        const [detected = []] = await detections(out, model, size, [frame]);
        t.ok(detected.length > 0, `${model}: ${detected.length} detections by the box's own detector`);
        if (model === float) outside.push(detected);
      }
      elementArgs.push(float, ...size.map(String), `${name}.rgb`);
    }

    const { stdout: printed } = await run(process.execPath, [ELEMENT_HELPER, out, ...elementArgs]);
    const inside = printed
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Detection[]);
    t.equal(inside.length, all.length, 'the element ran every float form');
    all.forEach(({ name }, index) => {
      checkSameBoxes(t, name, inside[index] ?? [], outside[index] ?? []);
    });
  },
);

function asTheExport(t: Test, one: Imported): void {
  const { name, size, frames, boxesPx, scores, expected, float } = one;
  t.equal(float, expected, `${name}: ${float} boxes, ${expected} by the reference`);
  t.ok(expected >= 5, `${name}: enough to compare`);
  t.ok(boxesPx <= BOXES_WITHIN_PX, `${name}: boxes within ${boxesPx} px`);
  t.ok(scores <= SCORES_WITHIN, `${name}: scores within ${scores}`);
  // Random weights quantise badly to 8 bits, so the test only shows that both load and report a count of the same
  // order.
  for (const form of ['u8', 's8'] as const)
    t.ok(Math.abs(one[form] - float) <= Math.max(8, 0.4 * float), `${name}: ${one[form]} boxes in ${form}`);
  t.strictSame(frames, [10, size[1], size[0], 3], `${name}: the calibration set`);
}

/** Checks for the same boxes in the same order; scores equal to seven digits may swap. */
function checkSameBoxes(
  t: Test,
  name: string,
  inside: readonly Detection[],
  outside: readonly Detection[],
): void {
  t.equal(inside.length, outside.length, `${name}: as many boxes by the element`);
  const unmatched = [...outside];
  let worst = 0;
  for (const one of inside) {
    const distances = unmatched.map((other) =>
      other.label === one.label
        ? Math.max(
            Math.abs(other.score - one.score),
            ...other.xyxyPx.map((side, axis) => Math.abs(side - (one.xyxyPx[axis] ?? Number.NaN))),
          )
        : Number.POSITIVE_INFINITY,
    );
    const least = Math.min(...distances);
    unmatched.splice(distances.indexOf(least), 1);
    worst = Math.max(worst, least);
  }
  t.ok(worst <= BOXES_WITHIN_PX, `${name}: within ${worst} of those outside`);
}
