/**
 * Tests every label of the evaluation data: each expected incident in its window, and no others. Five films play at a
 * box's own rates. VIGIE_TEST_RUN=full plays all films, with every frame.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { evaluateLabel, labelsIn } from '../../scripts/workshop/evaluate/events.ts';
import { ffmpeg } from '../../scripts/workshop/evaluate/ffmpeg.ts';
import type { Label } from '../../scripts/workshop/evaluate/labels.ts';
import { type Replayed, replayClip } from '../../scripts/workshop/evaluate/replay-clip.ts';
import { evaluateSight, goodFilms } from '../../scripts/workshop/evaluate/sight.ts';
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
