/**
 * Counts V8's work besides running the program: optimising compilations, deoptimisations, and memory allocated on its
 * heap. Source: the trace events of V8 (categories `v8` and `disabled-by-default-v8.compile`), which node writes as
 * JSON in the Trace Event Format.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../../agent/base/errors.ts';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { replay } from '../../../agent/cli/replay.ts';
import { planReplay, type ReplayPlan } from './agent-run.ts';
import type { Input } from './gstreamer.ts';
import { costOf } from './measure.ts';

export interface V8Work {
  /** Compilations by TurboFan. */
  readonly compilations: number;
  readonly deoptimisations: number;
  /** Bytes on the JavaScript heap, without array buffers. */
  readonly allocatedBytes: number;
}

/** A replay with a trace, in a process of its own. */
export interface TracedReplay extends ReplayPlan {
  /** Folder for the trace of the vision process. */
  readonly traces: string;
}

interface TraceEvent {
  readonly name: string;
  /** Phase of the event: `X` for a whole span, `B` and `E` for its begin and end. */
  readonly ph: string;
  /** Begin and length, µs. */
  readonly ts: number;
  readonly dur: number;
  readonly args: { readonly usedHeapSizeBefore?: number; readonly usedHeapSizeAfter?: number };
}

const CATEGORIES = 'v8,disabled-by-default-v8.compile';
const COLLECTIONS = new Set(['MinorGC', 'MajorGC']);

/**
 * Measures V8's work in the vision process over a replay of `clip`, without the first `warmRatio` of its time (0 to 1).
 * `dir`: a folder for the output of the replay.
 */
export async function v8Work(
  clip: string,
  dir: string,
  { model, input, warmRatio }: { readonly model: string; readonly input: Input; readonly warmRatio: number },
): Promise<V8Work> {
  const traces = mkdtempSync(join(dir, 'v8-'));
  const plan: TracedReplay = { ...planReplay(clip, dir, model, input), traces };
  const program = join(packageRoot(), 'dist', 'scripts', 'workshop', 'bench', 'main.js');
  await costOf([process.execPath, program, 'traced-replay', JSON.stringify(plan)], () => undefined);
  rmSync(plan.out, { recursive: true });
  const files = readdirSync(traces).sort();
  if (files.length === 0) throw new AgentError('bug', 'vision has written no trace events');
  const events = files.flatMap((file) => {
    const { traceEvents } = JSON.parse(readFileSync(join(traces, file), 'utf8')) as {
      traceEvents: TraceEvent[];
    };
    return traceEvents;
  });
  return workOf(events, warmRatio);
}

/** Runs the traced replay itself. */
export async function tracedReplay({ clip, config, out, traces }: TracedReplay): Promise<void> {
  const pattern = join(traces, `trace-\${rotation}.json`);
  const options = `--trace-event-categories=${CATEGORIES} --trace-event-file-pattern=${pattern}`;
  await replay(clip, {
    config,
    out,
    fps: undefined,
    everyFrame: true,
    wrapper: ['env', `NODE_OPTIONS=${options}`],
  });
}

/** Sums the events of a whole run after the first `warmRatio` of its time. */
export function workOf(events: readonly TraceEvent[], warmRatio: number): V8Work {
  // Events that describe the process and its threads have no time.
  const timed = events.filter(({ ph }) => ph !== 'M').sort((a, b) => a.ts - b.ts || b.dur - a.dur);
  const beginUs = timed[0]?.ts ?? 0;
  const warmUs = beginUs + warmRatio * ((timed.at(-1)?.ts ?? 0) - beginUs);
  const later = timed.filter(({ ts }) => ts >= warmUs);
  let allocatedBytes = 0;
  let usedBytes: number | undefined;
  for (const { name, args } of later) {
    if (!COLLECTIONS.has(name)) continue;
    // Allocation between the end of one collection and the beginning of the next.
    if (args.usedHeapSizeBefore !== undefined && usedBytes !== undefined)
      allocatedBytes += args.usedHeapSizeBefore - usedBytes;
    usedBytes = args.usedHeapSizeAfter ?? usedBytes;
  }
  return {
    compilations: outermost(later, 'V8.OptimizeCode'),
    deoptimisations: outermost(later, 'V8.DeoptimizeCode'),
    allocatedBytes,
  };
}

/**
 * Counts the spans of this name, in order of time, that lie in no other: a deoptimisation writes one inside another.
 */
function outermost(events: readonly TraceEvent[], name: string): number {
  let count = 0;
  let endUs = Number.NEGATIVE_INFINITY;
  for (const event of events) {
    if (event.name !== name || event.ph !== 'X' || event.ts + event.dur <= endUs) continue;
    count += 1;
    endUs = event.ts + event.dur;
  }
  return count;
}
