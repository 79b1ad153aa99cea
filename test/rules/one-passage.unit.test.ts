/** Tests that a vehicle with two boxes crosses a line only once. */
import t from 'tap';
import type { XyxyNorm } from '../../agent/contract/geometry.ts';
import { LineCrossingRule } from '../../agent/rules/line-crossing.ts';
import { observation, track } from '../lib/street.ts';

/** Width of the cab's box by frame, against .2 of the vehicle's; the boxes share .1 to the left of it. */
type Cab = (frame: number) => number;

/** Both boxes cross in the last frame; returns the number of reported crossings. */
function crossingCount(cab: Cab, lowerBy = 0): number {
  const rule = new LineCrossingRule({
    id: 'line',
    kind: 'line-crossing',
    line: 'kerb',
    purpose: 'p',
    direction: 'both',
    classes: ['car'],
  });
  let reportCount = 0;
  for (let frame = 0; frame <= 4; frame += 1) {
    const x = 0.2 + 0.02 * frame;
    const boxes: XyxyNorm[] = [
      [x, 0.4, x + 0.2, 0.6],
      [x + 0.1, 0.4 + lowerBy, x + 0.1 + cab(frame), 0.6 + lowerBy],
    ];
    const tracks = boxes.map((xyxyNorm, k) =>
      track(k + 1, { group: 'vehicle', label: 'car', xyxyNorm, velocityNormPerS: [0.1, 0] }),
    );
    const crossings =
      frame < 4 ? [] : [1, 2].map((id) => ({ line: 'kerb', track: id, direction: 'left' as const }));
    reportCount += rule.observe(observation(frame * 200, tracks, { crossings })).length;
  }
  return reportCount;
}

t.test('boxes that overlapped a moment before are one vehicle', async (t) => {
  const inside: Cab = () => 0.1;
  t.equal(crossingCount(inside), 1, 'overlapping in all frames');
  t.equal(
    crossingCount((frame) => (frame < 3 ? 0.1 : 0.2)),
    1,
    'no longer overlapping in the frame of the crossing',
  );
});

t.test('boxes that never overlapped are two vehicles', async (t) => {
  t.equal(
    crossingCount(() => 0.2),
    2,
  );
  t.equal(
    crossingCount(() => 0.1, 0.1),
    2,
    'one in front of the other',
  );
});
