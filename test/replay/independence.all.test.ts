/**
 * Tests that a rule's result on a film depends on no other rule. Each rule alone, in pairs, and all together must raise
 * the same incidents at the same moments, and vision must follow the same objects. Runs with VIGIE_TEST_RUN=full only.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { labelsIn } from '../../scripts/programs/evaluate/events.ts';
import type { Label } from '../../scripts/programs/evaluate/labels.ts';
import { replayClip } from '../../scripts/programs/evaluate/replay-clip.ts';
import { evaluationData } from '../lib/paths.ts';
import { unlessFull } from '../lib/run.ts';

/** Rate at which a box analyses. */
const FPS = ['--fps', '5'];

const labels = evaluationData('labels');
const hard = evaluationData('labels-hard');
const skip = labels.skip || hard.skip || unlessFull;

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

const several = skip
  ? []
  : [...labelsIn(labels.file), ...labelsIn(hard.file)].filter(({ config }) => config.rules.length > 1);

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
    const label = labelsIn(labels.file).find(({ name }) => name === 'parked-car') as Label;
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
