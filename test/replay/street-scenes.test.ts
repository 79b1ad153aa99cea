/**
 * Tests street scenes with a model of the detector and the real tracker, observer, rules and incidents. With the
 * measured errors of the detector, each rule finds exactly its incidents.
 */
import { existsSync } from 'node:fs';
import t from 'tap';
import { passMs } from '../lib/cpu-time.ts';
import { STREET_CLIP } from '../lib/paths.ts';
import { sampled } from '../lib/sampled.ts';
import { BUSY_SCENE, STREET_SCENES } from '../scenes/street/catalogue.ts';
import { PIXEL_SCENES } from '../scenes/street/pixels.ts';
import { play } from '../scenes/street/run.ts';
import { loadStage, makeDetector, type Stage } from '../scenes/street/stage.ts';
import { checkScenes } from '../scenes/street/verdict.ts';

// Set before ONNX Runtime is loaded, because it sends usage data otherwise.
process.env['ORT_DISABLE_TELEMETRY'] = '1';

const KINDS = 6;
const SCENES_MIN = 8;
/** CPU time per frame for observer and rules on a busy street with all kinds of rules, in passes over the frame. */
const OBSERVE_PASSES = 10;
const skip = !existsSync(STREET_CLIP) && `no street clip: ${STREET_CLIP} (scripts/setup fetches it)`;

t.test('the catalogue is balanced and its names are unique', async (t) => {
  const all = [...STREET_SCENES, ...PIXEL_SCENES];
  t.equal(new Set(all.map(({ name }) => name)).size, all.length);
  const kinds = [...new Set(all.map(({ rule }) => rule.kind))];
  t.equal(kinds.length, KINDS);
  for (const kind of kinds) {
    const own = all.filter(({ rule }) => rule.kind === kind);
    const quiet = own.filter(({ expected }) => expected.length === 0).length;
    t.ok(own.length >= SCENES_MIN, `${kind}: ${own.length} scenes`);
    t.ok(Math.abs(own.length - 2 * quiet) <= 4, `${kind}: ${quiet} of them expect nothing`);
  }
});

t.test(
  `${STREET_SCENES.length} street scenes raise exactly their incidents`,
  { skip, timeout: 600_000 },
  async (t) => {
    const stage = await streetStage();
    await checkScenes(t, sampled(t, 'street scenes', STREET_SCENES, 4), () => stage);
    // Once to warm up, because no other scene watches static regions.
    await play(BUSY_SCENE, stage);
    const { frames, observeMs, trackMs } = await play(BUSY_SCENE, stage);
    const [observe, track] = [observeMs / frames, trackMs / frames];
    const pass = passMs();
    t.comment(
      `busy street: observe and rules ${observe.toFixed(2)}, track ${track.toFixed(2)} CPU-ms a frame, a pass over it ${pass.toFixed(2)}`,
    );
    t.ok(observe <= OBSERVE_PASSES * pass, `observe and rules: ${(observe / pass).toFixed(1)} passes`);
  },
);

async function streetStage(): Promise<Stage> {
  const detector = makeDetector();
  await detector.start();
  try {
    return await loadStage('street', STREET_CLIP, detector, 80);
  } finally {
    await detector.stop();
  }
}
