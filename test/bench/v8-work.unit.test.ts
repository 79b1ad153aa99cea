/** Tests that V8's work is counted from the trace events of a whole run, without its first part. */
import t from 'tap';
import { workOf } from '../../scripts/programs/bench/v8-work.ts';

const span = (name: string, ts: number, dur: number) => ({ name, ph: 'X', ts, dur, args: {} });
const collection = (name: string, ts: number, before: number, after: number) => [
  { name, ph: 'B', ts, dur: 0, args: { usedHeapSizeBefore: before } },
  { name, ph: 'E', ts: ts + 1, dur: 0, args: { usedHeapSizeAfter: after } },
];

t.test('only work after the first part of the time counts', async (t) => {
  const events = [
    // An event without a time must not be taken for the beginning.
    { name: 'process_name', ph: 'M', ts: 0, dur: 0, args: {} },
    span('V8.OptimizeCode', 1000, 10),
    span('V8.OptimizeCode', 1400, 10),
    span('V8.OptimizeCode', 1900, 10),
    span('V8.CompileCode', 1950, 10),
    span('V8.OptimizeCode', 2000, 10),
  ];
  t.match(workOf(events, 0.5), { compilations: 2, deoptimisations: 0 });
  t.match(workOf(events, 0), { compilations: 4 });
});

t.test('a deoptimisation that writes two spans, one in the other, is one', async (t) => {
  const events = [
    span('V8.DeoptimizeCode', 107, 4),
    span('V8.DeoptimizeCode', 100, 20),
    span('V8.DeoptimizeCode', 200, 5),
  ];
  t.match(workOf(events, 0), { deoptimisations: 2 });
});

t.test('memory counts the growth between the end of a collection and the next beginning', async (t) => {
  const events = [
    ...collection('MinorGC', 10, 5_000_000, 1_000_000),
    ...collection('MajorGC', 30, 3_500_000, 900_000),
    ...collection('MinorGC', 50, 1_900_000, 800_000),
  ];
  t.equal(workOf(events, 0).allocatedBytes, 2_500_000 + 1_000_000);
  t.equal(workOf([], 0).allocatedBytes, 0);
});
