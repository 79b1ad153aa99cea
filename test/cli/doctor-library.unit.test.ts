/** Tests that the doctor names an installed ONNX Runtime, and compares it with the CPU. */
import t from 'tap';
import { comparisonOf, type DetectorRun, isAccelerated } from '../../agent/cli/doctor/compare.ts';
import { visionFindings } from '../../agent/cli/doctor/vision.ts';
import type { VisionTrial } from '../../agent/cli/doctor/vision-trial.ts';
import { inspectText } from '../../agent/config/load.ts';
import type { Config } from '../../agent/contract/config.ts';
import { viewOf } from '../lib/local-status.ts';

const LIBRARY = 'ONNX Runtime 1.21.0 (/usr/lib/libonnxruntime.so.1, with CPU)';

const detectorText = 'detector: { backend: onnxruntime-library, providers: [tensorrt, cpu] }';
const { config } = inspectText(`site: lab\nbox: lab-1\n${detectorText}\n`, { env: {}, mode: 'replay' });

function trialWith(fallback: string | null): VisionTrial {
  const detector = {
    kind: 'detector',
    model: 'nanodet-g-city10',
    sha256: 'ab'.repeat(32),
    provider: 'cpu',
    fallback,
    library: LIBRARY,
  } as const;
  return { frames: 0, watchedFrames: 0, watchedMs: 0, view: viewOf({}), detector };
}

void t.test('the doctor names the file, version and providers of an installed ONNX Runtime', async (t) => {
  const findingOf = (fallback: string | null) =>
    visionFindings(config as Config, trialWith(fallback)).find(({ name }) => name === 'detector');
  t.match(findingOf(null), { state: 'ok', detail: `on cpu of ${LIBRARY}` });
  t.match(findingOf('tensorrt: no driver'), {
    state: 'failed',
    detail: `runs on cpu of ${LIBRARY}: tensorrt: no driver`,
    fix: /accelerators\.md/,
  });
});

void t.test(
  'the benchmark compares an installed ONNX Runtime on the CPU with that of the package',
  async (t) => {
    t.ok(isAccelerated(config as Config));
    const boxesByFrame = new Map([[1, []]]);
    const run = (fallback: string | null): DetectorRun => ({
      trial: trialWith(fallback),
      boxesByFrame,
      power: null,
    });
    t.match(comparisonOf(run(null), run(null)), { agreement: { frames: 1 } });
  },
);
