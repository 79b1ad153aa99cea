/** Unit tests of rounded ratios of time: a ratio with a gap is never shown as complete. */
import t from 'tap';
import { roundedRatio } from '../../scripts/programs/room/contract/rounded-ratio.ts';

t.test('a ratio is rounded down, and its gap up', async (t) => {
  // A gap of one second in an hour, a day, and a year.
  for (const lengthS of [3600, 86_400, 31_536_000]) {
    const gap = 1 / lengthS;
    t.equal(roundedRatio(1 - gap, 'down'), 0.999, `${lengthS} s: never the whole`);
    t.equal(roundedRatio(gap, 'up'), 0.001, `${lengthS} s: never nothing`);
  }
  t.equal(roundedRatio(1, 'down'), 1);
  t.equal(roundedRatio(0, 'up'), 0);
});

t.test('a rounding error of the sum does not change the ratio', async (t) => {
  t.equal(roundedRatio(0.7 + 0.2 + 0.1, 'down'), 1);
  t.equal(roundedRatio(1 - 0.9 - 0.1, 'up'), 0);
});
