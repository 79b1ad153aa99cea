/** Tests `scripts/model import NAME.hef`: the card of a compiled model, and each refusal. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { readCard, readModel } from '../../agent/vision/detect/card.ts';
import { ROOT, scratch } from '../lib/paths.ts';

const HEF = Buffer.from('\x01HEF and a network');
const USUAL = ['--output', 'yolox_tiny/yolox_nms_postprocess', '--input', '416x416'];

function imported(dir: string, args: readonly string[], file = 'yolox_tiny.hef') {
  const program = join(ROOT, 'scripts', 'model');
  return spawnSync(program, ['import', join(dir, file), '--out', join(dir, 'out'), ...args], {
    encoding: 'utf8',
  });
}

function folderWithHef(t: Test): string {
  const dir = scratch(t);
  writeFileSync(join(dir, 'yolox_tiny.hef'), HEF);
  return dir;
}

t.test('the card of a .hef has its hash and its output, and maps COCO to our classes', async (t) => {
  const dir = folderWithHef(t);
  const { status, stderr, stdout } = imported(dir, [...USUAL, '--licence', 'Apache-2.0']);
  t.same([status, stderr], [0, '']);
  const sha256 = createHash('sha256').update(HEF).digest('hex');
  t.match(stdout, new RegExp(`^${sha256}  .*/out/yolox-tiny\\.hef\\n$`));
  const out = join(dir, 'out');
  const card = await readCard(out, 'yolox-tiny');
  t.match(card, {
    file: 'yolox-tiny.hef',
    sha256,
    bytes: HEF.length,
    weights: { model: 'yolox_tiny.hef', licence: 'Apache-2.0', source: 'not stated' },
    input: { default: [416, 416], fixed: true },
    hailo: { output: 'yolox_tiny/yolox_nms_postprocess', order: 'by-class', classes: 80, boxesMax: 100 },
    accuracy: [],
  });
  t.same(card.hailo?.labels, { 0: 0, 1: 1, 2: 2, 3: 3, 5: 5, 7: 7, 16: 16, 24: 24, 26: 26, 28: 28 });
  t.match(readFileSync(join(out, 'yolox-tiny.json'), 'utf8'), /"reason": "Not measured: taken over/);
  t.same(await readModel(out, card), HEF, 'the file is beside its card');
});

t.test(
  'the classes of another network are mapped by name, and its order and boxes are the arguments',
  async (t) => {
    const dir = folderWithHef(t);
    writeFileSync(join(dir, 'names.txt'), 'background\npedestrian\nvan\n');
    const otherArgs = [
      '--classes',
      join(dir, 'names.txt'),
      '--map',
      'van=car',
      '--order',
      'by-score',
      '--boxes',
      '50',
    ];
    t.equal(imported(dir, [...USUAL, ...otherArgs, '--name', 'own']).status, 0);
    const card = await readCard(join(dir, 'out'), 'own');
    t.match(card.hailo, { order: 'by-score', classes: 3, boxesMax: 50 });
    t.same(card.hailo?.labels, { 1: 0, 2: 2 });
    t.same(card.classes, { 0: 'person', 2: 'car' });
  },
);

t.test('each wrong argument is refused in one line, and no file is written', async (t) => {
  const dir = folderWithHef(t);
  writeFileSync(join(dir, 'other.hef'), 'not one');
  writeFileSync(join(dir, 'faces.txt'), 'person\nbag\nface\n');
  writeFileSync(join(dir, 'animals.txt'), 'cow\n');
  const [, output = ''] = USUAL;
  const cases: readonly (readonly [args: readonly string[], message: RegExp, file?: string])[] = [
    [['--input', '416x416'], /--output is missing: `hailortcli parse-hef yolox_tiny\.hef` shows it/],
    [['--output', output, '--input', '300x300'], /--input takes WIDTHxHEIGHT, multiples of 32/],
    [[...USUAL, '--boxes', '0'], /--boxes takes a number from 1 to 512, not '0'/],
    [[...USUAL, '--classes', join(dir, 'none.txt')], /--classes: .*none\.txt cannot be read as text/],
    [
      [...USUAL, '--classes', join(dir, 'faces.txt')],
      /'face' tells who somebody is .* no network with such a class/,
    ],
    [[...USUAL, '--classes', join(dir, 'animals.txt')], /none of 1 classes is one that a detector may name/],
    [USUAL, /other\.hef is not a \.hef, or is cut short: fetch it again/, 'other.hef'],
    [USUAL, /absent\.hef cannot be read: No such file or directory; name the \.hef/, 'absent.hef'],
  ];
  for (const [args, message, file] of cases) {
    const { status, stdout, stderr } = imported(dir, args, file);
    t.same([status, stdout], [2, ''], String(message));
    t.match(stderr, message);
    t.match(stderr, /^model: [^\n]+\(see --help\)\n$/, 'one line');
  }
  t.notOk(existsSync(join(dir, 'out')));
});
