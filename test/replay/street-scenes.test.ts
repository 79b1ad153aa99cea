/**
 * Tests street scenes with a model of the detector and the real tracker, observer, rules and incidents. With the
 * measured errors of the detector, each rule finds exactly its incidents. The default run plays a scene of each
 * kind, `--all` one in four, `--full` all.
 */
import { existsSync } from 'node:fs';
import t, { type Test } from 'tap';
import { byKind } from '../../scripts/workshop/evaluate/events.ts';
import { passMs } from '../lib/cpu-time.ts';
import { STREET_CLIP } from '../lib/paths.ts';
import { ALL, unlessAll } from '../lib/run.ts';
import { sampled } from '../lib/sampled.ts';
import { BUSY_SCENE, STREET_SCENES } from '../scenes/street/catalogue.ts';
import { play } from '../scenes/street/run.ts';
import type { StreetScene } from '../scenes/street/scene.ts';
import { loadStage, type Stage } from '../scenes/street/stage.ts';

// Set before ONNX Runtime is loaded, because it sends usage data otherwise.
process.env['ORT_DISABLE_TELEMETRY'] = '1';

const KINDS = [...new Set(STREET_SCENES.map(({ rule }) => rule.kind))];
const RATIO_MIN = 0.95;
/** CPU time per frame for observer and rules on a busy street with all kinds of rules, in passes over the frame. */
const OBSERVE_PASSES = 10;
const skip = !existsSync(STREET_CLIP) && `no street clip: ${STREET_CLIP} (scripts/setup fetches it)`;

const ofKind = (kind: string): StreetScene[] => STREET_SCENES.filter(({ rule }) => rule.kind === kind);
const WITH_QUIET = ['illegal-parking', 'illegal-dumping'];
const isQuiet = ({ expected }: StreetScene): boolean => expected.length === 0;

/** The first scene with an incident of each kind, and the first without of kinds that watch for long; no clip runs. */
const SHORT = KINDS.flatMap((kind) => {
  const still = ofKind(kind).filter(({ runsFromS }) => runsFromS === undefined);
  const quiet = WITH_QUIET.includes(kind) ? still.find(isQuiet) : undefined;
  return [still.find((scene) => !isQuiet(scene)), quiet].filter((one) => one !== undefined);
});

t.test('the catalogue is balanced and its names are unique', async (t) => {
  t.equal(new Set(STREET_SCENES.map(({ name }) => name)).size, STREET_SCENES.length);
  t.equal(KINDS.length, 8);
  t.equal(SHORT.length, 8 + WITH_QUIET.length);
  for (const kind of KINDS) {
    const own = ofKind(kind);
    const quiet = own.filter(isQuiet).length;
    t.ok(Math.abs(own.length - 2 * quiet) <= 4, `${kind}: ${quiet} of ${own.length} expect nothing`);
  }
});

/** Plays scenes in sequence and checks each kind of rule by recall and precision. */
function checkScenes(t: Test, scenes: readonly StreetScene[], stage: Stage): void {
  const scores = scenes.map((scene) => play(scene, stage).score);
  for (const { kind, truePositives, falseNegatives, falsePositives, mistakes } of byKind(scores)) {
    for (const { line } of mistakes) t.comment(line);
    const recall = truePositives / Math.max(1, truePositives + falseNegatives);
    const precision = truePositives / Math.max(1, truePositives + falsePositives);
    t.ok(recall >= RATIO_MIN, `${kind}: ${truePositives} found, ${falseNegatives} missed`);
    t.ok(precision >= RATIO_MIN, `${kind}: ${falsePositives} false`);
  }
}

t.test('street scenes raise exactly their incidents', { skip, timeout: 600_000 }, async (t) => {
  const stage = await loadStage(STREET_CLIP, ALL ? 80 : 20, ALL ? 5 : 1);
  checkScenes(t, ALL ? sampled(t, 'street scenes', STREET_SCENES, 4) : SHORT, stage);
  await t.test('a busy street takes few passes over a frame', { skip: unlessAll }, async (t) => {
    // Once to warm up, because no other scene watches static regions.
    play(BUSY_SCENE, stage);
    const { frames, observeMs, trackMs } = play(BUSY_SCENE, stage);
    const [observe, track] = [observeMs / frames, trackMs / frames];
    const pass = passMs();
    t.comment(
      `busy street: observe and rules ${observe.toFixed(2)}, track ${track.toFixed(2)} CPU-ms a frame, a pass over it ${pass.toFixed(2)}`,
    );
    t.ok(observe <= OBSERVE_PASSES * pass, `observe and rules: ${(observe / pass).toFixed(1)} passes`);
  });
});
