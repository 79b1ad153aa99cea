/** Tests that the installed detector reaches its accuracy on PETS09-S2L1 through GStreamer. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';
import { packageRoot } from '../../agent/base/package-root.ts';
import { evaluateDetector } from '../../scripts/programs/evaluate/detector.ts';

const dataDir = resolve(process.env['VIGIE_DATA'] ?? join(packageRoot(), '..', 'shared', 'data'));
const needed = [join(packageRoot(), '.cache', 'vtest.avi'), join(dataDir, 'gt', 'pets09-s2l1.txt')];
const absent = needed.find((path) => !existsSync(path));

// Figures of the model's recipe (.903 and .890 at 416x256), less .01 for noise.
const LEAST = { averagePrecision: 0.893, recallAtPrecision: 0.88 };

t.test(
  'the detector reaches its figures on people of PETS09-S2L1',
  { skip: absent === undefined ? false : `${absent} is absent (VIGIE_DATA names the folder)` },
  async (t) => {
    process.env['ORT_DISABLE_TELEMETRY'] = '1';
    const lines: string[] = [];
    const metrics = await evaluateDetector({
      model: 'nanodet-g-city10',
      inputs: [[416, 256]],
      dataDir,
      say: (line) => lines.push(line),
    });
    const pets = metrics.find(({ clip }) => clip === 'PETS09-S2L1');
    t.match(pets, { frames: 159, truths: 895 }, 'every fifth frame, all that is to be judged');
    for (const [name, least] of Object.entries(LEAST)) {
      const reached = pets?.[name as keyof typeof LEAST] ?? 0;
      t.ok(reached >= least, `${name} ${reached.toFixed(3)} of at least ${least}`);
    }
    t.ok(lines.includes('PETS09-S2L1 at 416x256'), 'says what it is doing');
  },
);
