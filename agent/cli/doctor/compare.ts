/**
 * Compares an accelerator with the CPU. The same clip runs through two vision processes in sequence, to compare the
 * time of each detector run, the power, and the agreement.
 * Two processes are needed, because no frame may leave one, and because two copies of ONNX Runtime crash a process.
 */
import type { Config } from '../../contract/config.ts';
import { CPU_BACKEND, DETECTOR_BACKENDS } from '../../contract/detector-backend.ts';
import { LATENCY_BOUNDS_MS, type LatencyCounts } from '../../contract/latency.ts';
import { type Agreement, agreementOf, type DetectedBox } from './agreement.ts';
import type { VisionTrial } from './vision-trial.ts';
import type { Power } from './watts.ts';

/** Result of one run over the clip. */
export interface DetectorRun {
  readonly trial: VisionTrial;
  /** Detections of each frame of the clip, by its number from 1. */
  readonly boxesByFrame: ReadonlyMap<number, readonly DetectedBox[]>;
  readonly power: Power | null;
}

export interface InferenceMetrics {
  /** Execution provider, or GStreamer element. */
  readonly on: string;
  readonly model: string;
  /** Reason why it differs from the configured one; null if it does not. */
  readonly fallback: string | null;
  readonly frames: number;
  readonly meanMs: number;
  /**
   * Upper bounds of the buckets that contain half, and 95 of 100, of the detector runs. Null beyond the last bucket.
   */
  readonly p50BelowMs: number | null;
  readonly p95BelowMs: number | null;
  readonly power: Power | null;
}

export interface Comparison {
  readonly cpu: InferenceMetrics | null;
  /** Null if the configured detector runs on the CPU. */
  readonly accelerator: InferenceMetrics | null;
  readonly agreement: Agreement | null;
  /** Reason why there is no agreement, or why it means nothing. */
  readonly note: string | null;
}

/** Reports whether the configuration uses something other than ONNX Runtime on the CPU. */
export function isAccelerated({ detector }: Config): boolean {
  return DETECTOR_BACKENDS[detector.backend].runsForeignCode || detector.providers[0] !== 'cpu';
}

/** Returns the same configuration with the CPU, the other side of every comparison. */
export function onCpu(config: Config): Config {
  return { ...config, detector: { ...config.detector, backend: CPU_BACKEND, providers: ['cpu'] } };
}

/**
 * Compares two runs. `configured` used the unchanged configuration. `cpu` used the CPU, and is absent if that is the
 * same.
 */
export function comparisonOf(configured: DetectorRun, cpu?: DetectorRun): Comparison {
  if (cpu === undefined) {
    const note = 'the configuration runs the detector on the CPU, so there is no accelerator to compare';
    return { cpu: metricsOf(configured), accelerator: null, agreement: null, note };
  }
  const accelerator = metricsOf(configured);
  const common = [...cpu.boxesByFrame].flatMap(
    ([frame, boxes]): [readonly DetectedBox[], readonly DetectedBox[]][] => {
      const other = configured.boxesByFrame.get(frame);
      return other === undefined ? [] : [[other, boxes]];
    },
  );
  const cpuMetrics = metricsOf(cpu);
  // The CPU agrees with itself.
  const fellBack = accelerator?.fallback != null && accelerator.on === cpuMetrics?.on;
  const agreement = common.length === 0 || fellBack ? null : agreementOf(common);
  return { cpu: cpuMetrics, accelerator, agreement, note: noteOf(accelerator, agreement) };
}

function noteOf(accelerator: InferenceMetrics | null, agreement: Agreement | null): string | null {
  if (accelerator?.fallback != null) return `it fell back to ${accelerator.on}: ${accelerator.fallback}`;
  if (agreement === null) return 'no frame was analysed by both';
  if (agreement.matched + agreement.onlyFirst + agreement.onlySecond > 0) return null;
  return 'nothing was detected on this clip: give one of a street with --clip FILE';
}

function metricsOf({ trial: { detector, stats }, power }: DetectorRun): InferenceMetrics | null {
  const detect = stats?.stages['detect'];
  if (detector === undefined || stats === undefined || detect === undefined) return null;
  const frames = detect.latency.counts.reduce((total, count) => total + count, 0);
  if (frames === 0) return null;
  const { provider: on, model, fallback } = detector;
  return {
    on,
    model,
    fallback,
    frames,
    power,
    meanMs: round(detect.wallMs / frames),
    p50BelowMs: quantileBelowMs(detect.latency, 0.5),
    p95BelowMs: quantileBelowMs(detect.latency, 0.95),
  };
}

/** Returns the upper bound of the bucket in which the ratio of all is reached; null beyond the last. */
export function quantileBelowMs({ counts }: Pick<LatencyCounts, 'counts'>, ratio: number): number | null {
  const target = ratio * counts.reduce((total, count) => total + count, 0);
  let passed = 0;
  const index = counts.findIndex((count) => {
    passed += count;
    return passed >= target;
  });
  return LATENCY_BOUNDS_MS[index] ?? null;
}

/** Returns rows of a table: name and text. */
export function comparisonRows({ cpu, accelerator, agreement, note }: Comparison): [string, string][] {
  const rows: [string, string][] = [];
  if (accelerator !== null) rows.push(['compared', metricsText(accelerator)]);
  if (cpu !== null) rows.push(['cpu', metricsText(cpu)]);
  if (agreement !== null) rows.push(['agreement', agreementText(agreement)]);
  if (note !== null) rows.push(['note', note]);
  return rows;
}

function metricsText({ on, model, frames, meanMs, p50BelowMs, p95BelowMs, power }: InferenceMetrics): string {
  const boundText = (ms: number | null): string =>
    ms === null ? `over ${LATENCY_BOUNDS_MS.at(-1)} ms` : `at most ${ms} ms`;
  const watts = power === null ? 'power unknown' : `${power.watts} W (${power.of})`;
  return `${model} on ${on}: ${meanMs} ms per run (p50 ${boundText(p50BelowMs)}, p95 ${boundText(p95BelowMs)}; ${frames} runs), ${watts}`;
}

function agreementText(agreement: Agreement): string {
  const { frames, matched, iouMean, scoreDifferenceMean, onlyFirst, onlySecond } = agreement;
  const means =
    iouMean === null || scoreDifferenceMean === null
      ? ''
      : ` (mean IoU ${iouMean.toFixed(3)}, scores ${scoreDifferenceMean.toFixed(3)} apart)`;
  return `${matched} boxes seen by both${means}, ${onlyFirst} by the accelerator alone, ${onlySecond} by the CPU alone, on ${frames} frames`;
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
