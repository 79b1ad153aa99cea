/**
 * Tests every label of the evaluation data: each expected incident in its window, and no others. Five films play at a
 * box's own rates. VIGIE_TEST_RUN=full plays all films, with every frame.
 */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import {
  type ConditionRow,
  conditionRow,
  evaluateConditions,
} from '../../scripts/programs/evaluate/conditions.ts';
import { contactSheet, pictureFolder } from '../../scripts/programs/evaluate/contact-sheet.ts';
import { DEGRADATIONS, encoderOf, filterGraph } from '../../scripts/programs/evaluate/degradations.ts';
import { evaluateLabel, labelsIn } from '../../scripts/programs/evaluate/events.ts';
import { factsOf, ffmpeg } from '../../scripts/programs/evaluate/ffmpeg.ts';
import type { Label } from '../../scripts/programs/evaluate/labels.ts';
import { type Replayed, replayClip } from '../../scripts/programs/evaluate/replay-clip.ts';
import { evaluateSight, goodFilms } from '../../scripts/programs/evaluate/sight.ts';
import { evaluationData, scratch } from '../lib/paths.ts';
import { FULL, unlessFull } from '../lib/run.ts';

const data = evaluationData('labels');
/** Labels that must always pass, and films that once had wrong alerts. */
const folders = [
  { name: 'labels', ...data },
  { name: 'labels-hard', ...evaluationData('labels-hard') },
] as const;

/** This one is played twice. */
const REPLAYED_TWICE = 'car-detection';
/** Films of the ordinary run: a line, a parked car, a wall, the wrong way, and a street where nothing happens. */
const ORDINARY = ['car-detection', 'parked-car', 'graffiti', 'highway-wrong-way', 'stadtmitte-quiet'];

for (const { name, file, skip } of folders) {
  const skipReason = skip || (name === 'labels-hard' && unlessFull);
  t.test(name, { skip: skipReason, timeout: 600_000 }, async (t) => {
    const labels = labelsIn(file);
    if (name === 'labels')
      t.ok(
        labels.some((label) => label.name === REPLAYED_TWICE),
        `${REPLAYED_TWICE} is one of them`,
      );
    for (const label of labels) {
      const omitted = !ORDINARY.includes(label.name) && unlessFull;
      await t.test(label.name, { skip: omitted }, async (t) => {
        const rate = FULL ? [] : ['--fps', 'live'];
        const replay = async (clip: string, config: object): Promise<Replayed> => {
          const replayed = await replayClip(clip, config, rate);
          if (FULL && label.name === REPLAYED_TWICE) await saysTheSameAgain(t, label, replayed);
          return replayed;
        };
        const { scores } = await evaluateLabel(label, { replay });
        t.ok(scores.length > 0, 'has rules');
        for (const { rule, truePositives, mistakes, forgiven } of scores) {
          for (const { line } of forgiven) t.comment(line);
          const summary = `${rule}: ${truePositives} found, none missed, none false`;
          t.same(
            mistakes.map(({ line }) => line),
            [],
            summary,
          );
        }
      });
    }
  });
}

/** Checks that two replays give the same result in the published form, with redacted snapshots. */
async function saysTheSameAgain(t: Test, label: Label, one: Replayed): Promise<void> {
  const two = await replayClip(label.clipPath, label.config);
  t.teardown(two.forget);
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
}

t.test('a replay with --fps takes fewer frames', async (t) => {
  const film = join(scratch(t), 'film.mp4');
  await ffmpeg(['-f', 'lavfi', '-i', 'testsrc2=s=128x96:r=10:d=20', film]);
  const replayed = await replayClip(film, { site: 'lab', box: 'lab-1', rules: [] }, ['--fps', '1']);
  t.teardown(replayed.forget);
  const { frames } = replayed.summary;
  t.ok(frames >= 19 && frames <= 21, `${frames} frames of 20 s`);
});

