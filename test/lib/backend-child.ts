/**
 * Process that loads a detector's backend and carries out the steps of a task; two ONNX Runtimes in one process abort.
 * Reads a Task from the file in argv[2]; writes an Outcome for each step to the file in argv[3].
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { systemClock } from '../../agent/base/clock.ts';
import { AgentError } from '../../agent/base/errors.ts';
import { makeLogger } from '../../agent/base/log.ts';
import type { DetectorConfig } from '../../agent/contract/config.ts';
import type { Detection } from '../../agent/contract/picture.ts';
import type { RawDetections } from '../../agent/vision/detect/backend.ts';
import { Detector } from '../../agent/vision/detect/detector.ts';
import { loaderOf } from '../../agent/vision/detect/loader.ts';
import type { DetectorInfo, Loader } from '../../agent/vision/detect/loading.ts';

/** One step of a task. A frame is an offset in a file of RGB frames of the input's size, or black. */
export type Step =
  | { readonly do: 'load' }
  | { readonly do: 'run'; readonly frame: number | 'black' | 'too small' | 'too large' }
  /** Returns the features of places too; the outcome has their SHA-256. */
  | { readonly do: 'run features'; readonly frame: number }
  /** Runs through the loader, which notes a failure for the next process. */
  | { readonly do: 'run loader'; readonly frame: number | 'black' }
  /** Detects in a frame as vision does, with features; `larger` gives the frame itself as the larger picture too. */
  | { readonly do: 'detect'; readonly frame: number; readonly larger?: boolean }
  | { readonly do: 'await restart' }
  /** A normal end of vision. */
  | { readonly do: 'end' }
  /** With the run under way that it waits for. */
  | { readonly do: 'release' | 'release during a run' }
  /** Every frame of the file, one after the other. */
  | { readonly do: 'run all' }
  /** The same black frame, again and again. */
  | { readonly do: 'soak'; readonly frames: number };

export interface Task {
  readonly config: DetectorConfig;
  readonly modelDir: string;
  /** Folders of an installed ONNX Runtime, and vision's own folder; none by default. */
  readonly libraryFolders?: readonly string[];
  readonly keptDir?: string;
  readonly frames: string;
  readonly steps: readonly Step[];
}

export interface Detections {
  readonly boxes: readonly number[];
  readonly scores: readonly number[];
  readonly labels: readonly number[];
}

export interface Outcome {
  readonly ms: number;
  readonly info?: DetectorInfo;
  readonly found?: readonly Detections[];
  readonly features?: string;
  readonly detections?: readonly Detection[];
  readonly largerPictureWidthMaxPx?: number;
  /** Memory of the process after a soak. */
  readonly rssMiB?: number;
  readonly error?: { readonly kind: string; readonly message: string };
}

const [, , from = '', to = ''] = process.argv;
const task = JSON.parse(readFileSync(from, 'utf8')) as Task;
const { config, modelDir, libraryFolders, keptDir } = task;
const folders = { modelDir, keptDir, ...(libraryFolders !== undefined && { libraryFolders }) };
const options = { config, ...folders, clock: systemClock, log: makeLogger('test', 'silent') };
const loader = loaderOf(options);
let detector: Detector | undefined;
const [widthPx, heightPx] = config.input;
const length = widthPx * heightPx * 3;
const frames = readFileSync(task.frames);
/** The loaded detector, which is called directly once the loader has released it. */
let loaded: Awaited<ReturnType<Loader['load']>> | undefined;

function frameOf(source: number | 'black' | 'too small' | 'too large'): Uint8Array {
  if (source === 'black') return new Uint8Array(length);
  if (source === 'too small') return new Uint8Array(length - 3);
  if (source === 'too large') return new Uint8Array(length * 4);
  return frames.subarray(source * length, (source + 1) * length);
}

function plain({ boxes, scores, labels }: RawDetections): Detections {
  return { boxes: [...boxes], scores: [...scores], labels: [...labels] };
}

async function run(source: Parameters<typeof frameOf>[0]): Promise<Detections> {
  if (loaded === undefined) throw new Error('no model is loaded');
  return plain(await loaded.backend.run(frameOf(source)));
}

async function detect(frame: number, isLarger: boolean): Promise<Partial<Outcome>> {
  if (detector === undefined) {
    detector = new Detector({ ...options, features: true });
    await detector.start();
  }
  const [rgb, input] = [frameOf(frame), { widthPx, heightPx }];
  const result = await detector.detectWithFeatures({
    index: frame,
    ptsNs: 0n,
    // Features come at most every 500 ms.
    atMs: 1000 * frame,
    wallMs: 0,
    source: input,
    input,
    rgb,
    fine: isLarger ? { size: input, rgb } : undefined,
  });
  const { detections, features } = result;
  return {
    detections,
    largerPictureWidthMaxPx: detector.largerPictureWidthMaxPx,
    ...(features && { features: createHash('sha256').update(features.values).digest('hex') }),
  };
}

async function take(step: Step): Promise<Partial<Outcome>> {
  if (step.do === 'load') {
    loaded = await loader.load();
    return { info: loaded.info };
  }
  if (step.do === 'run') return { found: [await run(step.frame)] };
  if (step.do === 'run loader') return { found: [plain(await loader.run(frameOf(step.frame), {}))] };
  if (step.do === 'detect') return detect(step.frame, step.larger === true);
  if (step.do === 'await restart') {
    while (!loader.mayTryAgain) await systemClock.sleep(50);
    return {};
  }
  if (step.do === 'run features') {
    const result = await loader.run(frameOf(step.frame), { withFeatures: true });
    const { features } = result;
    if (features === undefined) return {};
    return { found: [plain(result)], features: createHash('sha256').update(features).digest('hex') };
  }
  if (step.do === 'end') {
    await loader.release();
    return {};
  }
  if (step.do === 'soak') {
    const black = frameOf('black');
    for (let i = 0; i < step.frames; i += 1) await loaded?.backend.run(black);
    return { rssMiB: process.memoryUsage.rss() / 1_048_576 };
  }
  if (step.do === 'run all') {
    const detections: Detections[] = [];
    for (let i = 0; i < frames.length / length; i += 1) detections.push(await run(i));
    return { found: detections };
  }
  if (step.do === 'release') {
    await loaded?.backend.release();
    return {};
  }
  const order: string[] = [];
  const running = run(0).then((detections) => {
    order.push('found');
    return detections;
  });
  await loaded?.backend.release().then(() => order.push('released'));
  const results = await running;
  if (order[0] !== 'found') throw new Error('it was released while it ran');
  return { found: [results] };
}

const outcomes: Outcome[] = [];
for (const step of task.steps) {
  const beganMs = performance.now();
  let outcome: Partial<Outcome>;
  try {
    outcome = await take(step);
  } catch (error) {
    const kind = error instanceof AgentError ? error.kind : 'none';
    outcome = { error: { kind, message: error instanceof Error ? error.message : String(error) } };
  }
  outcomes.push({ ms: performance.now() - beganMs, ...outcome });
}
writeFileSync(to, JSON.stringify(outcomes));
// An element that hangs would keep the process alive.
if (loader.failed || outcomes.some(({ error }) => error !== undefined)) process.kill(process.pid, 'SIGKILL');
process.exit(0);
