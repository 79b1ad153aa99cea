/**
 * `vigie doctor --benchmark`: measures the performance of this board, as a table that a technician sends back.
 * The picture is generated here and shows no one. With it, the decoder, the detector and the complete processing of a
 * frame are timed, and the board's temperature is read before and after.
 */

import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '../../base/clock.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import { makeLogger } from '../../base/log.ts';
import { modelsDir, programVersion } from '../../base/package-root.ts';
import type { Config } from '../../contract/config.ts';
import { temperatureC } from '../../health/host.ts';
import { permitReplay } from '../../restraint/permit.ts';
import { visionSettings } from '../../supervisor/vision-settings.ts';
import { acceleratorFindings, elementsOf, findAccelerators } from './accelerators.ts';
import type { DetectedBox } from './agreement.ts';
import {
  type Comparison,
  comparisonOf,
  comparisonRows,
  type DetectorRun,
  isAccelerated,
  onCpu,
} from './compare.ts';
import { tryVision, type VisionTrial } from './vision-trial.ts';
import { meanPower, readPower } from './watts.ts';

const run = promisify(execFile);

/** Format of a typical camera's main stream; most send this or less. */
const [WIDTH_PX, HEIGHT_PX, CLIP_FPS] = [1920, 1080, 25];
/** Long enough to make the start of the pipeline (about 0.3 s) negligible. */
const CLIP_FRAMES = 250;
/** Time limit in ms. A slow board without a hardware encoder makes only a few such frames a second. */
const MAKE_WITHIN_MS = 600_000;
/** Throttling by heat or weak power, as reported by the board; most boards lack this file. */
const THROTTLED = '/sys/devices/platform/soc/soc:firmware/get_throttled';

export interface Benchmark {
  readonly board: string;
  readonly soc: string;
  readonly cores: number;
  readonly memoryMiB: number;
  readonly system: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly input: string;
  readonly provider: string | null;
  readonly decoder: string | null;
  readonly decodeFps: number | null;
  readonly inferenceMs: number | null;
  /** Total cost of one analysed frame, from the decoder's picture to the observation. */
  readonly frameMs: number | null;
  readonly frameCpuMs: number | null;
  readonly framesTimed: number;
  readonly rssMiB: number | null;
  readonly temperatureBeforeC: number | null;
  readonly temperatureAfterC: number | null;
  readonly clockMhz: { readonly now: number; readonly max: number } | null;
  readonly throttled: string | null;
  /** Configured detector beside the CPU; null if the board could not be timed frame by frame. */
  readonly comparison: Comparison | null;
  /** Accelerators found, one line each. */
  readonly accelerators: readonly string[];
  /** Missing measurements, with the reason. */
  readonly notes: readonly string[];
}

/**
 * Measures this board. `clip`: a recording for comparing accelerator and CPU, because the generated picture shows no
 * detectable object.
 * @throws AgentError config (no such clip), unavailable (vision did not run)
 */
export async function benchmark(config: Config, seconds: number, clip?: string): Promise<Benchmark> {
  const recorded = clip === undefined ? undefined : `file:${clipPath(clip)}`;
  const dir = mkdtempSync(join(tmpdir(), 'vigie-benchmark-'));
  const notes: string[] = [];
  const temperatureBeforeC = temperatureC();
  try {
    const pattern = join(dir, 'pattern.mkv');
    const clipResult = await makeClip(pattern).catch((error: unknown) => {
      notes.push(`no clip could be made (${messageOf(error).split('\n')[0]}): decoding was not measured`);
      return false;
    });
    const source = clipResult === false ? 'test:pattern' : `file:${pattern}`;
    const detectorRun = await runDetector(config, source, seconds);
    const { trial } = detectorRun;
    const decodeFps = clipResult === false ? null : await decodingRate(pattern, trial, notes);
    const compared = recorded ?? (clipResult === false ? undefined : source);
    const comparison =
      compared === undefined ? null : await compare(config, detectorRun, source, compared, seconds);
    const accelerators = await acceleratorLines();
    const measures = { ...measured(config, trial), decodeFps, temperatureBeforeC, ...heat() };
    return { ...host(), ...measures, comparison, accelerators, notes };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/**
 * Returns the absolute path of a readable file. On a box this process is the agent's user. It may not enter home folders.
 *
 * @throws AgentError config
 */
function clipPath(clip: string): string {
  const path = resolve(clip);
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isFile() === true) {
      accessSync(path, constants.R_OK);
      return path;
    }
  } catch (error) {
    const reason = `user ${userInfo().username} cannot read it (${messageOf(error)})`;
    const fix = `\`sudo install -m 0644 ${clip} /var/tmp/\`, and give that file`;
    throw new AgentError('config', `--clip ${clip}: ${reason}; ${fix}`);
  }
  throw new AgentError('config', `--clip ${clip}: no such file; give a recorded video of a street`);
}

