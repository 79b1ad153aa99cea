/**
 * Floor and agent in one run, on one clip, turn by turn (docs/design/005-benchmark.md). Every figure is
 * what one more frame costs: a run over the whole clip less a run over its first frames, divided by the
 * number of frames between. Loading, first frames and warming up fall out on both sides.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentError } from '../../../agent/base/errors.ts';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { type AgentRun, agentRun } from './agent-run.ts';
import type { BareInference } from './bare-inference.ts';
import { bareCapture, cut, type Input, record, repeat } from './gstreamer.ts';
import { costOf } from './measure.ts';

/** The goals: what the whole agent may add to the floor, and what both its processes may hold. */
export const GOALS = { ratioMax: 1.15, rssMiBMax: 260 } as const;

export interface BenchmarkOptions {
  readonly clip: string;
  /** How often the clip is played in a row. */
  readonly passes: number;
  readonly warmFrames: number;
  readonly rounds: number;
  readonly model: string;
  readonly input: Input;
  say(line: string): void;
}

/** CPU-ms per frame, by stage. */
export type Stages = Readonly<Record<string, number>>;

export interface Report {
  readonly clip: string;
  readonly frames: number;
  readonly warmFrames: number;
  readonly rounds: number;
  readonly model: string;
  readonly input: Input;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string };
  /** CPU-ms per frame, medians over the rounds; `each` holds the total of every round. */
  readonly floor: { readonly stages: Stages; readonly total: number; readonly each: readonly number[] };
  readonly vision: { readonly stages: Stages; readonly total: number; readonly each: readonly number[] };
  readonly agent: { readonly total: number; readonly each: readonly number[] };
  readonly events: number;
  /** Wall-ms per frame: the floor's halves one after the other, and the agent. */
  readonly wallMs: { readonly capture: number; readonly detect: number; readonly agent: number };
  /** Highest of all rounds, by process. */
  readonly rssPeakMiB: Readonly<Record<string, number>>;
  /** Medians: vision ÷ floor, and vision and agent together ÷ floor. */
  readonly ratio: { readonly vision: number; readonly both: number };
  readonly goals: { readonly ratio: boolean; readonly rss: boolean };
}

interface FloorRound {
  readonly stages: { readonly capture: number; readonly detect: number };
  readonly wallMs: { readonly capture: number; readonly detect: number };
  readonly rssPeakMiB: Readonly<Record<string, number>>;
}

interface AgentRound {
  readonly stages: Stages;
  readonly vision: number;
  readonly agent: number;
  readonly wallMs: number;
  readonly events: number;
  readonly rssPeakMiB: Readonly<Record<string, number>>;
}

/** The same pictures in three forms. */
interface Material {
  readonly whole: string;
  readonly warm: string;
  readonly recording: string;
  readonly frames: number;
}

