/**
 * Measures floor and agent in one run, on one clip, in turn (docs/design/005-benchmark.md). Every value is the cost of
 * one more frame. It is a run over the whole clip minus a run over its first frames, divided by the number of frames
 * between. Loading, first frames and warm-up thus cancel out.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentError } from '../../../agent/base/errors.ts';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { type AgentRun, agentRun } from './agent-run.ts';
import type { BareInference } from './bare-inference.ts';
import { bareCapture, concatenate, cutClip, framesPerSecond, type Input, record } from './gstreamer.ts';
import { benchmarkLive, INFERENCES_PER_S, type LiveReport } from './live.ts';
import { costOf } from './measure.ts';
import { type PeerReport, runPeer } from './peer.ts';
import { v8Work } from './v8-work.ts';

/**
 * Goals:
 * - What vision may add to the floor, without the pictures' clean plate, which no floor has.
 * - The cost of the clean plate, in CPU-ms a frame at 5 frames a second.
 * - The memory of both processes.
 * - V8's work in vision besides running it.
 */
export const GOALS = {
  ratioMax: 1.15,
  /** Ratio of vision, including the clean plate, to the Python program. */
  peerRatioMax: 1.15,
  agentMsMax: 0.35,
  cleanPlateMsMax: 1,
  rssMiBMax: 260,
  compilationsMax: 10,
  deoptimisationsMax: 5,
  garbageKbMax: 100,
  /** Ratio of vision and agent to the Python program, on a live camera. */
  liveRatioMax: { busy: 1.15, quiet: 0.5 },
  livePssMiBMax: 200,
} as const;

export interface BenchmarkOptions {
  readonly clip: string;
  /** Number of times that the clip is played in a row. */
  readonly passes: number;
  readonly warmFrames: number;
  readonly rounds: number;
  readonly model: string;
  readonly input: Input;
  /** True if a plain Python program runs in turn with both. */
  readonly peer: boolean;
  /** Seconds of each program on a live camera; 0 for none. */
  readonly liveS: number;
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
  /** `cleanPlateMs`: of the stage `plate`, for a frame of a box whose detector runs five times a second. */
  readonly vision: {
    readonly stages: Stages;
    readonly total: number;
    readonly cleanPlateMs: number;
    readonly each: readonly number[];
  };
  /** A plain Python program with the same model: CPU-ms per frame, and its versions. */
  readonly peer?: PeerReport | undefined;
  /** Results on a live camera, by film; empty if not requested. */
  readonly live: readonly LiveReport[];
  readonly agent: { readonly total: number; readonly each: readonly number[] };
  readonly events: number;
  /** Wall-ms per frame: the halves of the floor in sequence, and the agent. */
  readonly wallMs: { readonly capture: number; readonly detect: number; readonly agent: number };
  /** Highest of all rounds, by process. */
  readonly rssPeakMiB: Readonly<Record<string, number>>;
  /** V8's work in vision, after the warm frames. It is not measured in the rounds, which run without a trace. */
  readonly v8: V8PerFrames;
  /** Medians of two ratios to the floor: vision without the clean plate, and vision and agent together. */
  readonly ratio: { readonly vision: number; readonly both: number };
  readonly goals: {
    readonly ratio: boolean;
    /** Undefined if it did not run. */
    readonly peer: boolean | undefined;
    readonly agent: boolean;
    readonly plate: boolean;
    readonly rss: boolean;
    readonly v8: boolean;
  };
}

/** V8's work in vision for 1,000 frames, and the memory of a frame on its heap. */
export interface V8PerFrames {
  readonly compilations: number;
  readonly deoptimisations: number;
  readonly garbageKbPerFrame: number;
}

interface Rounds {
  readonly floors: readonly FloorRound[];
  readonly agents: readonly AgentRound[];
  readonly peers: readonly PeerReport[];
  readonly v8: V8PerFrames;
  readonly live: readonly LiveReport[];
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
  readonly fullClip: string;
  readonly warm: string;
  readonly recording: string;
  readonly frames: number;
  /** Frames a second of the clip. */
  readonly clipFps: number;
}

