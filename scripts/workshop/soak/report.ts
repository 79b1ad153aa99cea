/** Computes and formats the findings of a soak, as text and as JSON. */
import { LATENCY_BOUNDS_MS } from '../../../agent/contract/latency.ts';
import { type Slope, slopeOf } from './regression.ts';
import { PROCESSES, type ProcessName, type Soaked } from './soak.ts';

/** Largest permitted growth of resident memory, MB/h, after warm-up. */
export const SLOPE_MAX = 1;
const MB_PER_MIB = 1.048576;

interface ProcessFindings {
  readonly slope: Slope | null;
  readonly rssMb: Readonly<Record<'first' | 'afterWarmup' | 'last' | 'max', number | null>>;
  readonly fds: { readonly afterWarmup: number | null; readonly last: number | null };
  /** Number of processes seen, counting restarts. */
  readonly lives: number;
}

export interface Findings {
  readonly hours: number;
  readonly warmupHours: number;
  readonly clip: string;
  readonly fps: number;
  readonly processes: Readonly<Record<ProcessName, ProcessFindings>>;
  readonly frames: { readonly read: number; readonly analysed: number; readonly dropped: number };
  readonly events: number;
  /**
   * Latency from frame to PUBACK by the agent’s own histogram (upper ends of its classes), and from frame to archive as
   * measured on arrival.
   */
  readonly latencyMs: {
    readonly toPuback: Percentiles;
    readonly toArchive: Percentiles;
  };
  readonly outboxRows: number;
  /** True if no process measurably grew faster than SLOPE_MAX. */
  readonly steady: boolean;
}

type Percentiles = Readonly<Record<'p50' | 'p95' | 'p99' | 'max', number | null>>;

export interface Run {
  readonly hours: number;
  readonly warmupHours: number;
  readonly clip: string;
  readonly fps: number;
}

export function findingsOf(soaked: Soaked, run: Run): Findings {
  const processes = {
    vision: findingsOfProcess('vision', soaked, run),
    agent: findingsOfProcess('agent', soaked, run),
  };
  const { report } = soaked.status;
  const lanes = Object.values(report.outbox.lanes);
  return {
    ...run,
    processes,
    frames: report.frames,
    events: report.incidents.events,
    latencyMs: { toPuback: bucketPercentiles(soaked.metrics), toArchive: percentiles(soaked.arrivalMs) },
    outboxRows: lanes.reduce((sum, { rows }) => sum + rows, 0),
    steady: Object.values(processes).every(({ slope }) => slope === null || slope.perHour <= SLOPE_MAX),
  };
}

export function seriesOf(name: ProcessName, { samples }: Soaked): { hours: number; value: number }[] {
  return samples.flatMap(({ hours, processes }) => {
    const sample = processes[name];
    return sample === undefined ? [] : [{ hours, value: sample.rssMiB * MB_PER_MIB }];
  });
}

function findingsOfProcess(name: ProcessName, soaked: Soaked, { warmupHours }: Run): ProcessFindings {
  const series = seriesOf(name, soaked);
  const warm = series.filter(({ hours }) => hours >= warmupHours);
  const processSamples = soaked.samples.flatMap(({ hours, processes }) => {
    const sample = processes[name];
    return sample === undefined ? [] : [{ ...sample, hours }];
  });
  const value = (sample: { readonly value: number } | undefined): number | null => sample?.value ?? null;
  return {
    slope: slopeOf(warm) ?? null,
    rssMb: {
      first: value(series[0]),
      afterWarmup: value(warm[0]),
      last: value(series.at(-1)),
      max: series.length === 0 ? null : Math.max(...series.map((sample) => sample.value)),
    },
    fds: {
      afterWarmup: processSamples.find(({ hours }) => hours >= warmupHours)?.fds ?? null,
      last: processSamples.at(-1)?.fds ?? null,
    },
    lives: new Set(processSamples.map(({ pid }) => pid)).size,
  };
}

function percentiles(values: readonly number[]): Percentiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (ratio: number): number | null =>
    sorted[Math.min(sorted.length - 1, Math.floor(ratio * sorted.length))] ?? null;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted.at(-1) ?? null };
}

/** Parses `vigie_frame_to_puback_seconds_bucket{le="…"} n`. */
function bucketPercentiles(metrics: string): Percentiles {
  const pattern = /^vigie_frame_to_puback_seconds_bucket\{le="([^"]+)"\} (\d+)$/gm;
  const upTo = [...metrics.matchAll(pattern)].map(([, le = '', count = '0']) => ({
    ms: le === '+Inf' ? (LATENCY_BOUNDS_MS.at(-1) ?? 0) : Number(le) * 1000,
    count: Number(count),
  }));
  const total = upTo.at(-1)?.count ?? 0;
  const at = (ratio: number): number | null =>
    total === 0 ? null : (upTo.find(({ count }) => count >= ratio * total)?.ms ?? null);
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

export function tableOf(findings: Findings): string {
  const { hours, warmupHours, fps, clip, processes, frames, events, latencyMs, steady } = findings;
  const mb = (value: number | null): string => value?.toFixed(1) ?? '–';
  const rows = PROCESSES.map((name) => {
    const { slope, rssMb, fds, lives: processCount } = processes[name];
    const growth = slope === null ? '–' : `${slope.perHour.toFixed(2)} ± ${slope.plusMinus.toFixed(2)}`;
    const descriptors = `${fds.afterWarmup ?? '–'} → ${fds.last ?? '–'}`;
    return [
      name,
      mb(rssMb.afterWarmup),
      mb(rssMb.last),
      mb(rssMb.max),
      growth,
      descriptors,
      String(processCount),
    ];
  });
  const header = ['process', 'RSS warm, MB', 'last', 'max', 'MB/h (95 %)', 'fds', 'lives'];
  return [
    `${clip}: ${(hours * 60).toFixed(0)} min at ${fps} fps, of which ${(warmupHours * 60).toFixed(0)} min warm-up`,
    '',
    ...aligned([header, ...rows]),
    '',
    `frames   ${frames.read} read, ${frames.analysed} analysed, ${frames.dropped} dropped`,
    `events   ${events}, ${findings.outboxRows} rows left in the outbox`,
    `frame → PUBACK, ms at most   ${percentileText(latencyMs.toPuback)}`,
    `frame → archive, ms          ${percentileText(latencyMs.toArchive)}`,
    `growth   at most ${SLOPE_MAX} MB/h: ${steady ? 'held' : 'MISSED'}`,
  ].join('\n');
}

function percentileText(times: Percentiles): string {
  return Object.entries(times)
    .map(([name, ms]) => `${name} ${ms ?? '–'}`)
    .join('  ');
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
