/**
 * Formats the health report and the latencies in the text format of Prometheus 0.0.4.
 *
 * INVARIANTS: labels take their values from fixed lists and versions. None comes from a camera's address, a free-text
 * reason, a zone or an event.
 */

import type { Counters } from '../base/counters.ts';
import {
  EXPOSITION_TYPE,
  exposition,
  type Family,
  gauge,
  type Labels,
  one,
  type Sample,
} from '../base/exposition.ts';
import { boxFamilies } from '../contract/health-metrics.ts';
import { LATENCY_BOUNDS_MS, type LatencyCounts } from '../contract/latency.ts';
import type { LocalStatus } from '../contract/local-status.ts';
import type { Page } from './local-server.ts';

export interface Measured {
  readonly status: LocalStatus;
  readonly counters: Counters;
  /** Wall time of each stage of a frame. */
  readonly stages: Readonly<Record<string, LatencyCounts>>;
  /** Latency from the capture of the frame in which an incident began to the broker's acknowledgement. */
  readonly puback: LatencyCounts;
}

export function metricsPage(measured: Measured): Page {
  const families = [
    ...localFamilies(measured.status),
    ...boxFamilies(measured.status.report),
    ...counterFamilies(measured.counters),
    ...latencyFamilies(measured),
  ];
  return { contentType: EXPOSITION_TYPE, body: exposition(families) };
}

/** Returns the name in Prometheus form: counters end in `_total`, times are in seconds. */
export function counterMetric(name: string, value: Counters[string]): string {
  if (typeof value === 'object') return `vigie_${name}`;
  return `vigie_${name.replace(/_s$/, '_seconds')}_total`;
}

/** Returns the metrics of the local view outside the report, and the versions, which have no fixed list. */
function localFamilies({ report: { versions }, disk, analysedFps }: LocalStatus): Family[] {
  const mib = 1_048_576;
  return [
    gauge('info', 'Versions of the running components', [one(1, pick(versions, ['vigie', 'node']))]),
    gauge('disk_free_bytes', 'Of the state directory', [one(disk.freeMiB * mib)]),
    gauge('disk_size_bytes', 'Of the state directory', [one(disk.sizeMiB * mib)]),
    gauge('analysed_fps', 'Frames analysed per second, over ten seconds', [one(analysedFps)]),
  ];
}

function counterFamilies(counters: Counters): Family[] {
  return Object.entries(counters).map(([name, value]) => ({
    name: counterMetric(name, value),
    help: `Counter ${name} of the health report; docs/guide/operations.md explains it`,
    type: typeof value === 'object' ? 'gauge' : 'counter',
    samples: [one(typeof value === 'object' ? value.gauge : value)],
  }));
}

function latencyFamilies({ stages, puback }: Measured): Family[] {
  return [
    histogram(
      'stage_duration_seconds',
      'Wall time of each stage of a frame (capture: mostly waiting for it)',
      Object.entries(stages).map(([stage, counts]) => ({ labels: { stage }, counts })),
    ),
    histogram(
      'frame_to_puback_seconds',
      'From the frame in which an incident began to the acknowledgement of the broker',
      [{ labels: {}, counts: puback }],
    ),
  ];
}

function histogram(
  name: string,
  help: string,
  series: readonly { readonly labels: Labels; readonly counts: LatencyCounts }[],
): Family {
  const samples = series.flatMap(({ labels, counts: { counts, sumMs } }): Sample[] => {
    let upTo = 0;
    const buckets = counts.map((count, index): Sample => {
      upTo += count;
      const bound = LATENCY_BOUNDS_MS[index];
      const le = bound === undefined ? '+Inf' : String(bound / 1000);
      return { suffix: '_bucket', labels: { ...labels, le }, value: upTo };
    });
    return [
      ...buckets,
      { suffix: '_sum', labels, value: sumMs / 1000 },
      { suffix: '_count', labels, value: upTo },
    ];
  });
  return { name: `vigie_${name}`, help, type: 'histogram', samples };
}

function pick(from: Readonly<Record<string, string>>, names: readonly string[]): Labels {
  return Object.fromEntries(names.map((name) => [name, from[name] ?? 'unknown']));
}