/** @throws AgentError `config` (clip too short), `unavailable` (a part of it fails) */
export async function benchmark(options: BenchmarkOptions): Promise<Report> {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-bench-'));
  try {
    const material = await prepare(options, dir);
    const floors: FloorRound[] = [];
    const agents: AgentRound[] = [];
    for (let round = 1; round <= options.rounds; round += 1) {
      options.say(`round ${round} of ${options.rounds}: floor`);
      floors.push(await floorRound(options, material));
      options.say(`round ${round} of ${options.rounds}: agent`);
      agents.push(await agentRound(options, material, dir));
    }
    return summarise(options, material.frames, floors, agents);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function prepare(options: BenchmarkOptions, dir: string): Promise<Material> {
  const { clip, passes, input, warmFrames } = options;
  options.say('recording frames');
  const whole = join(dir, 'whole.mkv');
  await repeat(clip, passes, whole);
  const warm = join(dir, 'warm.mkv');
  await cut(whole, warmFrames, warm);
  const recording = join(dir, 'frames.rgb');
  const frames = await record(whole, input, recording);
  if (frames < 2 * warmFrames) {
    throw new AgentError(
      'config',
      `${clip}: ${frames} frames in ${passes} passes are too few; ${2 * warmFrames} are needed`,
    );
  }
  return { whole, warm, recording, frames };
}

async function floorRound(options: BenchmarkOptions, material: Material): Promise<FloorRound> {
  const { input, warmFrames } = options;
  const counted = material.frames - warmFrames;
  const warm = await bareCapture(material.warm, input);
  const whole = await bareCapture(material.whole, input);
  const { bare, rssPeakMiB } = await runBareInference(options, material);
  return {
    stages: { capture: (whole.cpuMs - warm.cpuMs) / counted, detect: bare.cpuMs / counted },
    wallMs: { capture: (whole.wallMs - warm.wallMs) / counted, detect: bare.wallMs / counted },
    rssPeakMiB: { ...whole.rssPeakMiB, ...rssPeakMiB },
  };
}

async function runBareInference(options: BenchmarkOptions, { recording, frames }: Material) {
  const { model, input, warmFrames } = options;
  const card = JSON.parse(readFileSync(join(packageRoot(), 'models', `${model}.json`), 'utf8')) as {
    file: string;
  };
  const file = join(packageRoot(), 'models', card.file);
  const program = join(packageRoot(), 'dist', 'scripts', 'programs', 'bench', 'main.js');
  const settings = JSON.stringify({
    model: file,
    recording,
    widthPx: input[0],
    heightPx: input[1],
    warmFrames,
  });
  const { stdout, rssPeakMiB } = await costOf(
    [process.execPath, program, 'bare-inference', settings],
    (line) => (line.includes('bare-inference') ? 'onnxruntime' : undefined),
  );
  const bare = JSON.parse(stdout) as BareInference;
  if (bare.frames !== frames) throw new AgentError('bug', `${bare.frames} of ${frames} frames were inferred`);
  return { bare, rssPeakMiB };
}

async function agentRound(options: BenchmarkOptions, material: Material, dir: string): Promise<AgentRound> {
  const { model, input, warmFrames } = options;
  const warm = await agentRun(material.warm, dir, model, input);
  const whole = await agentRun(material.whole, dir, model, input);
  if (warm.frames !== warmFrames || whole.frames !== material.frames) {
    throw new AgentError(
      'bug',
      `the agent analysed ${warm.frames} and ${whole.frames} frames, the floor ${warmFrames} and ${material.frames}`,
    );
  }
  const perFrame = (pick: (run: AgentRun) => number): number =>
    (pick(whole) - pick(warm)) / (material.frames - warmFrames);
  const vision = perFrame(({ cpuMs }) => cpuMs.vision);
  const names = Object.keys(whole.stagesMs);
  const work = names.map((stage) => perFrame((run) => run.stagesMs[stage] ?? 0));
  // Vision books what its thread did by the clock; on a busy machine that is more than its CPU time.
  const share = vision / work.reduce((sum, ms) => sum + ms, 0);
  return {
    stages: Object.fromEntries(names.map((stage, i) => [stage, share * (work[i] ?? 0)])),
    vision,
    agent: perFrame(({ cpuMs }) => cpuMs.agent),
    wallMs: perFrame(({ wallMs }) => wallMs),
    events: whole.events,
    rssPeakMiB: whole.rssPeakMiB,
  };
}

function summarise(
  options: BenchmarkOptions,
  frames: number,
  floors: readonly FloorRound[],
  agents: readonly AgentRound[],
): Report {
  const { clip, warmFrames, rounds, model, input } = options;
  const floorEach = floors.map(({ stages }) => stages.capture + stages.detect);
  const visionEach = agents.map(({ vision }) => vision);
  const agentEach = agents.map(({ agent }) => agent);
  const floor = median(floorEach);
  const ratio = {
    vision: median(visionEach) / floor,
    both: median(agents.map(({ vision, agent }) => vision + agent)) / floor,
  };
  const rssPeakMiB = highest([...floors, ...agents].map((round) => round.rssPeakMiB));
  const held = (rssPeakMiB['vision'] ?? 0) + (rssPeakMiB['agent'] ?? 0);
  return {
    clip,
    frames,
    warmFrames,
    rounds,
    model,
    input,
    machine: { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.version },
    floor: { stages: medians(floors.map(({ stages }) => stages)), total: floor, each: floorEach },
    vision: {
      stages: medians(agents.map(({ stages }) => stages)),
      total: median(visionEach),
      each: visionEach,
    },
    agent: { total: median(agentEach), each: agentEach },
    events: agents[0]?.events ?? 0,
    wallMs: {
      capture: median(floors.map(({ wallMs }) => wallMs.capture)),
      detect: median(floors.map(({ wallMs }) => wallMs.detect)),
      agent: median(agents.map(({ wallMs }) => wallMs)),
    },
    rssPeakMiB,
    ratio,
    goals: { ratio: ratio.vision <= GOALS.ratioMax, rss: held > 0 && held <= GOALS.rssMiBMax },
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

function medians(rounds: readonly Stages[]): Stages {
  const names = Object.keys(rounds[0] ?? {});
  return Object.fromEntries(
    names.map((name) => [name, median(rounds.map((round) => round[name] ?? Number.NaN))]),
  );
}

function highest(rounds: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const most: Record<string, number> = {};
  for (const [name, value] of rounds.flatMap((round) => Object.entries(round))) {
    most[name] = Math.max(most[name] ?? 0, value);
  }
  return most;
}
