/** Every label of the evaluation data: each expected incident in its window, and nothing else. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { evaluateLabel, labelsIn } from '../../scripts/programs/evaluate/events.ts';
import { type Label, scoreStarts } from '../../scripts/programs/evaluate/labels.ts';
import { replayClip } from '../../scripts/programs/evaluate/replay-clip.ts';
import { evaluationData, STREET_CLIP } from '../lib/paths.ts';

const data = evaluationData('labels');

t.test('labels', { skip: data.skip }, async (t) => {
  for (const label of labelsIn(data.file)) {
    await t.test(label.name, async (t) => {
      const { scores } = await evaluateLabel(label);
      t.ok(scores.length > 0, 'has rules');
      for (const { rule, truePositives, faults } of scores) {
        t.same(faults, [], `${rule}: ${truePositives} found, none missed, none false`);
      }
    });
  }
});

t.test(
  'two replays say the same, in the published form, with redacted snapshots',
  { skip: data.skip },
  async (t) => {
    const label = labelsIn(data.file).find(({ name }) => name === 'car-detection') as Label;
    const [one, two] = [
      await replayClip(label.clipPath, label.config),
      await replayClip(label.clipPath, label.config),
    ];
    t.teardown(() => {
      one.forget();
      two.forget();
    });
    for (const file of ['events.jsonl', 'tracks.txt', 'tracks.classes.txt', 'detections.txt']) {
      t.equal(readFileSync(join(one.dir, file), 'utf8'), readFileSync(join(two.dir, file), 'utf8'), file);
    }
    for (const event of one.events) {
      const { snapshot } = event.data.evidence;
      if (event.data.phase !== 'start') continue;
      const jpeg = readFileSync(join(one.dir, 'snapshots', `${event.id}.jpg`));
      t.equal(jpeg.length, snapshot?.bytes, `${event.id}: snapshot`);
      t.same([...jpeg.subarray(0, 2)], [0xff, 0xd8]);
    }
    t.match(readFileSync(join(one.dir, 'tracks.txt'), 'utf8'), /^\d+,\d+(,[\d.]+){5},-1,-1,-1\n/);
    t.match(one.summary, { frames: 377, clipS: Number, cpuS: { vision: Number, agent: Number } });
  },
);

t.test('--fps takes fewer frames', { skip: !existsSync(STREET_CLIP) && 'no street clip' }, async (t) => {
  const config = { site: 'lab', box: 'lab-1', rules: [] };
  const replayed = await replayClip(STREET_CLIP, config, ['--fps', '1']);
  t.teardown(replayed.forget);
  const { frames } = replayed.summary;
  t.ok(frames >= 78 && frames <= 82, `${frames} frames of 79.5 s`);
});

t.test('scoring: windows, misses, false alerts, counts', async (t) => {
  const rules = [
    { id: 'a', kind: 'loitering' },
    { id: 'b', kind: 'wrong-way' },
  ];
  const expected: { rule: string; startS: [number, number] }[] = [
    { rule: 'a', startS: [10, 20] },
    { rule: 'a', startS: [12, 14] },
    { rule: 'a', startS: [40, 50] },
  ];
  const label: Label = {
    name: 'x',
    clip: 'x',
    clipPath: 'x',
    config: { rules },
    expected,
    expectedAtLeast: [{ rule: 'b', count: 2 }],
  };
  const starts = [13, 19, 30].map((atS) => ({ rule: 'a', atS }));
  const [a, b] = scoreStarts(label, [...starts, { rule: 'b', atS: 1 }]);
  t.match(a, { truePositives: 2, falseNegatives: 1, falsePositives: 1 });
  t.same(a?.faults, ['x: a missed between 40 and 50 s', 'x: a false at 30.0 s']);
  t.match(b, { truePositives: 1, falseNegatives: 1, falsePositives: 0 });
});

t.test('a folder of labels that cannot be read is one clear line', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-labels-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  writeFileSync(join(dir, 'x.json'), '{');
  t.throws(() => labelsIn(dir), /x\.json: not a readable label/);
  writeFileSync(join(dir, 'x.json'), JSON.stringify({ clip: 'none.mp4', config: { rules: [] } }));
  t.throws(() => labelsIn(dir), /x\.json: clip none\.mp4 is in none of/);
});
