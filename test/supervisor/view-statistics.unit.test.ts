/** Tests the statistics of object sizes and speeds, and the input size and rate they suggest. */
import t from 'tap';
import { FINDING_TEXTS } from '../../agent/local/finding-texts.ts';
import { viewFindings } from '../../agent/local/view-advice.ts';
import { ViewStatistics } from '../../agent/supervisor/view-statistics.ts';
import { observation, track } from '../lib/street.ts';

const SOURCE = { widthPx: 1600, heightPx: 900 };
const CONFIGURED = { detector: { input: [416, 256] as [number, number] }, camera: { fps: 5 } };

/**
 * Observes people or cars of one height in turn, each for `looks` frames, moved by `step` of its longer side between
 * them.
 */
function observePassing(
  group: 'person' | 'vehicle',
  { count, height, step, frames = 5 }: { count: number; height: number; step: number; frames?: number },
): ViewStatistics {
  const statistics = new ViewStatistics(CONFIGURED);
  let frame = 0;
  for (let id = 1; id <= count; id += 1) {
    for (let index = 0; index < frames; index += 1) {
      frame += 1;
      const x = (step * index * height * SOURCE.heightPx) / SOURCE.widthPx;
      const box = [x, 0.5, x + 0.001, 0.5 + height] as const;
      const view = observation(
        200 * frame,
        [
          track(id, {
            group,
            label: group === 'person' ? 'person' : 'car',
            xyxyNorm: [...box],
            ground: [x, 0.5 + height],
            pixelsMove: false,
          }),
        ],
        { source: SOURCE },
      );
      statistics.observe(view);
      // A frame without a detector run counts neither for heights nor for steps.
      statistics.observe({ ...view, looked: false });
    }
  }
  return statistics;
}

const advice = (statistics: ViewStatistics, plan?: Parameters<typeof viewFindings>[2]) =>
  viewFindings(statistics.report, FINDING_TEXTS.en, plan)[0];

t.test('heights and steps are measured, and too few of them say nothing', async (t) => {
  const { report } = observePassing('person', { count: 30, height: 0.2, step: 0.3 });
  t.match(report, { people: 150, source: SOURCE, moving: 29, fps: 5 });
  t.ok(Math.abs(report.heightTenthNorm - 0.2) < 0.011 && Math.abs(report.heightHalfNorm - 0.2) < 0.011);
  t.ok(Math.abs(report.stepNineTenths - 0.3) < 0.051, `${report.stepNineTenths}`);
  t.equal(advice(observePassing('person', { count: 3, height: 0.2, step: 0.3 })), undefined);
});

t.test('small people suggest a larger input, until it is set', async (t) => {
  const far = observePassing('person', { count: 30, height: 0.07, step: 0.1 });
  t.match(advice(far), { state: 'failed', fix: /detector\.input: \[640, 384\]/ });
  t.match(advice(far, { input: [640, 384], fps: 5 }), { state: 'ok' });
  t.match(advice(observePassing('person', { count: 30, height: 0.2, step: 0.1 })), { state: 'ok' });
});

t.test('objects that move by more than half of their length suggest a higher rate', async (t) => {
  const fast = observePassing('vehicle', { count: 30, height: 0.1, step: 1 });
  t.match(advice(fast), { state: 'failed', fix: /camera\.fps: 1[01]:/ });
  t.match(advice(fast, { input: [416, 256], fps: 12 }), { state: 'ok' });
  t.match(
    advice(observePassing('vehicle', { count: 30, height: 0.1, step: 1, frames: 2 })),
    undefined,
    'a flicker',
  );
});
