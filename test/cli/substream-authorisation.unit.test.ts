/** Tests the advice of `vigie check` for a second stream that the authorisation does not name. */
import t from 'tap';
import { coverageReport } from '../../agent/cli/coverage.ts';
import { configOf } from '../lib/agent.ts';
import { authorised } from '../lib/authority.ts';
import { scratch } from '../lib/paths.ts';

const CONFIG = configOf(
  {
    site: 'lab',
    box: 'lab-1',
    camera: {
      source: 'rtsp://admin:hunter2@10.0.0.2/main',
      substream: 'rtsp://admin:hunter2@10.0.0.2/sub?x=hunter2',
    },
    lines: [{ id: 'kerb', from: [0, 0], to: [1, 1] }],
    rules: [{ id: 'over-kerb', kind: 'line-crossing', line: 'kerb', purpose: 'counting' }],
  },
  'replay',
);
const [main, sub] = ['rtsp://10.0.0.2/main', 'rtsp://10.0.0.2/sub?x=hunter2'];

void t.test('an order that does not name the second stream is one line of advice', async (t) => {
  const { problem, warnings } = coverageReport(authorised(CONFIG, scratch(t)));
  t.equal(problem, undefined, 'and the order still applies');
  t.strictSame(warnings, [
    'camera.substream: authorisation 2026-77 does not name rtsp://10.0.0.2/sub?x=***, so the box runs without it; ask for an authorisation that names it as substream',
  ]);
});

void t.test('an order that names both streams gives no advice', async (t) => {
  for (const cameraFields of [
    { camera: main, substream: sub },
    { camera: sub, substream: main },
  ])
    t.strictSame(coverageReport(authorised(CONFIG, scratch(t), cameraFields)).warnings, []);
  const { substream: _, ...camera } = CONFIG.camera ?? { source: main, fps: 5 };
  t.strictSame(coverageReport(authorised({ ...CONFIG, camera }, scratch(t))).warnings, []);
});
