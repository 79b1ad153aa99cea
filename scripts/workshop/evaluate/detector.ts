/**
 * `evaluate detector`: measures average precision and recall on ground truth, through the real camera and the real
 * detector. The pictures are those that GStreamer decodes and letterboxes.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../agent/base/clock.ts';
import { AgentError } from '../../../agent/base/errors.ts';
import { makeLogger } from '../../../agent/base/log.ts';
import { modelsDir, packageRoot } from '../../../agent/base/package-root.ts';
import type { SizePx, XyxyPx } from '../../../agent/contract/geometry.ts';
import { Camera } from '../../../agent/vision/camera/camera.ts';
import { Detector } from '../../../agent/vision/detect/detector.ts';
import { type Accuracy, accuracyOf, type EvaluatedFrame } from './ap.ts';
import type { Degradation } from './degradations.ts';
import { degradedClip } from './degraded-clip.ts';
import { parseMot } from './mot.ts';

export interface DetectorEvaluationOptions {
  readonly model: string;
  /** Width and height of each detector input to evaluate. */
  readonly inputs: readonly (readonly [number, number])[];
  /** Folder with clips/ and gt/. */
  readonly dataDir: string;
  /** Degradation of the picture; undefined for the plain one. */
  readonly copy?: Degradation | undefined;
  say(line: string): void;
}

export interface DetectorMetrics extends Accuracy {
  readonly clip: string;
  readonly model: string;
  readonly input: readonly [number, number];
  readonly frames: number;
  /** Wall time of one detection, ms, mean. */
  readonly msPerFrame: number;
}

interface Sequence {
  readonly name: string;
  readonly clip: string;
  readonly truth: string;
}

/** Overlap with the truth at which a detection counts (usual in PASCAL VOC and MOTChallenge). */
const CRITERIA = { iouMin: 0.5, precisionMin: 0.9 } as const;
/** Every n-th frame is evaluated, because neighbouring frames are nearly the same. */
const EVERY = 5;

function sequencesIn(dataDir: string): Sequence[] {
  return [
    {
      name: 'PETS09-S2L1',
      clip: join(packageRoot(), '.cache', 'vtest.avi'),
      truth: join(dataDir, 'gt', 'pets09-s2l1.txt'),
    },
    {
      name: 'TUD-Stadtmitte',
      clip: join(dataDir, 'clips', 'tud-stadtmitte.mp4'),
      truth: join(dataDir, 'gt', 'tud-stadtmitte.txt'),
    },
  ];
}

/** @throws AgentError `config` if no sequence exists */
export async function evaluateDetector(options: DetectorEvaluationOptions): Promise<DetectorMetrics[]> {
  const metrics: DetectorMetrics[] = [];
  for (const sequence of sequencesIn(options.dataDir)) {
    const absent = [sequence.clip, sequence.truth].find((path) => !existsSync(path));
    if (absent !== undefined) {
      options.say(
        `skipped ${sequence.name}: ${absent} is absent (VIGIE_DATA names the folder with clips/ and gt/)`,
      );
      continue;
    }
    for (const input of options.inputs) metrics.push(await evaluateSequence(sequence, input, options));
  }
  if (metrics.length > 0) return metrics;
  throw new AgentError('config', `${options.dataDir}: contains neither clips nor ground truth`);
}

async function evaluateSequence(
  { name, clip, truth }: Sequence,
  input: readonly [number, number],
  { model, copy, say }: DetectorEvaluationOptions,
): Promise<DetectorMetrics> {
  const title = copy === undefined ? name : `${name}, ${copy.name}`;
  say(`${title} at ${input.join('x')}`);
  const truths = peopleByFrame(truth);
  const log = makeLogger('evaluate', 'warn');
  const detector = new Detector({
    config: { model, input: [...input], backend: 'onnxruntime', providers: ['cpu'] },
    modelDir: modelsDir(),
    clock: systemClock,
    log,
  });
  const shownClip = copy === undefined ? clip : await degradedClip(clip, copy);
  const camera = cameraOf(shownClip, { widthPx: input[0], heightPx: input[1] }, log);
  const evaluatedFrames: EvaluatedFrame[] = [];
  let spentMs = 0;
  try {
    await detector.start();
    await camera.start();
    for (let frame = await camera.next(); frame !== null; frame = await camera.next()) {
      if ((frame.index - 1) % EVERY !== 0) continue;
      const fromMs = performance.now();
      const detections = await detector.detect(frame);
      spentMs += performance.now() - fromMs;
      const people = detections.filter(({ label }) => label === 'person');
      evaluatedFrames.push({ detections: people, ...(truths.get(frame.index) ?? { truth: [] }) });
    }
  } finally {
    await camera.stop();
    await detector.stop();
  }
  const accuracy = accuracyOf(evaluatedFrames, CRITERIA);
  const msPerFrame = spentMs / evaluatedFrames.length;
  return { clip: title, model, input, frames: evaluatedFrames.length, msPerFrame, ...accuracy };
}

function cameraOf(clip: string, input: SizePx, log: ReturnType<typeof makeLogger>): Camera {
  return new Camera({
    source: `file:${clip}`,
    fps: null,
    input,
    masks: [],
    mode: 'replay',
    clock: systemClock,
    log,
    onOpened: () => undefined,
    onLost: ({ reason }) => log.warn({ reason }, 'clip lost'),
  });
}

/**
 * Returns people by frame number. Rows of confidence 0 are people whom the benchmark does not evaluate (MOTChallenge).
 */
function peopleByFrame(path: string): Map<number, { truth: XyxyPx[]; ignored: XyxyPx[] }> {
  const frames = new Map<number, { truth: XyxyPx[]; ignored: XyxyPx[] }>();
  for (const { frame, xyxyPx, conf } of parseMot(readFileSync(path, 'utf8'), path)) {
    const people = frames.get(frame) ?? { truth: [], ignored: [] };
    (conf === 0 ? people.ignored : people.truth).push(xyxyPx);
    frames.set(frame, people);
  }
  return frames;
}

export function detectorTable(metrics: readonly DetectorMetrics[]): string {
  const head =
    '| sequence | input | frames | people | AP@0.5 | recall at precision 0.9 | from score | ms a frame |';
  const rows = metrics.map((one) =>
    [
      '',
      one.clip,
      one.input.join('x'),
      one.frames,
      one.truths,
      one.averagePrecision.toFixed(3),
      one.recallAtPrecision.toFixed(3),
      one.scoreAtPrecision?.toFixed(2) ?? '–',
      one.msPerFrame.toFixed(1),
      '',
    ]
      .join(' | ')
      .trim(),
  );
  return [head, head.replaceAll(/[^|]+/g, ' --- '), ...rows].join('\n');
}
