/** Runs the unmodified agent: `vigie replay` over the clip, with zones, a line, rules and their snapshots. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../../agent/base/package-root.ts';
import type { Input } from './gstreamer.ts';
import { costOf } from './measure.ts';

export interface AgentRun {
  readonly frames: number;
  readonly events: number;
  /** CPU time of each process, from its start. */
  readonly cpuMs: { readonly vision: number; readonly agent: number };
  /** CPU time of vision's stages, from the start. */
  readonly stagesMs: Readonly<Record<string, number>>;
  readonly wallMs: number;
  readonly rssPeakMiB: Readonly<Record<string, number>>;
}

interface Summary {
  readonly frames: number;
  readonly events: number;
  readonly wallS: number;
  readonly cpuS: { readonly vision: number; readonly agent: number };
  readonly stages: Readonly<Record<string, { readonly cpuS: number }>>;
}

/**
 * Returns the configuration of a street of the usual size: half the picture is a zone, two rules are active, and alerts
 * are rare. The cost of a snapshot is on the page on redaction; it is not a cost of a frame.
 */
function configuration(model: string, input: Input): object {
  const lower = [
    [0, 0.5],
    [1, 0.5],
    [1, 1],
    [0, 1],
  ];
  return {
    site: 'benchmark',
    box: 'benchmark',
    detector: { model, input },
    zones: [{ id: 'lower', polygon: lower }],
    lines: [{ id: 'path', from: [0.03, 0.2], to: [0.03, 0.5] }],
    masks: [{ id: 'corner', polygon: [...lower.slice(0, 1), [0.1, 0.5], [0.1, 0.6], [0, 0.6]] }],
    rules: [
      { id: 'stay', kind: 'loitering', zone: 'lower', afterS: 20, purpose: 'evaluation' },
      { id: 'pass', kind: 'line-crossing', line: 'path', purpose: 'evaluation' },
    ],
  };
}

/** A replay of `clip` by the configuration of the benchmark. */
export interface ReplayPlan {
  readonly clip: string;
  readonly config: string;
  readonly out: string;
}

/** Writes the configuration of the benchmark into `dir`, and chooses a place there for the results. */
export function planReplay(clip: string, dir: string, model: string, input: Input): ReplayPlan {
  const config = join(dir, 'benchmark.yaml');
  // JSON is YAML too.
  writeFileSync(config, JSON.stringify(configuration(model, input)));
  return { clip, config, out: join(dir, 'replay') };
}

/** Replays `clip`. `dir` is an empty folder for the output of the replay, which is removed afterwards. */
export async function agentRun(clip: string, dir: string, model: string, input: Input): Promise<AgentRun> {
  const { config, out } = planReplay(clip, dir, model, input);
  const program = join(packageRoot(), 'dist', 'agent', 'cli', 'main.js');
  // The program itself, not through this node: its first line carries the flags that users run it with.
  const command = [program, 'replay', clip, '--config', config, '--out', out, '--every-frame'];
  const { rssPeakMiB } = await costOf(command, (line) => {
    if (line.includes('vision/main')) return 'vision';
    return line.includes(program) ? 'agent' : undefined;
  });
  const summary = JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8')) as Summary;
  rmSync(out, { recursive: true });
  const stages = Object.entries(summary.stages).map(([stage, { cpuS }]) => [stage, cpuS * 1000] as const);
  return {
    frames: summary.frames,
    events: summary.events,
    cpuMs: { vision: summary.cpuS.vision * 1000, agent: summary.cpuS.agent * 1000 },
    stagesMs: Object.fromEntries(stages),
    wallMs: summary.wallS * 1000,
    rssPeakMiB,
  };
}
