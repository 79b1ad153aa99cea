/**
 * `evaluate tracks`: measures HOTA, MOTA and IDF1 of people on ground truth, through the real camera, detector and
 * tracker. It writes the tracks as MOTChallenge files for other scorers.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../agent/base/clock.ts';
import { AgentError } from '../../../agent/base/errors.ts';
import { makeLogger } from '../../../agent/base/log.ts';
import { modelsDir, packageRoot } from '../../../agent/base/package-root.ts';
import type { Frame, Track } from '../../../agent/contract/picture.ts';
import { Camera } from '../../../agent/vision/camera/camera.ts';
import { Detector } from '../../../agent/vision/detect/detector.ts';
import { Tracker } from '../../../agent/vision/track/tracker.ts';
import { type ClearMot, clearMot } from './clearmot.ts';
import { type Hota, hota } from './hota.ts';
import { idf1 } from './identity.ts';
import { formatMot, type MotRow, pairUp, parseMot } from './mot.ts';

/** A clip with its ground truth; `every` 2 analyses only each second frame, at the clip's own times. */
export interface TrackSequence {
  readonly name: string;
  readonly clip: string;
  readonly truth: string;
  readonly every: number;
}

export interface TrackEvaluationOptions {
  readonly model: string;
  readonly input: readonly [number, number];
  readonly sequences: readonly TrackSequence[];
  /** Folder for `<name>.txt` of each sequence. */
  readonly outDir: string;
  say(line: string): void;
}

export interface TrackMetrics extends Hota, ClearMot {
  readonly name: string;
  readonly frames: number;
  readonly idf1: number;
  /** Wall time of one update of the tracker, ms, median. */
  readonly msPerFrame: number;
}

/**
 * Longest absence after which a track is written at its predicted place: the object is still there, and only its box
 * flickered.
 */
const FLICKER_MS = 300;

export function knownTrackSequences(dataDir: string): TrackSequence[] {
  const pets = {
    clip: join(packageRoot(), '.cache', 'vtest.avi'),
    truth: join(dataDir, 'gt', 'pets09-s2l1.txt'),
  };
  const tud = {
    clip: join(dataDir, 'clips', 'tud-stadtmitte.mp4'),
    truth: join(dataDir, 'gt', 'tud-stadtmitte.txt'),
  };
  return [
    { name: 'PETS09-S2L1', ...pets, every: 1 },
    { name: 'TUD-Stadtmitte', ...tud, every: 1 },
    { name: 'PETS09-S2L1-half-rate', ...pets, every: 2 },
  ];
}

/** @throws AgentError `config` if no sequence exists, `corrupt` if the ground truth cannot be read */
export async function evaluateTracks(options: TrackEvaluationOptions): Promise<TrackMetrics[]> {
  const { sequences, outDir, say } = options;
  mkdirSync(outDir, { recursive: true });
  const metrics: TrackMetrics[] = [];
  for (const sequence of sequences) {
    const absent = [sequence.clip, sequence.truth].find((path) => !existsSync(path));
    if (absent === undefined) metrics.push(await evaluateSequence(sequence, options));
    else
      say(`skipped ${sequence.name}: ${absent} is absent (VIGIE_DATA names the folder with clips/ and gt/)`);
  }
  if (metrics.length > 0) return metrics;
  throw new AgentError('config', 'nothing to evaluate: no clip with ground truth was found');
}

async function evaluateSequence(
  sequence: TrackSequence,
  options: TrackEvaluationOptions,
): Promise<TrackMetrics> {
  const { name, truth, every } = sequence;
  options.say(`${name} at ${options.input.join('x')}`);
  const truthRows = parseMot(readFileSync(truth, 'utf8'), truth)
    .filter(({ frame }) => (frame - 1) % every === 0)
    .map((row) => ({ ...row, frame: 1 + (row.frame - 1) / every }));
  const { rows, frames, msPerFrame } = await follow(sequence, options);
  writeFileSync(join(options.outDir, `${name}.txt`), formatMot(rows));
  const paired = pairUp(truthRows, rows, frames);
  return { name, frames, msPerFrame, idf1: idf1(paired), ...hota(paired), ...clearMot(paired) };
}

interface FollowedClip {
  readonly rows: readonly MotRow[];
  readonly frames: number;
  readonly msPerFrame: number;
}

async function follow(
  { clip, every }: TrackSequence,
  options: TrackEvaluationOptions,
): Promise<FollowedClip> {
  const [widthPx, heightPx] = options.input;
  const log = makeLogger('evaluate', 'warn');
  const detector = new Detector({
    config: { model: options.model, input: [widthPx, heightPx], backend: 'onnxruntime', providers: ['cpu'] },
    modelDir: modelsDir(),
    clock: systemClock,
    log,
  });
  const camera = new Camera({
    source: `file:${clip}`,
    fps: null,
    input: { widthPx, heightPx },
    masks: [],
    mode: 'replay',
    clock: systemClock,
    log,
    onOpened: () => undefined,
    onLost: ({ reason }) => log.warn({ reason }, 'clip lost'),
  });
  const tracker = new Tracker();
  const rows: MotRow[] = [];
  const spentMs: number[] = [];
  try {
    await detector.start();
    await camera.start();
    for (let frame = await camera.next(); frame !== null; frame = await camera.next()) {
      if ((frame.index - 1) % every !== 0) continue;
      const detections = await detector.detect(frame);
      const fromMs = performance.now();
      const tracks = tracker.update(frame, detections);
      spentMs.push(performance.now() - fromMs);
      rows.push(...rowsOf(tracks, frame, spentMs.length));
    }
  } finally {
    await camera.stop();
    await detector.stop();
  }
  return { rows, frames: spentMs.length, msPerFrame: median(spentMs) };
}

/** Returns the people of a frame, clipped to it, as the box reports them. */
function rowsOf(tracks: readonly Track[], { atMs, source }: Frame, number: number): MotRow[] {
  return tracks
    .filter(({ group, lastMs }) => group === 'person' && atMs - lastMs <= FLICKER_MS)
    .map(({ id, score, xyxyPx: [x1, y1, x2, y2] }) => ({
      frame: number,
      id,
      xyxyPx: [
        Math.max(0, x1),
        Math.max(0, y1),
        Math.min(source.widthPx, x2),
        Math.min(source.heightPx, y2),
      ] as const,
      conf: score,
    }));
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

export function tracksTable(metrics: readonly TrackMetrics[]): string {
  const percent = (ratio: number): string => (100 * ratio).toFixed(1);
  const head =
    '| sequence | frames | HOTA | DetA | AssA | MOTA | IDF1 | ID switches | precision | recall | tracker ms a frame |';
  const rows = metrics.map((one) =>
    [
      '',
      one.name,
      one.frames,
      percent(one.hota),
      percent(one.detection),
      percent(one.association),
      percent(one.mota),
      percent(one.idf1),
      one.switches,
      percent(one.precision),
      percent(one.recall),
      one.msPerFrame.toFixed(3),
      '',
    ]
      .join(' | ')
      .trim(),
  );
  return [head, head.replaceAll(/[^|]+/g, ' --- '), ...rows].join('\n');
}