async function acceleratorLines(): Promise<string[]> {
  const accelerators = findAccelerators();
  return acceleratorFindings(accelerators, await elementsOf(accelerators)).map(({ name, detail }) =>
    accelerators.length === 0 ? detail : `${name}: ${detail}`,
  );
}

/**
 * Compares the detectors. `look` ran on `source`. Another clip, and the CPU if it was not used, need runs of their own.
 */
async function compare(
  config: Config,
  detectorRun: DetectorRun,
  source: string,
  compared: string,
  seconds: number,
): Promise<Comparison> {
  const configured = compared === source ? detectorRun : await runDetector(config, compared, seconds);
  if (!isAccelerated(config)) return comparisonOf(configured);
  return comparisonOf(configured, await runDetector(onCpu(config), compared, seconds));
}

/** Generates H.264 as a camera sends it, of a pattern that moves everywhere. */
async function makeClip(file: string): Promise<void> {
  const caps = `video/x-raw,format=I420,width=${WIDTH_PX},height=${HEIGHT_PX},framerate=${CLIP_FPS}/1`;
  const source = `videotestsrc num-buffers=${CLIP_FRAMES} pattern=zone-plate kx2=4 ky2=4 kt=2`;
  const text = `${source} ! ${caps} ! openh264enc bitrate=4000000 gop-size=50 ! h264parse ! matroskamux ! filesink location=${file}`;
  await run('gst-launch-1.0', ['-q', ...text.split(' ')], { timeout: MAKE_WITHIN_MS });
}

/**
 * Runs frame by frame at full speed, because a camera would only cause waiting. On a clip, the detector runs on every
 * frame.
 */
async function runDetector(config: Config, source: string, seconds: number): Promise<DetectorRun> {
  const mode = source.startsWith('file:') ? 'replay' : 'live';
  const permit = permitReplay(config);
  const settings = visionSettings(config, permit, {
    modelDir: modelsDir(),
    mode,
    camera: { source, fps: mode === 'replay' ? null : 5 },
  });
  const boxesByFrame = new Map<number, readonly DetectedBox[]>();
  const running = tryVision({
    permit,
    settings: { ...settings, everyFrame: mode === 'replay', detections: mode === 'replay' },
    clock: systemClock,
    log: makeLogger('doctor', 'silent'),
    watchMs: seconds * 1000,
    onFrame: ({ observation, detections }) => boxesByFrame.set(observation.frame, detections),
  });
  const { result: trial, power } = await meanPower(running, readPower);
  const failure = trial.failed?.message ?? trial.died;
  if (trial.detector === undefined || trial.stats === undefined) {
    throw new AgentError(
      'unavailable',
      `benchmark: vision did not run: ${failure ?? 'no frame came in time'}`,
    );
  }
  return { trial, boxesByFrame, power };
}

/** Measures the decoder alone, with the pictures in ordinary memory and discarded. */
async function decodingRate(clip: string, { stream }: VisionTrial, notes: string[]): Promise<number | null> {
  const decoder = stream?.decoder;
  if (decoder === undefined) return null;
  const text = `filesrc location=${clip} ! matroskademux ! h264parse ! ${decoder} ! fakesink sync=false`;
  const began = performance.now();
  try {
    await run('gst-launch-1.0', ['-q', ...text.split(' ')], { timeout: MAKE_WITHIN_MS });
  } catch (error) {
    notes.push(`decoding alone failed with ${decoder}: ${messageOf(error).split('\n')[0]}`);
    return null;
  }
  return round((CLIP_FRAMES * 1000) / (performance.now() - began));
}

function measured(
  { detector }: Config,
  { detector: loaded, stream, stats }: VisionTrial,
): Pick<
  Benchmark,
  'input' | 'provider' | 'decoder' | 'inferenceMs' | 'frameMs' | 'frameCpuMs' | 'framesTimed' | 'rssMiB'
