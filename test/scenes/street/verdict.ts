/** Counts found, missed and false alerts of each kind of rule over the played scenes, for a test's messages. */
import { byKind } from '../../../scripts/programs/evaluate/events.ts';
import { type Played, play, type RealDetector } from './run.ts';
import type { StreetScene } from './scene.ts';
import type { Stage } from './stage.ts';

const RATIO_MIN = 0.95;

interface Test {
  comment(...words: unknown[]): unknown;
  ok(value: unknown, name: string): unknown;
}

/** Plays scenes in sequence and checks each kind of rule by recall and precision. */
export async function checkScenes(
  t: Test,
  scenes: readonly StreetScene[],
  stageOf: (scene: StreetScene) => Stage,
  detector?: RealDetector,
): Promise<void> {
  const played: Played[] = [];
  for (const scene of scenes) played.push(await play(scene, stageOf(scene), detector));
  for (const { kind, truePositives, falseNegatives, falsePositives, mistakes } of byKind(
    played.map(({ score }) => score),
  )) {
    for (const { line } of mistakes) t.comment(line);
    const own = scenes.filter(({ rule }) => rule.kind === kind);
    const quiet = own.filter(({ expected }) => expected.length === 0).length;
    const recall = truePositives / Math.max(1, truePositives + falseNegatives);
    const precision = truePositives / Math.max(1, truePositives + falsePositives);
    const ratios = `recall ${recall.toFixed(3)}, precision ${precision.toFixed(3)}`;
    t.comment(
      `${kind}: ${truePositives} TP, ${falseNegatives} FN, ${falsePositives} FP, ${ratios}; ${own.length} scenes, ${quiet} of them quiet`,
    );
    t.ok(recall >= RATIO_MIN, `${kind}: ${truePositives} found, ${falseNegatives} missed`);
    t.ok(precision >= RATIO_MIN, `${kind}: ${falsePositives} false`);
  }
}
