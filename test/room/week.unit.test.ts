/** Tests of the quantiles of a week, and of its days. */
import fc from 'fast-check';
import t from 'tap';
import { dayAfter, weekNumber } from '../../scripts/programs/room/app/views/week-days.ts';
import { DurationCounts } from '../../scripts/programs/room/console/durations.ts';

const resultOf = (durations: readonly number[]) => {
  const counts = new DurationCounts();
  for (const s of durations) counts.add(s);
  return counts.result();
};

t.test('quantiles are those of the sorted durations', (t) => {
  t.strictSame(resultOf([]), { count: 0, medianS: null, p90S: null });
  t.strictSame(resultOf([-4]), { count: 1, medianS: 0, p90S: 0 });
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 3599 }), { minLength: 1 }), (durations) => {
      const sorted = [...durations].sort((a, b) => a - b);
      const at = (ratio: number) => sorted[Math.ceil(ratio * sorted.length) - 1];
      t.strictSame(resultOf(durations), { count: durations.length, medianS: at(0.5), p90S: at(0.9) });
    }),
  );
  t.strictSame(
    resultOf([7229, 1e12]),
    { count: 2, medianS: 7200, p90S: 30 * 86_400 },
    'long ones by the minute',
  );
  t.end();
});

t.test('weeks are numbered as in ISO 8601', (t) => {
  const numbers = ['2024-12-30', '2025-12-29', '2026-12-28', '2027-01-04', '2026-11-23'].map(weekNumber);
  t.strictSame(numbers, [1, 1, 53, 1, 48]);
  t.equal(dayAfter('2026-12-28', 7), '2027-01-04');
  t.equal(dayAfter('2028-03-01', -1), '2028-02-29');
  t.end();
});
