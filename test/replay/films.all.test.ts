/**
 * Tests that what is reported on a film depends neither on other rules nor on the encoder's noise. Each rule plays alone,
 * in pairs and with all others. Each film plays with its packets copied, and with its pictures encoded again, finely and
 * coarsely. Runs with VIGIE_TEST_RUN=full only.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { labelsIn } from '../../scripts/workshop/evaluate/events.ts';
import { ffmpeg, loopedClip } from '../../scripts/workshop/evaluate/ffmpeg.ts';
import {
  BLINDNESS,
  BLINDNESS_BY_S,
  conditionsOf,
  type Label,
  startsOf,
} from '../../scripts/workshop/evaluate/labels.ts';
import { replayClip } from '../../scripts/workshop/evaluate/replay-clip.ts';
import { evaluationData, scratch } from '../lib/paths.ts';
import { unlessFull } from '../lib/run.ts';

/** Rate at which a box analyses. */
const FPS = ['--fps', '5'];

const folders = ['labels-hard', 'labels'].map((name) => evaluationData(name));
const skip = folders.find(({ skip }) => skip)?.skip || unlessFull;
const labels = skip ? [] : folders.flatMap(({ file }) => labelsIn(file));

type Rule = Label['config']['rules'][number];

interface ReplayOutcome {
  /** Media times of the starts by rule, s. */
  readonly starts: ReadonlyMap<string, readonly number[]>;
  readonly tracks: string;
}

async function outcomeOf({ clipPath, config }: Label, rules: readonly Rule[]): Promise<ReplayOutcome> {
  const replayed = await replayClip(clipPath, { ...config, rules }, FPS);
  try {
    const starts = new Map<string, number[]>(rules.map(({ id }) => [id, []]));
    for (const { time, data } of replayed.events) {
      if (data.phase === 'start') starts.get(data.rule.id)?.push(Date.parse(time) / 1000);
    }
    return { starts, tracks: readFileSync(join(replayed.dir, 'tracks.txt'), 'utf8') };
  } finally {
    replayed.forget();
  }
}

async function checkIndependence(t: Test, label: Label): Promise<number> {
  const { rules } = label.config;
  const all = await outcomeOf(label, rules);
  const pairs = rules.flatMap((one, i) => rules.slice(i + 1).map((other) => [one, other]));
  const alone = rules.map((rule) => [rule]);
  for (const subset of [...alone, ...(rules.length > 2 ? pairs : [])]) {
    const { starts, tracks } = await outcomeOf(label, subset);
    const names = subset.map(({ id }) => id).join(' and ');
    for (const { id } of subset) t.same(starts.get(id), all.starts.get(id), `${names}: ${id} as with all`);
    t.ok(tracks === all.tracks, `${names}: the same tracks as with all`);
  }
  return [...all.starts.values()].flat().length;
}

const several = labels.filter(({ config }) => config.rules.length > 1);

t.test(
  'a rule on a label gives the same incidents alone and with all others',
  { skip, timeout: 7_200_000 },
  async (t) => {
    t.ok(several.length > 0, `${several.length} labels`);
    let starts = 0;
    for (const label of several) {
      await t.test(label.name, async (t) => {
        starts += await checkIndependence(t, label);
      });
    }
    t.ok(starts >= 3, `${starts} incidents`);
  },
);

t.test(
  'two parking tolerances and other rules do not influence each other',
  { skip, timeout: 600_000 },
  async (t) => {
    const label = labels.find(({ name }) => name === 'parked-car') as Label;
    const [park] = label.config.rules as [Rule];
    const zone = 'yard';
    const purpose = 'evaluation';
    const rules = [
      park,
      { ...park, id: 'strict', moveTolerance: 0.1 },
      { id: 'come', kind: 'vehicle-in-pedestrian-zone', zone, purpose },
      { id: 'dump', kind: 'illegal-dumping', zone, purpose, afterS: 8 },
    ];
    const starts = await checkIndependence(t, { ...label, config: { ...label.config, rules } });
    t.ok(starts >= 4, `${starts} incidents`);
  },
);

/** Haze, in which few vehicles pass: blindness is reported. */
const HAZE = 'a14-haze';
const LENGTH_S = 100;

/** Functions that make a loop of a film, by name. */
const ENCODINGS: Readonly<Record<string, (clip: string, dir: string) => Promise<string>>> = {
  copied: (clip, dir) => loopedClip(clip, LENGTH_S, dir),
  'x264 crf 18': (clip, dir) => encodeClip(clip, 18, dir),
  'x264 crf 30': (clip, dir) => encodeClip(clip, 30, dir),
};

async function encodeClip(clip: string, crf: number, dir: string): Promise<string> {
  const file = join(dir, `crf-${crf}.mp4`);
  const length = ['-t', String(LENGTH_S), '-an', '-r', '5'];
  await ffmpeg(['-stream_loop', '-1', '-i', clip, ...length, '-c:v', 'libx264', '-crf', String(crf), file]);
  return file;
}

/** Kinds of the reported conditions, and the time of blindness. */
async function conditionsOfClip(
  { config }: Label,
  clip: string,
): Promise<{ kinds: string[]; blindS: number | undefined }> {
  const replayed = await replayClip(clip, config, FPS);
  replayed.forget();
  const conditions = conditionsOf(startsOf(replayed.events));
  const blind = conditions.find(({ kind }) => BLINDNESS.includes(kind));
  return { kinds: [...new Set(conditions.map(({ kind }) => kind))].sort(), blindS: blind?.atS };
}

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