> {
  const frames = stats?.framesAnalysed ?? 0;
  const each = (total: number | undefined): number | null =>
    total === undefined || frames === 0 ? null : round(total / frames);
  const sum = (of: 'wallMs' | 'cpuMs'): number | undefined =>
    stats && Object.values(stats.stages).reduce((total, stage) => total + stage[of], 0);
  return {
    input: detector.input.join('×'),
    provider: loaded?.provider ?? null,
    decoder: stream?.decoder ?? null,
    inferenceMs: each(stats?.stages['detect']?.wallMs),
    frameMs: each(sum('wallMs')),
    frameCpuMs: each(sum('cpuMs')),
    framesTimed: frames,
    rssMiB: stats === undefined ? null : round(stats.rssPeakMiB),
  };
}

function host(): Pick<Benchmark, 'board' | 'soc' | 'cores' | 'memoryMiB' | 'system' | 'versions'> {
  const firstOf = (...files: string[]): string | undefined =>
    files.map(textOf).find((text) => text !== undefined && text !== '');
  const os = /^PRETTY_NAME="?([^"\n]*)/m.exec(textOf('/etc/os-release') ?? '')?.[1] ?? 'unknown system';
  // The device tree lists the board first, then its chip.
  const compatible = textOf('/proc/device-tree/compatible')?.split('\0').filter(Boolean).at(-1);
  return {
    board: firstOf('/proc/device-tree/model', '/sys/class/dmi/id/product_name') ?? 'unknown board',
    soc: compatible ?? cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryMiB: Math.round(totalmem() / 1_048_576),
    system: `${os}, Linux ${release()}, ${process.arch}`,
    versions: { vigie: programVersion(), node: process.versions.node },
  };
}

function heat(): Pick<Benchmark, 'temperatureAfterC' | 'clockMhz' | 'throttled'> {
  const khz = (name: string): number => Number(textOf(`/sys/devices/system/cpu/cpu0/cpufreq/${name}`) ?? NaN);
  const [now, max] = [khz('scaling_cur_freq') / 1000, khz('cpuinfo_max_freq') / 1000];
  return {
    temperatureAfterC: temperatureC(),
    clockMhz: Number.isFinite(now) && Number.isFinite(max) ? { now: Math.round(now), max } : null,
    throttled: textOf(THROTTLED) ?? null,
  };
}

/** Formats the result for a person, in columns; null means that the board does not report it. */
export function benchmarkText(result: Benchmark): string {
  const { clockMhz, versions, temperatureBeforeC, temperatureAfterC } = result;
  const valueText = (value: number | string | null, unit = ''): string =>
    value === null ? 'unknown' : `${value}${unit}`;
  const rows: [string, string][] = [
    ['board', result.board],
    ['SoC', `${result.soc}, ${result.cores} cores, ${result.memoryMiB} MiB`],
    ['system', result.system],
    [
      'versions',
      Object.entries(versions)
        .map((pair) => pair.join(' '))
        .join(', '),
    ],
    ['decoder', valueText(result.decoder)],
    ['decoding', `${valueText(result.decodeFps, ` frames/s of ${WIDTH_PX}×${HEIGHT_PX} H.264`)}`],
    [
      'inference',
      `${valueText(result.inferenceMs, ' ms')} at ${result.input} on ${valueText(result.provider)}`,
    ],
    [
      'frame',
      `${valueText(result.frameMs, ' ms')}, ${valueText(result.frameCpuMs, ' ms of CPU')} (${result.framesTimed} frames)`,
    ],
    ['memory', valueText(result.rssMiB, ' MiB at most')],
    ['heat', `${valueText(temperatureBeforeC, ' °C')} before, ${valueText(temperatureAfterC, ' °C')} after`],
    ['clock', clockMhz === null ? 'unknown' : `${clockMhz.now} of ${clockMhz.max} MHz`],
    ['throttled', valueText(result.throttled)],
    ...(result.comparison === null ? [] : comparisonRows(result.comparison)),
    ...result.accelerators.map((line): [string, string] => ['found', line]),
    ...result.notes.map((note): [string, string] => ['note', note]),
  ];
  return rows.map(([name, value]) => `${name.padEnd(10)} ${value}`).join('\n');
}

/** Returns the content, or undefined if this board has no such file. */
function textOf(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, 'utf8').replace(/[\0\n]+$/, '') : undefined;
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
