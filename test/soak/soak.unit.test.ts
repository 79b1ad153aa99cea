/** Tests the arithmetic of a soak and of a benchmark: a slope, the verdict on growth, the chart, and V8's work. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { packageRoot } from '../../agent/base/package-root.ts';
import type { LocalStatus } from '../../agent/contract/local-status.ts';
import { workOf } from '../../scripts/programs/bench/v8-work.ts';
import { memoryPicture } from '../../scripts/programs/soak/picture.ts';
import { type Sample, slopeOf } from '../../scripts/programs/soak/regression.ts';
import { findingsOf, tableOf } from '../../scripts/programs/soak/report.ts';
import type { Soaked } from '../../scripts/programs/soak/soak.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { ALL } from '../lib/run.ts';

/** An hour of samples, one every 5 s. */
function hourOf(value: (hours: number) => number): Sample[] {
  return Array.from({ length: 720 }, (_, i) => ({ hours: i / 720, value: value(i / 720) }));
}

void t.test('a slope comes with its uncertainty', async (t) => {
  const exact = slopeOf(hourOf((hours) => 200 + 3 * hours));
  t.ok(Math.abs((exact?.perHour ?? 0) - 3) < 1e-9 && (exact?.plusMinus ?? 1) < 1e-6);
  t.ok(Math.abs((exact?.from ?? 0) - 200) < 1e-9);
  t.equal(slopeOf(hourOf(() => 200).slice(0, 19)), undefined, 'too few samples say nothing');

  const seed = ALL ? SEED : 1;
  t.comment(`seed ${seed}`);
  const random = randomOf(seed);
  let hitCount = 0;
  // For memory that wanders like this the interval holds the truth in 91.5 %, whatever the seed. With 2,000 trials, 88
  // are six standard deviations away. The default run has fewer, always with the same seed.
  const trials = ALL ? 2000 : 50;
  for (let trial = 0; trial < trials; trial += 1) {
    // Memory that is allocated and released: each sample resembles the one before.
    let wander = 0;
    const slope = slopeOf(
      hourOf((hours) => {
        wander = 0.9 * wander + random() - 0.5;
        return 200 + 1 * hours + wander;
      }),
    );
    if (slope !== undefined && Math.abs(slope.perHour - 1) <= slope.plusMinus) hitCount += 1;
  }
  t.ok(hitCount > 0.88 * trials, `the interval of 95 % held the truth in ${hitCount} of ${trials} trials`);
});

/** Result of a soak in which vision grows by this number of MB an hour. */
function soakResult(growth: number): Soaked {
  const samples = hourOf((hours) => 200 + growth * hours).map(({ hours, value }) => ({
    hours,
    processes: {
      vision: { pid: 2, rssMiB: value / 1.048576, fds: 25 },
      agent: { pid: hours < 0.5 ? 3 : 4, rssMiB: 90, fds: 30 },
    },
  }));
  const report = {
    frames: { read: 36_000, analysed: 35_990, dropped: 10 },
    incidents: { standing: 0, episodes: 50, events: 100 },
    outbox: { lanes: { alert: { rows: 1 }, bulk: { rows: 2 } } },
  };
  const bucket = (le: string, count: number): string =>
    `vigie_frame_to_puback_seconds_bucket{le="${le}"} ${count}`;
  const metrics = [bucket('0.1', 50), bucket('0.2', 96), bucket('0.5', 100), bucket('+Inf', 100)].join('\n');
  const arrivalMs = Array.from({ length: 100 }, (_, i) => 100 - i);
  return { samples, status: { report } as unknown as LocalStatus, metrics, arrivalMs };
}

void t.test('a soak reports its figures and whether memory is steady', async (t) => {
  const run = { hours: 1, warmupHours: 0.25, clip: 'street.avi', fps: 5 };
  const steady = findingsOf(soakResult(0.5), run);
  t.match(steady, {
    steady: true,
    events: 100,
    outboxRows: 3,
    processes: { vision: { lives: 1, fds: { last: 25 } }, agent: { lives: 2 } },
    latencyMs: { toPuback: { p50: 100, p95: 200, p99: 500, max: 500 }, toArchive: { p50: 51, max: 100 } },
  });
  t.ok(Math.abs((steady.processes.vision.slope?.perHour ?? 0) - 0.5) < 1e-6, 'in MB, not MiB');
  t.match(tableOf(steady), /vision {3}200\.1 .* 0\.50 ± 0\.00 .* 25 → 25 +1\n/);
  t.match(tableOf(steady), /at most 1 MB\/h: held/);
  const growing = findingsOf(soakResult(3), run);
  t.equal(growing.steady, false);
  t.match(tableOf(growing), /MISSED/);

  const { samples } = soakResult(3);
  const points = samples.map(({ hours, processes }) => ({ hours, value: processes.vision?.rssMiB ?? 0 }));
  const slope = growing.processes.vision.slope ?? undefined;
  const svg = memoryPicture([{ name: 'vision', points, slope }], 0.25);
  t.match(svg, /^<svg [^>]+>/);
  t.match(svg, 'vision: 3.00 ± 0.00 MB/h after warm-up');
  t.notMatch(svg, /NaN|undefined|Infinity/);
});

void t.test('wrong arguments are one line, exit 2', async (t) => {
  const program = join(packageRoot(), 'dist/scripts/programs/soak/main.js');
  const cases: [string[], RegExp][] = [
    [['--hours', '0'], /a number above 0/],
    [['--clip', '/nonexistent.avi'], /^soak: \/nonexistent\.avi: no such clip/],
  ];
  for (const [args, line] of cases) {
    const { status, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
    t.equal(status, 2, args.join(' '));
    t.match(stderr, line);
  }
});

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
