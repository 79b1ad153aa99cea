/**
 * Tests street scenes of real pixels through the real detector, tracker, observer, rules and incidents. They are cut
 * from the street clip of the set-up and from a motorway clip of the evaluation data. Runs with VIGIE_TEST_RUN=full only.
 */
import { existsSync } from 'node:fs';
import t from 'tap';
import { evaluationData, STREET_CLIP } from '../lib/paths.ts';
import { unlessFull } from '../lib/run.ts';
import { PIXEL_SCENES } from '../scenes/street/pixels.ts';
import type { StageName } from '../scenes/street/scene.ts';
import { loadStage, makeDetector } from '../scenes/street/stage.ts';
import { checkScenes } from '../scenes/street/verdict.ts';

// Set before ONNX Runtime is loaded, because it sends usage data otherwise.
process.env['ORT_DISABLE_TELEMETRY'] = '1';

const road = evaluationData('clips/highway-320.avi');
const stages: readonly { name: StageName; clip: string; skip: string | false; lengthS: number }[] = [
  {
    name: 'street',
    clip: STREET_CLIP,
    skip: !existsSync(STREET_CLIP) && `no street clip: ${STREET_CLIP}`,
    lengthS: 30,
  },
  { name: 'road', clip: road.file, skip: road.skip, lengthS: 26 },
];

for (const { name, clip, skip, lengthS } of stages) {
  const scenes = PIXEL_SCENES.filter(({ stage }) => stage === name);
  t.test(
    `${scenes.length} scenes on the ${name} raise exactly their incidents`,
    { skip: skip || unlessFull, timeout: 600_000 },
    async (t) => {
      const detector = makeDetector();
      await detector.start();
      try {
        const stage = await loadStage(name, clip, detector, lengthS);
        await checkScenes(t, scenes, () => stage, detector);
      } finally {
        await detector.stop();
      }
    },
  );
}