/** @throws AgentError `config` (clip too short), `unavailable` (a part of it fails) */
export async function benchmark(options: BenchmarkOptions): Promise<Report> {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-bench-'));
  try {
    const material = await prepare(options, dir);
    const modelFile = modelFileOf(options.model);
    const floors: FloorRound[] = [];
    const agents: AgentRound[] = [];
    const peers: PeerReport[] = [];
    for (let round = 1; round <= options.rounds; round += 1) {
      options.say(`round ${round} of ${options.rounds}: floor`);
      floors.push(await floorRound(options, material));
      options.say(`round ${round} of ${options.rounds}: agent`);
      agents.push(await agentRound(options, material, dir));
      if (!options.peer) continue;
      options.say(`round ${round} of ${options.rounds}: peer`);
      peers.push(await runPeer({ ...options, ...material, modelFile }));
    }
    options.say('what V8 does');
    const v8 = await v8PerFrames(options, material, dir);
    const { liveS } = options;
    const live = liveS > 0 ? await benchmarkLive({ ...options, modelFile, seconds: liveS }) : [];
    return summarise(options, material, { floors, agents, peers, v8, live });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function prepare(options: BenchmarkOptions, dir: string): Promise<Material> {
  const { clip, passes, input, warmFrames } = options;
  options.say('recording frames');
  const fullClip = join(dir, 'whole.mkv');
  await concatenate(Array<string>(passes).fill(clip), fullClip);
  const warm = join(dir, 'warm.mkv');
  await cutClip(fullClip, warmFrames, warm);
  const recording = join(dir, 'frames.rgb');
  const frames = await record(fullClip, input, recording);
  if (frames < 2 * warmFrames) {
    throw new AgentError(
      'config',
      `${clip}: ${frames} frames in ${passes} passes are too few; ${2 * warmFrames} are needed`,
    );
  }
  return { fullClip, warm, recording, frames, clipFps: await framesPerSecond(clip) };
}

async function floorRound(options: BenchmarkOptions, material: Material): Promise<FloorRound> {
  const { input, warmFrames } = options;
  const counted = material.frames - warmFrames;
  const warm = await bareCapture(material.warm, input);
  const fullRun = await bareCapture(material.fullClip, input);
  const { bare, rssPeakMiB } = await runBareInference(options, material);
  return {
    stages: { capture: (fullRun.cpuMs - warm.cpuMs) / counted, detect: bare.cpuMs / counted },
    wallMs: { capture: (fullRun.wallMs - warm.wallMs) / counted, detect: bare.wallMs / counted },
    rssPeakMiB: { ...fullRun.rssPeakMiB, ...rssPeakMiB },
  };
}

async function runBareInference(options: BenchmarkOptions, { recording, frames }: Material) {
  const { model, input, warmFrames } = options;
  const file = modelFileOf(model);
  const program = join(packageRoot(), 'dist', 'scripts', 'workshop', 'bench', 'main.js');
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

function modelFileOf(model: string): string {
  const card = JSON.parse(readFileSync(join(packageRoot(), 'models', `${model}.json`), 'utf8')) as {
    file: string;
  };
  return join(packageRoot(), 'models', card.file);
}

async function agentRound(options: BenchmarkOptions, material: Material, dir: string): Promise<AgentRound> {
  const { model, input, warmFrames } = options;
  const warm = await agentRun(material.warm, dir, model, input);
  const fullRun = await agentRun(material.fullClip, dir, model, input);
  if (warm.frames !== warmFrames || fullRun.frames !== material.frames) {
    throw new AgentError(
      'bug',
      `the agent analysed ${warm.frames} and ${fullRun.frames} frames, the floor ${warmFrames} and ${material.frames}`,
    );
  }
  const perFrame = (pick: (run: AgentRun) => number): number =>
    (pick(fullRun) - pick(warm)) / (material.frames - warmFrames);
  const vision = perFrame(({ cpuMs }) => cpuMs.vision);
  const names = Object.keys(fullRun.stagesMs);
  const stages = names.map((stage) => [stage, perFrame((run) => run.stagesMs[stage] ?? 0)] as const);
  return {
    stages: Object.fromEntries(stages),
    vision,
    agent: perFrame(({ cpuMs }) => cpuMs.agent),
    wallMs: perFrame(({ wallMs }) => wallMs),
    events: fullRun.events,
    rssPeakMiB: fullRun.rssPeakMiB,
  };
}

async function v8PerFrames(
  { model, input, warmFrames }: BenchmarkOptions,
  { fullClip, frames }: Material,
  dir: string,
): Promise<V8PerFrames> {
  const work = await v8Work(fullClip, dir, { model, input, warmRatio: warmFrames / frames });
  const counted = frames - warmFrames;
  return {
    compilations: (work.compilations / counted) * 1000,
    deoptimisations: (work.deoptimisations / counted) * 1000,
    garbageKbPerFrame: work.allocatedBytes / counted / 1000,
  };
}

function summarise(
  options: BenchmarkOptions,
  { frames, clipFps }: Pick<Material, 'frames' | 'clipFps'>,
  { floors, agents, peers, v8, live }: Rounds,
): Report {
  const { clip, warmFrames, rounds, model, input } = options;
  const floorEach = floors.map(({ stages }) => stages.capture + stages.detect);
  const visionEach = agents.map(({ vision }) => vision);
  const cleanPlates = agents.map(({ stages }) => stages['plate'] ?? 0);
  // Planes come once a second: on the clip for one of `clipFps` frames, on a box for every fifth.
  const cleanPlateMs = median(cleanPlates) * (clipFps / INFERENCES_PER_S);
  const agentEach = agents.map(({ agent }) => agent);
  const floor = median(floorEach);
  const ratio = {
    vision: median(agents.map(({ vision }, i) => vision - (cleanPlates[i] ?? 0))) / floor,
    both: median(agents.map(({ vision, agent }) => vision + agent)) / floor,
  };
  const peer = peers[peers.map(({ cpuMs }) => cpuMs).indexOf(middle(peers.map(({ cpuMs }) => cpuMs)))];
  const rssPeakMiB = highest([...floors, ...agents].map((round) => round.rssPeakMiB));
  const residentMiB = (rssPeakMiB['vision'] ?? 0) + (rssPeakMiB['agent'] ?? 0);
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
      cleanPlateMs,
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
    v8,
    ratio,
    peer,
    live,
    goals: {
      ratio: ratio.vision <= GOALS.ratioMax,
      peer: peer && median(visionEach) / peer.cpuMs <= GOALS.peerRatioMax,
      agent: median(agentEach) <= GOALS.agentMsMax,
      plate: cleanPlateMs <= GOALS.cleanPlateMsMax,
      rss: residentMiB > 0 && residentMiB <= GOALS.rssMiBMax,
      v8:
        v8.compilations <= GOALS.compilationsMax &&
        v8.deoptimisations <= GOALS.deoptimisationsMax &&
        v8.garbageKbPerFrame <= GOALS.garbageKbMax,
    },
  };
}

/** Returns the middle value; of an even number the lower of the middle two, which was really measured. */
function middle(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[(values.length - 1) >> 1] ?? Number.NaN;
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
  const peaks: Record<string, number> = {};
  for (const [name, value] of rounds.flatMap((round) => Object.entries(round))) {
    peaks[name] = Math.max(peaks[name] ?? 0, value);
  }
  return peaks;
}
