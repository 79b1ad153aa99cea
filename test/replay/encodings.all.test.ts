/**
 * Tests that the reported conditions do not depend on the encoder's noise. Each film is looped with its packets copied
 * and with its pictures encoded again, finely and coarsely. Runs with VIGIE_TEST_RUN=full only.
 */
import { join } from 'node:path';
import t from 'tap';
import { labelsIn } from '../../scripts/programs/evaluate/events.ts';
import { ffmpeg, loopedClip } from '../../scripts/programs/evaluate/ffmpeg.ts';
import {
  BLINDNESS,
  BLINDNESS_BY_S,
  conditionsOf,
  type Label,
  startsOf,
} from '../../scripts/programs/evaluate/labels.ts';
import { replayClip } from '../../scripts/programs/evaluate/replay-clip.ts';
import { evaluationData, scratch } from '../lib/paths.ts';
import { unlessFull } from '../lib/run.ts';

/** Haze, in which few vehicles pass: blindness is reported. */
const HAZE = 'a14-haze';
/** The analysis rate of a box on a quiet street. */
const FPS = '5';
const LENGTH_S = 100;

/** Functions that make a loop of a film, by name. */
const ENCODINGS: Readonly<Record<string, (clip: string, dir: string) => Promise<string>>> = {
  copied: (clip, dir) => loopedClip(clip, LENGTH_S, dir),
  'x264 crf 18': (clip, dir) => encodeClip(clip, 18, dir),
  'x264 crf 30': (clip, dir) => encodeClip(clip, 30, dir),
};

async function encodeClip(clip: string, crf: number, dir: string): Promise<string> {
  const file = join(dir, `crf-${crf}.mp4`);
  const length = ['-t', String(LENGTH_S), '-an', '-r', FPS];
  await ffmpeg(['-stream_loop', '-1', '-i', clip, ...length, '-c:v', 'libx264', '-crf', String(crf), file]);
  return file;
}

/** Kinds of the reported conditions, and the time of blindness. */
async function conditionsOfClip(
  { config }: Label,
  clip: string,
): Promise<{ kinds: string[]; blindS: number | undefined }> {
  const replayed = await replayClip(clip, config, ['--fps', FPS]);
  replayed.forget();
  const conditions = conditionsOf(startsOf(replayed.events));
  const blind = conditions.find(({ kind }) => BLINDNESS.includes(kind));
  return { kinds: [...new Set(conditions.map(({ kind }) => kind))].sort(), blindS: blind?.atS };
}

const folders = ['labels-hard', 'labels'].map((name) => evaluationData(name));
const skip = folders.find(({ skip }) => skip)?.skip || unlessFull;
const labels = skip ? [] : folders.flatMap(({ file }) => labelsIn(file));
/** One label for each film, because conditions depend on no rule. */
const films = labels.filter(
  ({ clipPath }, i) => labels.findIndex((other) => other.clipPath === clipPath) === i,
);

t.test('each encoding of a film gives the same conditions', { skip, timeout: 7_200_000 }, async (t) => {
  t.ok(
    films.some(({ name }) => name === HAZE),
    `${HAZE} is one of ${films.length} films`,
  );
  for (const label of films) {
    const answers: string[][] = [];
    for (const [name, make] of Object.entries(ENCODINGS)) {
      const { kinds, blindS } = await conditionsOfClip(label, await make(label.clipPath, scratch(t)));
      answers.push(kinds);
      const inTime = blindS === undefined || blindS <= BLINDNESS_BY_S;
      t.ok(inTime, `${label.name}, ${name}: ${kinds.join(', ') || 'nothing'} at ${blindS ?? '–'} s`);
    }
    for (const answer of answers) t.same(answer, answers[0], label.name);
    if (label.name === HAZE) t.same(answers[0], ['cannot-see'], `${label.name} is reported`);
  }
});
