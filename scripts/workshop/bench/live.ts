/**
 * Measures the agent and a plain Python program on the same live camera, in sequence: a film at 1920 × 1080 and 25
 * frames a second, served by RTSP. CPU time and memory are those of the processes after their first minute.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError } from '../../../agent/base/errors.ts';
import { getLocal } from '../../../agent/base/local-http.ts';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { type LocalStatus, STATUS_PATH } from '../../../agent/contract/local-status.ts';
import { type LiveBox, type LiveBoxOptions, withLiveBox } from '../soak/live-box.ts';
import { FilmCamera } from './film-camera.ts';
import {
  busyFilm,
  concatenate,
  cutClip,
  durationS,
  type Input,
  quietFilm,
  secondStream,
} from './gstreamer.ts';
import { costOf } from './measure.ts';

/** Detector runs a second. */
export const INFERENCES_PER_S = 5;
const CAMERA_FPS = 25;
/**
 * Warm-up time, after which a box has used its saved budget for a quick street (schedule/inference-budget.ts), and hot code
 * is compiled.
 */
const WARM_S = 90;
/** Extra length of a film, s. A film outlasts a run, because its end would mean another opening. */
const MARGIN_S = 40;
/**
 * Structure of the quiet film's beginning, in frames: repeated motion until the second stream is trusted
 * (second-view.ts).
 */
const BEGINNINGS = { count: 21, still: 70, moving: 20 };
/** getconf CLK_TCK of Linux. */
const TICKS_PER_S = 100;

export const FILMS = ['busy', 'quiet'] as const;

export interface LiveOptions {
  readonly clip: string;
  readonly modelFile: string;
  readonly input: Input;
  /** Measured time of each program. */
  readonly seconds: number;
  say(line: string): void;
}

/** Cost of one program on one film. */
export interface LiveCost {
  /** CPU time as a percentage of one core. */
  readonly cpuPercent: number;
  /** Proportional set size of all its processes together, MiB; null if only root may read it. */
  readonly pssMiB: number | null;
  readonly looksPerS: number;
}

export type AgentCost = LiveCost & { readonly visionPercent: number; readonly agentPercent: number };

export interface LiveReport {
  readonly film: (typeof FILMS)[number];
  readonly vigie: AgentCost;
  /** Cost with the camera's second stream, which wakes vision on a quiet street; undefined on a busy one. */
  readonly withSubstream: AgentCost | undefined;
  readonly peer: LiveCost;
}

