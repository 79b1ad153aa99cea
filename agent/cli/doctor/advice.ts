/**
 * Recommends a model, input size and backend for this board and this view, in one or two lines with the reason. It
 * changes nothing.
 */
import type { ViewReport } from '../../contract/view-report.ts';
import { betterInput, costAt, INTERVAL_RATIO_MAX, largerInput } from '../../local/view-advice.ts';
import type { ModelMetrics } from './installed-models.ts';

export interface AdviceFacts {
  readonly cores: number;
  /** Configured model and input size. */
  readonly model: string;
  readonly input: readonly [number, number];
  /** Detector runs per second; null without a camera. */
  readonly fps: number | null;
  /** Time of one detector run as configured; null if not measured. */
  readonly inferenceMs: number | null;
  /** Reason why it was not measured. */
  readonly untimed: string;
  /** The model accepts only the configured size. */
  readonly takesOneSize: boolean;
  /** Execution provider or element of that run. */
  readonly on: string | null;
  /** Presets of accelerators whose device, driver, element and drop-in are present. */
  readonly ready: readonly string[];
  /** Presets of accelerators that only lack something. */
  readonly unready: readonly string[];
  /** Undefined if no camera was observed. */
  readonly view: ViewReport | undefined;
  readonly metrics: readonly ModelMetrics[];
}

/**
 * Minimum rate of detector runs per second for people who walk. A walking person (1.4 m/s) covers half of a height in
 * 0.6 s; a track that moves further between two runs is lost (local/view-advice.ts).
 */
const WALKING_FPS_MIN = 2;

/**
 * Smallest relevant gain in recall: two standard errors of a recall of 0.89 on the 895 boxes of the cards' first set.
 */
const RECALL_STEP_MIN = 0.02;

export function adviceOf(facts: AdviceFacts): string[] {
  return [sizeAndBackend(facts), ...largerInputAdvice(facts), ...modelAdvice(facts)];
}

/** Recommends the larger input for an accelerator with time to spare, for which the CPU would be too slow. */
function largerInputAdvice({ on, inferenceMs, fps, input, view, takesOneSize }: AdviceFacts): string[] {
  if (on === null || inferenceMs === null) return [];
  const larger = largerInput({ provider: on, inferenceMs, input, fps, view });
  if (larger === undefined) return [];
  const ms = round(costAt(inferenceMs, input, larger));
  const first = takesOneSize ? '; the model takes one size: make it for this one first' : '';
  return [
    `${on} has time for input ${larger.join('×')} (about ${ms} ms a run), which finds more of the distant people (docs/guide/hardware.md)${first}`,
  ];
}

function sizeAndBackend(facts: AdviceFacts): string {
  const { view, input, model } = facts;
  const better = view === undefined ? undefined : betterInput(view, [input[0], input[1]]);
  if (better === undefined) {
    const { backend, reason } = backendFor(facts, input);
    return `model ${model}, input ${input.join('×')}, ${backend}: ${reason}`;
  }
  const isLarger = better[0] * better[1] > input[0] * input[1];
  const isTooSlow = isLarger && inferencesPerSecond(facts, better) < WALKING_FPS_MIN;
  const size = isTooSlow ? input : better;
  const sizeReason = isLarger
    ? 'a tenth of the people are too small for the present size'
    : 'people are so close that the present size misses more of them';
  const but = isTooSlow ? `, and ${better.join('×')} is too slow here` : '';
  const first =
    facts.takesOneSize && !isTooSlow ? ' (the model takes one size: make it for this one first)' : '';
  const { backend, reason } = backendFor(facts, size);
  return `model ${model}, input ${size.join('×')}, ${backend}: ${reason}; ${sizeReason}${but}${first}`;
}

/**
 * Returns the detector runs per second that this board can make with the current detector. A ready accelerator can make
 * more.
 */
function inferencesPerSecond(
  { inferenceMs, input, on, ready }: AdviceFacts,
  size: readonly [number, number],
): number {
  if (inferenceMs === null || (isCpu(on) && ready.length > 0)) return Number.POSITIVE_INFINITY;
  return (1000 * INTERVAL_RATIO_MAX) / costAt(inferenceMs, input, size);
}

function isCpu(on: string | null): boolean {
  return on === null || on === 'cpu';
}

function backendFor(
  facts: AdviceFacts,
  size: readonly [number, number],
): { readonly backend: string; readonly reason: string } {
  const { inferenceMs, untimed, on, fps, input, cores, ready, unready } = facts;
  const onCpu = isCpu(on);
  const cpu = onCpu ? ` on one of ${cores} cores` : '';
  const backend = onCpu ? 'the CPU' : `as now on ${on}`;
  const other = onCpu ? ready[0] : undefined;
  if (inferenceMs === null) return { backend, reason: `no detector run was timed: ${untimed}` };
  if (fps === null) {
    const reason = `a detector run takes ${round(inferenceMs)} ms${cpu}; without a camera, the required rate is unknown`;
    return { backend, reason };
  }
  const ms = costAt(inferenceMs, input, size);
  const mayMs = (1000 / fps) * INTERVAL_RATIO_MAX;
  const costs = `a detector run takes ${about(inferenceMs, ms)}${cpu}, and may take ${round(mayMs)} ms at ${fps} a second`;
  if (ms <= mayMs) {
    const spare =
      other === undefined ? '' : `; ${other} is there: \`vigie doctor --benchmark\` shows what it would save`;
    return { backend, reason: `${costs}${spare}` };
  }
  if (other !== undefined) {
    const file = `/usr/share/vigie/accelerators/${other}/detector.yaml`;
    return { backend: `the accelerator ${other} (${file})`, reason: costs };
  }
  const slower = Math.max(0.2, Math.floor(10 * inferencesPerSecond(facts, size)) / 10);
  const fewer =
    slower < WALKING_FPS_MIN
      ? `, too few for walking people (${WALKING_FPS_MIN} or more); use a faster board or an accelerator`
      : '';
  const hope = unready.length > 0 ? `, or make ${unready.join(', ')} ready (its line says how)` : fewer;
  return { backend: `${backend} with camera.fps: ${slower}${hope}`, reason: costs };
}

/** Recommends another installed model that was measured on the same pictures and found more people. */
function modelAdvice({ model, metrics }: AdviceFacts): string[] {
  const own = metrics.filter((one) => one.model === model);
  const gains = [...new Set(metrics.map((one) => one.model))]
    .filter((other) => other !== model)
    .flatMap((other) => {
      const pairs = own.flatMap((ownMetrics) => {
        const otherMetrics = metrics.find((one) => one.model === other && one.data === ownMetrics.data);
        return otherMetrics === undefined ? [] : [otherMetrics.recall - ownMetrics.recall];
      });
      if (pairs.length === 0) return [];
      const gain = pairs.reduce((total, one) => total + one, 0) / pairs.length;
      return gain < RECALL_STEP_MIN ? [] : [{ other, gain, pairs: pairs.length }];
    })
    .sort((a, b) => b.gain - a.gain);
  const [best] = gains;
  if (best === undefined) return [];
  return [
    `model ${best.other} is installed too and found ${(100 * best.gain).toFixed(0)} of 100 people more at precision 0.9 on ${best.pairs} sets of pictures (its card): try detector.model: ${best.other}, and time it with \`vigie doctor --benchmark\``,
  ];
}

function about(measured: number, ms: number): string {
  return measured === ms ? `${round(ms)} ms` : `about ${round(ms)} ms (${round(measured)} measured)`;
}

function round(value: number): number {
  return Number(value.toPrecision(2));
}
