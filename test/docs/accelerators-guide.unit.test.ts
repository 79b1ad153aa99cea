/** Tests that the guide to accelerators agrees with the programs' output, and that its steps work on a box. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { INFERENCE_ELEMENTS } from '../../agent/contract/inference-element.ts';
import { LIBRARY_FOLDERS } from '../../agent/contract/onnxruntime-library.ts';
import { LARGER_SIDE_TIMES_MAX } from '../../agent/contract/picture.ts';
import { fineSize } from '../../agent/vision/camera/fine-size.ts';
import { readCard } from '../../agent/vision/detect/card.ts';
import { MODEL_DIR, ROOT } from '../lib/paths.ts';

const textOf = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const GUIDE = textOf('docs/guide/accelerators.md');
/** The guide, each paragraph on one line. */
const PROSE = GUIDE.replaceAll(/\n(?![\n|\d-])/g, ' ');
const AGENT_FILES = readdirSync(join(ROOT, 'agent'), { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.(ts|cpp)$/.test(file))
  .map((file) => join('agent', file));
/** Sources of the box and of its native code, without the values in their texts. */
const SOURCES = AGENT_FILES.map(textOf)
  .join('\n')
  .replaceAll(/\$\{[^}]*\}/g, '…');

/** Blocks of commands, in the order of the guide. */
const BLOCKS = [...GUIDE.matchAll(/^( *)```sh\n([\s\S]*?)^\1```$/gm)].map(([, , text]) => String(text));

/** Words of GStreamer, HailoRT and the dynamic linker, which are in no source of ours. */
const FOREIGN = /^(status=\d+|cannot open shared object file|Dnnl, Xnnpack, CPU)$/;
const VALUE =
  /…|\bNAME\.onnx\b|\.tflite|\b\d+x\d+\b|\btensorrt\b|\b(?:element|library)(?= was tried)|, with(?= Dnnl)/;

t.test('every reason in the tables of the guide is one that the box gives', (t) => {
  const rows = GUIDE.split('\n| the reason has | do |\n')
    .slice(1)
    .map((part) => part.split('\n\n')[0] ?? '');
  t.equal(rows.length, 2);
  const parts = rows
    .flatMap((table) => table.split('\n').map((row) => row.split(' | ')[0] ?? ''))
    .flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => String(text)))
    .flatMap((reason) => reason.split(VALUE))
    .map((part) => part.replace(/^[\s:;]+|[\s:;]+$/g, ''))
    .filter((part) => part.length > 3 && !FOREIGN.test(part));
  t.ok(parts.length > 25, `${parts.length} texts`);
  t.same(
    parts.filter((part) => !SOURCES.includes(part)),
    [],
  );
  t.end();
});

t.test('each benchmark in the guide has the agent stopped, and a recording that its user can read', (t) => {
  const blocks = BLOCKS.filter((block) => block.includes('doctor --benchmark'));
  t.equal(blocks.length, 2);
  for (const block of blocks) {
    const commands = block
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/ {2,}#/)[0]);
    t.match(
      commands
        .slice(-5)
        .filter((command) => command !== 'sudo vigie doctor')
        .join('\n'),
      /stop vigie\n.*\n.*start vigie\n/,
    );
    t.ok(block.includes('--benchmark --clip /var/tmp/street.mp4'), 'a home folder is closed to user vigie');
    t.ok(block.includes('sudo install -m 0644 street.mp4 /var/tmp/'), 'the recording is copied');
    t.match(block, /sudo rm \/var\/tmp\/street\.mp4\n *$/, 'and removed');
  }
  t.end();
});

t.test('a model comes to a box by commands in the order in which each works', (t) => {
  const steps = ['git commit', 'scripts/package\n', 'apt install --reinstall ', 'vigie-root from-package'];
  const block = BLOCKS.find((text) => text.includes('git commit')) ?? '';
  const places = steps.map((step) => block.indexOf(step));
  t.ok(
    places.every((place, index) => place > (places[index - 1] ?? -1)),
    `${places}`,
  );
  // A new vigie-root goes on trial at once, and from-package is refused until its end.
  t.notMatch(block, /apt install .*vigie-root_/);
  t.match(textOf('scripts/products/root/change/by-hand.ts'), /another \$\{\w+\} is on trial/);
  t.end();
});

t.test('the guide names each place that advises a larger input, and no other', (t) => {
  const places = AGENT_FILES.filter((file) => /\blargerInput\(\{ provider/.test(textOf(file)));
  t.same(places.sort(), ['agent/cli/doctor/advice.ts', 'agent/local/findings.ts']);
  t.match(
    PROSE,
    /has time for it, three places say so: the line `advice` of `vigie doctor` \(agent stopped\), the line `detector` of `vigie status`, and the technician's page/,
  );
  t.end();
});

t.test('the guides name the elements and inputs beside which the CPU adds nothing', async (t) => {
  const alone = Object.keys(INFERENCE_ELEMENTS).filter((name) => INFERENCE_ELEMENTS[name]?.bringsOnnxRuntime);
  t.same(alone, ['onnxinference']);
  const card = await readCard(MODEL_DIR, 'nanodet-g-city10');
  const widthMaxPx = LARGER_SIDE_TIMES_MAX * card.input.default[0];
  const isLarger = (widthPx: number): boolean => {
    const input = { widthPx, heightPx: Math.ceil((widthPx * 9) / 16) };
    return fineSize({ widthPx: 1920, heightPx: 1080 }, input, widthMaxPx) !== undefined;
  };
  t.same([isLarger(665), isLarger(666)], [true, false]);
  const hardware = textOf('docs/guide/hardware.md').replaceAll('\n', ' ');
  t.match(PROSE, 'Beside `onnxinference` nothing runs on the CPU');
  t.match(PROSE, 'With an input of 666 px or wider there is no larger picture by night');
  t.match(hardware, 'It does not beside `onnxinference`, nor with an input of 666 px or wider.');
  t.match(textOf('docs/guide/models.md'), 'This does not hold for `onnxinference`');
});

t.test('the guide says that a box has an ONNX Runtime of Debian in the last folder', (t) => {
  for (const folder of LIBRARY_FOLDERS) t.ok(GUIDE.includes(`\`${folder}\``), folder);
  t.match(textOf('scripts/workshop/package/debian/control'), /^ .*gstreamer1\.0-plugins-bad/m);
  t.match(PROSE, /The last one has Debian's ONNX Runtime 1\.21, {4}which Vigie's package brings/);
  t.end();
});