/** @throws AgentError `unavailable` (a program, the camera or the broker fails) */
export async function benchmarkLive(options: LiveOptions): Promise<LiveReport[]> {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-bench-live-'));
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort(new AgentError('unavailable', 'interrupted'));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const reports: LiveReport[] = [];
  try {
    for (const film of FILMS) {
      options.say(`${film}: making the film`);
      const camera = await FilmCamera.start(
        ...(await (film === 'busy' ? makeBusy : makeQuiet)(options, dir)),
      );
      const [logFile, { signal }] = [join(dir, 'agent.log'), interrupted];
      const box = { source: camera.url, fps: INFERENCES_PER_S, logFile, signal };
      try {
        options.say(`${film}: agent`);
        const vigie = await runAgent(box, options.seconds);
        if (film === 'quiet') options.say(`${film}: agent, with the second stream`);
        const withSubstream =
          film === 'quiet'
            ? await runAgent({ ...box, substream: camera.substreamUrl }, options.seconds)
            : undefined;
        options.say(`${film}: peer`);
        reports.push({ film, vigie, withSubstream, peer: await runLivePeer(camera.url, options) });
      } finally {
        await camera.stop();
      }
    }
    return reports;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Returns the seconds that a film must last. */
const lengthS = ({ seconds }: LiveOptions): number => WARM_S + seconds + MARGIN_S;

/** Returns the clip once, as a camera sends it; creates it if missing. */
async function busyOnce(clip: string, dir: string): Promise<{ file: string; lastsS: number }> {
  const file = join(dir, 'busy-once.mkv');
  return { file, lastsS: await (existsSync(file) ? durationS(file) : busyFilm(clip, file)) };
}

/** Makes the main stream. */
async function makeBusy(options: LiveOptions, dir: string): Promise<string[]> {
  const main = join(dir, 'busy.mkv');
  const busyClip = await busyOnce(options.clip, dir);
  await concatenate(Array<string>(Math.ceil(lengthS(options) / busyClip.lastsS)).fill(busyClip.file), main);
  return [main];
}

/** Makes the main stream and the second stream. */
async function makeQuiet(options: LiveOptions, dir: string): Promise<string[]> {
  const [main, second] = [join(dir, 'quiet.mkv'), join(dir, 'quiet-second.mkv')];
  const [quiet, still, moving] = ['quiet-once.mkv', 'still.mkv', 'moving.mkv'].map((name) =>
    join(dir, name),
  ) as [string, string, string];
  const quietS = await quietFilm(options.clip, quiet);
  await cutClip(quiet, BEGINNINGS.still, still);
  await cutClip((await busyOnce(options.clip, dir)).file, BEGINNINGS.moving, moving);
  const beginnings = Array.from({ length: BEGINNINGS.count }, () => [still, moving]).flat();
  await concatenate(
    [...beginnings, ...Array<string>(Math.ceil(lengthS(options) / quietS)).fill(quiet)],
    main,
  );
  await secondStream(main, second);
  return [main, second];
}

/** CPU time and detector runs up to a moment. */
interface Spent {
  readonly wallMs: number;
  readonly visionPid: number;
  readonly visionS: number;
  readonly agentS: number;
  readonly inferences: number;
}

function runAgent(options: LiveBoxOptions, seconds: number): Promise<AgentCost> {
  return withLiveBox(options, async (box) => {
    const over = AbortSignal.any([box.broken, options.signal]);
    const wait = async (s: number): Promise<void> => {
      await sleep(s * 1000, undefined, { signal: over }).catch(() => {
        throw over.reason;
      });
    };
    await wait(WARM_S);
    const from = await spentBy(box);
    await wait(seconds);
    const to = await spentBy(box);
    if (from.visionPid !== to.visionPid) throw new AgentError('unavailable', 'vision restarted');
    const wallS = (to.wallMs - from.wallMs) / 1000;
    const visionPercent = ((to.visionS - from.visionS) / wallS) * 100;
    const agentPercent = ((to.agentS - from.agentS) / wallS) * 100;
    return {
      visionPercent,
      agentPercent,
      cpuPercent: visionPercent + agentPercent,
      pssMiB: pssMiB([to.visionPid, box.agentPid]),
      looksPerS: (to.inferences - from.inferences) / wallS,
    };
  });
}

async function spentBy({ socket, agentPid }: LiveBox): Promise<Spent> {
  const { report } = JSON.parse(await getLocal(socket, STATUS_PATH)) as LocalStatus;
  const visionPid = report.processes.vision?.pid;
  const skippedFrames = report.counters['frames_held'];
  if (visionPid === undefined || skippedFrames === undefined)
    throw new AgentError('unavailable', 'vision does not run');
  return {
    wallMs: performance.now(),
    visionPid,
    visionS: cpuS(visionPid),
    agentS: cpuS(agentPid),
    inferences: report.frames.analysed - skippedFrames,
  };
}

/** Returns the user and system time of a process (proc_pid_stat(5), fields 14 and 15). */
function cpuS(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
}

/** Null if the kernel admits only root: vision's own user cannot inspect it. */
function pssMiB(pids: readonly number[]): number | null {
  try {
    const each = pids.map((pid) => readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
    return each.reduce((sum, text) => sum + Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1]) / 1024, 0);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EACCES') return null;
    throw error;
  }
}

async function runLivePeer(url: string, { modelFile, input, seconds }: LiveOptions): Promise<LiveCost> {
  const program = join(packageRoot(), 'scripts', 'workshop', 'bench', 'peer.py');
  const every = String(CAMERA_FPS / INFERENCES_PER_S);
  const places = [url, modelFile, ...input.map(String)];
  const { stdout } = await costOf(
    ['/usr/bin/python3', program, '--live', ...places, every, String(WARM_S), String(seconds)],
    () => undefined,
  );
  const result = JSON.parse(stdout) as { cpuS: number; wallS: number; looks: number; pssKiB: number };
  return {
    cpuPercent: (result.cpuS / result.wallS) * 100,
    pssMiB: result.pssKiB / 1024,
    looksPerS: result.looks / result.wallS,
  };
}
