/**
 * Tests that each supported detection head decodes random exports like a plain reference implementation, also when the
 * classes that are not kept are cut out of the weights.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { packageRoot } from '../../agent/base/package-root.ts';

/** Debian's own, independent of PATH: python3-onnx and python3-onnxruntime belong to it. */
const PYTHON = '/usr/bin/python3';
const PROGRAMS = join(packageRoot(), 'scripts', 'workshop', 'model');
/** Tolerances for float32, which keeps seven digits: for boxes up to some hundred pixels, and for scores below 1. */
const BOXES_WITHIN_PX = 1e-3;
const SCORES_WITHIN = 1e-5;

const needed = ['onnx', 'onnxruntime', 'numpy'].map((name) => join('/usr/lib/python3/dist-packages', name));
const absent = needed.find((path) => !existsSync(path));
const options = {
  skip: absent === undefined ? false : `${absent} is absent: scripts/setup --for all installs it`,
};

async function linesOf(checker: string): Promise<Record<string, unknown>[]> {
  const script = join(packageRoot(), 'test', 'lib', checker);
  const { stdout } = await promisify(execFile)(PYTHON, ['-B', script, PROGRAMS]);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

function compare(t: Test, lines: readonly Record<string, unknown>[]): void {
  for (const { case: name, size, boxesPx, scores, narrow, spread } of lines) {
    const title = `${String(name)} at ${String(size)}`;
    t.ok(Number(boxesPx) <= BOXES_WITHIN_PX, `${title}: boxes within ${String(boxesPx)} px`);
    t.ok(Number(scores) <= SCORES_WITHIN, `${title}: scores within ${String(scores)}`);
    t.ok(Number(narrow) <= SCORES_WITHIN, `${title}: within ${String(narrow)} without the other classes`);
    t.ok(Number(spread) > 0.05, `${title}: scores differ at all`);
  }
}

t.test('each head decodes a random export as a plain reference does', options, async (t) => {
  const lines = await linesOf('model-heads.py');
  const decoded = lines.filter((line) => 'boxesPx' in line);
  compare(t, decoded);
  const kinds = new Set(decoded.map((line) => String(line['case']).split(' ')[0]));
  t.strictSame([...kinds], ['yolox', 'nanodet', 'picodet', 'detr', 'ssd'], 'every kind');
  for (const kind of kinds) {
    const sizes = decoded.filter((line) => String(line['case']) === kind).map((line) => line['size']);
    t.strictSame(sizes, ['96x64', '64x128', '160x96'], `${kind}: every size`);
  }

  const misfitLines = lines.filter((line) => 'misfit' in line);
  t.equal(misfitLines.length, MISFITS.size, 'every misfit was tried');
  for (const { case: name, misfit } of misfitLines) {
    t.match(misfit, MISFITS.get(String(name)) ?? /^$/, `${String(name)}: ${String(misfit)}`);
    t.notMatch(misfit, /\n/, 'in one line');
  }
});

/** Mistakes in the declaration of a head, and the expected message with its advice. */
const MISFITS = new Map<string, RegExp>([
  ['yolox: of another size', /8400 anchors, and 96x64 .* has 126/],
  ['picodet: after NMS', /export\.nms=False/],
  ['detr: which of both', /give the names of the classes/],
  ['ssd: after NMS', /after non-maximum suppression.* export raw_detection_boxes/],
  ['ssd: other anchors', /has 138: export the anchors too/],
]);
