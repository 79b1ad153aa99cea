/**
 * Tests composed scenes through the whole pipeline: objects left behind and graffiti are found, and nothing else is.
 * Plays four short scenes by default, and all of them with VIGIE_TEST_RUN=full.
 */
import { existsSync } from 'node:fs';
import t from 'tap';
import { degradationOf } from '../../scripts/programs/evaluate/degradations.ts';
import { byKind, evaluateLabel, labelsIn } from '../../scripts/programs/evaluate/events.ts';
import { evaluationData, STREET_CLIP } from '../lib/paths.ts';
import { FULL } from '../lib/run.ts';
import { CATALOGUE } from '../scenes/catalogue.ts';
import { compose } from '../scenes/composer.ts';
import type { Scene } from '../scenes/scene.ts';

/** An object left behind, a wall that is drawn on, and two without an incident. */
const SHORT = new Set(['left-yard-heap', 'drawn-black-late', 'light-street-shadow', 'quiet-table-infra-red']);
const RATIO_MIN = 0.95;

const scenes = CATALOGUE.filter(({ name }) => FULL || SHORT.has(name));
const missing = [...new Set(scenes.map(({ stage }) => stage.clip))].filter(
  (clip) => !existsSync(clipOf(clip)),
);

function clipOf(clip: string): string {
  return clip === 'vtest.avi' ? STREET_CLIP : evaluationData(clip).file;
}

t.test('the catalogue is balanced and its names are unique', async (t) => {
  const quiet = CATALOGUE.filter(({ expected }) => expected.length === 0).length;
  t.ok(CATALOGUE.length >= 110, `${CATALOGUE.length} scenes`);
  t.ok(quiet >= CATALOGUE.length / 2, `${quiet} of ${CATALOGUE.length} scenes expect nothing`);
  t.equal(new Set(CATALOGUE.map(({ name }) => name)).size, CATALOGUE.length);
  const degraded = CATALOGUE.filter(({ degradation }) => degradation !== undefined);
  const quietOfThem = degraded.filter(({ expected }) => expected.length === 0).length;
  t.ok(Math.abs(degraded.length - 2 * quietOfThem) <= 4, `in bad sight ${quietOfThem} of ${degraded.length}`);
  for (const { degradation } of degraded) degradationOf(degradation as string);
  t.same(
    [...SHORT].filter((name) => !CATALOGUE.some((scene) => scene.name === name)),
    [],
  );
});

const skip = missing.length > 0 && `no evaluation data: ${missing.join(', ')} (set VIGIE_DATA)`;
t.test(FULL ? 'all scenes' : 'short scenes', { skip, timeout: FULL ? 3_600_000 : 600_000 }, async (t) => {
  const scores = [];
  for (const scene of scenes) scores.push(...(await scoresOf(scene)));
  for (const { kind, truePositives, falseNegatives, falsePositives, mistakes, forgiven } of byKind(scores)) {
    for (const { line } of [...mistakes, ...forgiven]) t.comment(line);
    const recall = truePositives / Math.max(1, truePositives + falseNegatives);
    const precision = truePositives / Math.max(1, truePositives + falsePositives);
    t.comment(
      `${kind}: recall ${recall.toFixed(3)}, precision ${precision.toFixed(3)} of ${scenes.length} scenes`,
    );
    t.ok(recall >= RATIO_MIN, `${kind}: ${truePositives} found, ${falseNegatives} missed`);
    t.ok(precision >= RATIO_MIN, `${kind}: ${falsePositives} false`);
  }
});

async function scoresOf(scene: Scene) {
  const dir = await compose(scene, clipOf);
  const scores = [];
  for (const label of labelsIn(dir)) scores.push(...(await evaluateLabel(label)).scores);
  return scores;
}