t.test(
  'no condition in an hour of good films',
  { skip: folders.find(({ skip }) => skip)?.skip || unlessFull, timeout: 3_600_000 },
  async (t) => {
    const films = goodFilms(folders.flatMap(({ file }) => labelsIn(file)));
    t.ok(films.length >= 10, `${films.length} films in which all can be seen`);
    const lengthS = 3600 / films.length;
    for (const label of films) {
      const { seenS, mistakes } = await evaluateSight(label, lengthS);
      t.ok(seenS >= lengthS - 2, `${label.name}: ${seenS} s`);
      t.same(mistakes, []);
    }
  },
);

t.test('a contact sheet shows the frames of a false alert', { skip: data.skip }, async (t) => {
  const dir = pictureFolder(join(scratch(t), 'sheets'));
  const label = labelsIn(data.file).find(({ name }) => name === 'stadtmitte-quiet') as Label;
  writeFileSync(join(dir, 'tracks.txt'), '60,1,10,10,50,100,0.7,-1,-1,-1\n');
  const mistake = {
    label: label.name,
    rule: 'bag',
    outcome: 'false',
    count: 1,
    windowS: [3, 3],
    line: '',
  } as const;
  await contactSheet(mistake, label, dir, dir);
  const { width, height } = await sharp(join(dir, 'stadtmitte-quiet-bag-false-3.0.jpg')).metadata();
  t.same([width, height], [1600, 900], 'four by three pictures');
});

t.test('every degradation changes a film, and is the same each time', { skip: unlessFull }, async (t) => {
  const dir = scratch(t);
  const film = { widthPx: 128, heightPx: 96, fps: 5, lengthS: 4 };
  const source = ['-f', 'lavfi', '-i', 'testsrc2=s=128x96:r=5:d=4'];
  const contents: string[] = [];
  for (const one of DEGRADATIONS) {
    const files = [0, 1].map((turn) => join(dir, `${one.name}-${turn}.mp4`));
    for (const file of files)
      await ffmpeg([
        ...source,
        '-vf',
        filterGraph(one, film),
        ...encoderOf(one, film.fps),
        '-bitexact',
        file,
      ]);
    const [first, second] = files.map((file) => readFileSync(file).toString('base64'));
    t.equal(first === second, true, `${one.name}: the same bytes`);
    contents.push(first ?? '');
    const facts = factsOf(files[0] ?? '');
    t.same([facts.widthPx, facts.heightPx, facts.fps], [128, 96, 5], `${one.name}: the same size and rate`);
    t.ok(Math.abs(facts.lengthS - 4) < 0.3, `${one.name}: ${facts.lengthS} s`);
  }
  t.equal(new Set(contents).size, DEGRADATIONS.length, 'no two are alike');
});

t.test(
  'a table of conditions shows matches, false alerts and reports for each',
  { skip: data.skip || unlessFull },
  async (t) => {
    const dir = scratch(t);
    for (const folder of ['labels', 'clips']) mkdirSync(join(dir, folder));
    cpSync(join(data.file, 'stadtmitte-quiet.json'), join(dir, 'labels', 'quiet.json'));
    symlinkSync(evaluationData('clips/tud-stadtmitte.mp4').file, join(dir, 'clips', 'tud-stadtmitte.mp4'));
    const conditions: string[] = [];
    const rows = await evaluateConditions({
      dirs: [join(dir, 'labels')],
      only: ['none', 'white-out'],
      say: () => undefined,
      onRow: ({ condition }) => conditions.push(condition),
    });
    t.same(conditions, ['none', 'white-out'], 'each is reported as soon as it is ready');
    const [none, white] = rows;
    t.match(none, { films: 1, expected: 0, falseAlerts: 0, detectionsShare: 1, blind: null });
    t.match(white, { films: 1, expected: 0, falseAlerts: 0, blind: { askedCount: 1 } });
    t.ok(
      (white?.detectionsShare ?? 1) < 0.8,
      `a ratio of ${white?.detectionsShare} of the people is detected in a white-out`,
    );
    t.match(conditionRow(white as ConditionRow), /^\| white-out \| 0 of 0 \| – \| 0 \| 0 \|.*\d of 1 films/);
  },
);
