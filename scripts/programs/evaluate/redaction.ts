/**
 * `evaluate redaction`: which share of the area of people is covered in published snapshots, by what, and what it
 * costs. Real clips go through GStreamer, the real detector, the tracker, the background and the redactor; the
 * JPEGs are read back and held against the ground truth.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { AgentError } from '../../../agent/base/errors.ts';
import { makeLogger } from '../../../agent/base/log.ts';
import { packageRoot } from '../../../agent/base/package-root.ts';
import type { SizePx, XyxyPx } from '../../../agent/contract/geometry.ts';
import type { Detection, Foreground, Frame, Track } from '../../../agent/contract/picture.ts';
import type { RedactedJpeg } from '../../../agent/contract/redacted-jpeg.ts';
import { PrivacyMasks } from '../../../agent/vision/camera/mask.ts';
import { givenOut } from '../../../agent/vision/camera/still.ts';
import { Detector } from '../../../agent/vision/detect/detector.ts';
import { MovingCells } from '../../../agent/vision/observe/moving.ts';
import { Redactor } from '../../../agent/vision/redact/redactor.ts';
import { Tracker } from '../../../agent/vision/track/tracker.ts';
import { type MotRow, parseMot } from './mot.ts';

const INPUT: SizePx = { widthPx: 416, heightPx: 256 };
/** Smaller people are not recognisable to begin with. */
const PERSON_HEIGHT_PX_MIN = 40;
const EVERY = 10;

export interface RedactionSequence {
  readonly name: string;
  readonly clip: string;
  /** Without it only what is hidden is told. */
  readonly truth: string | undefined;
  readonly source: SizePx;
  /** Of the recording; the PETS clip is played faster than it was recorded. */
  readonly fps: number;
}

export interface RedactionOptions {
  /** Analyses no more frames than this. */
  readonly framesMax?: number;
  /** Where the snapshots are written, to be looked at. */
  readonly stillsDir?: string | undefined;
  say(line: string): void;
}

/** In pixels; those that were of one colour with their block before are in none of them. */
interface Covered {
  /** Of people, covered. */
  persons: number;
  /** Of all pictures, covered. */
  hidden: number;
}

/**
 * By what: the detections of the still's own frame; and boxes kept for 2 s, and the tracker's; and what moves, as
 * published. And by what moves alone, as if the detector saw nobody.
 */
const PARTS = ['detections', 'kept', 'moving', 'alone'] as const;
type Part = (typeof PARTS)[number];

export interface RedactionFigures {
  readonly name: string;
  readonly snapshots: number;
  readonly persons: number;
  readonly personPixels: number;
  /** Of people, but of one colour with their block even without redaction: not counted. */
  readonly flatPersonPixels: number;
  readonly pixels: number;
  readonly covered: Readonly<Record<Part, Covered>>;
  /** Medians, wall time. */
  readonly msPerSnapshot: number;
  readonly msPerFrame: number;
}

export function knownRedactionSequences(dataDir: string): RedactionSequence[] {
  return [
    {
      name: 'PETS09-S2L1',
      clip: join(packageRoot(), '.cache', 'vtest.avi'),
      truth: join(dataDir, 'gt', 'pets09-s2l1.txt'),
      source: { widthPx: 768, heightPx: 576 },
      fps: 7,
    },
    {
      name: 'TUD-Stadtmitte',
      clip: join(dataDir, 'clips', 'tud-stadtmitte.mp4'),
      truth: join(dataDir, 'gt', 'tud-stadtmitte.txt'),
      source: { widthPx: 640, heightPx: 480 },
      fps: 25,
    },
  ];
}

/** @throws AgentError `config` when no sequence is there, `corrupt` where the ground truth cannot be read */
export async function evaluateRedaction(
  sequences: readonly RedactionSequence[],
  options: RedactionOptions,
): Promise<RedactionFigures[]> {
  const figures: RedactionFigures[] = [];
  for (const sequence of sequences) {
    const absent = [sequence.clip, sequence.truth].find((path) => path !== undefined && !existsSync(path));
    if (absent === undefined) figures.push(await measureRedaction(sequence, options));
    else
      options.say(
        `skipped ${sequence.name}: ${absent} is absent (VIGIE_DATA names the folder with clips/ and gt/)`,
      );
  }
  if (figures.length > 0) return figures;
  throw new AgentError('config', 'nothing to evaluate: no clip with ground truth was found');
}

export async function measureRedaction(
  sequence: RedactionSequence,
  { framesMax = Number.POSITIVE_INFINITY, stillsDir, say }: RedactionOptions,
): Promise<RedactionFigures> {
  const { name, clip, truth, source, fps } = sequence;
  const detector = await startedDetector();
  const box = new Box();
  const rows = truth === undefined ? [] : parseMot(readFileSync(truth, 'utf8'), truth);
  const sum = new Sum(name);
  if (stillsDir !== undefined) mkdirSync(stillsDir, { recursive: true });
  const inputs = framesOf(clip, INPUT);
  const stills = framesOf(clip, source);
  try {
    for (let index = 1; index <= framesMax; index += 1) {
      const [small, full] = [await inputs.next(), await stills.next()];
      if (small.done === true || full.done === true) break;
      if (process.stderr.isTTY) say(`${name}: frame ${index}`);
      const atMs = ((index - 1) * 1000) / fps;
      const frame: Frame = { index, ptsNs: 0n, atMs, wallMs: 0, source, input: INPUT, rgb: small.value };
      box.take(frame, await detector.detect(frame));
      if (index % EVERY !== 0) continue;
      const raw = { width: source.widthPx, height: source.heightPx, channels: 3 } as const;
      const jpeg = await sharp(full.value, { raw }).jpeg({ quality: 90 }).toBuffer();
      const made = await box.snapshots(frame, jpeg);
      const plain = await sharp(jpeg).jpeg({ quality: 80, chromaSubsampling: '4:4:4' }).toBuffer();
      await sum.add(peopleIn(rows, index, source), source, plain, made);
      if (stillsDir !== undefined) {
        writeFileSync(join(stillsDir, `${name}-${String(index).padStart(4, '0')}.jpg`), made.moving.bytes);
      }
    }
  } finally {
    await inputs.return(undefined);
    await stills.return(undefined);
    await detector.stop();
  }
  return sum.figures(median(box.snapshotMs), median(box.frameMs));
}

async function startedDetector(): Promise<Detector> {
  const config = { model: 'nanodet-g-city10', input: [416, 256] as [number, number], providers: ['cpu'] };
  const log = makeLogger('evaluate', 'warn');
  const detector = new Detector({ config, modelDir: join(packageRoot(), 'models'), log });
  await detector.start();
  return detector;
}

/** The stages behind the detector, and redactors that know less, to tell what each part is worth. */
class Box {
  readonly snapshotMs: number[] = [];
  readonly frameMs: number[] = [];
  readonly #tracker = new Tracker();
  readonly #cells = new MovingCells();
  readonly #kept = new Redactor();
  readonly #all = new Redactor();
  readonly #blind = new Redactor();
  #last: { found: readonly Detection[]; tracks: readonly Track[]; foreground: Foreground } | undefined;

  take(frame: Frame, found: readonly Detection[]): void {
    const tracks = this.#tracker.update(frame, found);
    const beganMs = performance.now();
    const foreground = this.#cells.update(frame);
    this.frameMs.push(performance.now() - beganMs);
    this.#kept.remember(frame, found, tracks);
    this.#all.remember(frame, found, tracks, foreground);
    this.#blind.remember(frame, [], [], foreground);
    this.#last = { found, tracks, foreground };
  }

  async snapshots(frame: Frame, jpeg: Uint8Array): Promise<Record<Part, RedactedJpeg>> {
    const { ptsNs, atMs, source } = frame;
    const still = givenOut({ ptsNs, atMs, source, jpeg }, new PrivacyMasks([]));
    const own = new Redactor();
    own.remember(frame, this.#last?.found ?? [], []);
    const detections = await own.redact(still, []);
    const kept = await this.#kept.redact(still, []);
    const beganMs = performance.now();
    const moving = await this.#all.redact(still, []);
    this.snapshotMs.push(performance.now() - beganMs);
    return { detections, kept, moving, alone: await this.#blind.redact(still, []) };
  }
}

class Sum {
  readonly #name: string;
  readonly #covered: Record<Part, Covered> = {
    detections: { persons: 0, hidden: 0 },
    kept: { persons: 0, hidden: 0 },
    moving: { persons: 0, hidden: 0 },
    alone: { persons: 0, hidden: 0 },
  };
  #counts = { snapshots: 0, persons: 0, personPixels: 0, flatPersonPixels: 0, pixels: 0 };

  constructor(name: string) {
    this.#name = name;
  }

  async add(
    people: readonly XyxyPx[],
    { widthPx, heightPx }: SizePx,
    plain: Uint8Array,
    made: Readonly<Record<Part, RedactedJpeg>>,
  ): Promise<void> {
    const before = await flatPixels(plain);
    const person = new Uint8Array(widthPx * heightPx);
    for (const [x1, y1, x2, y2] of people) {
      for (let y = y1; y < y2; y += 1) person.fill(1, y * widthPx + x1, y * widthPx + x2);
    }
    const counts = this.#counts;
    counts.snapshots += 1;
    counts.persons += people.length;
    counts.pixels += person.length;
    for (let at = 0; at < person.length; at += 1) {
      if (person[at] === 0) continue;
      if (before[at] === 1) counts.flatPersonPixels += 1;
      else counts.personPixels += 1;
    }
    for (const part of PARTS) {
      const flat = await flatPixels(made[part].bytes);
      const sum = this.#covered[part];
      for (let at = 0; at < flat.length; at += 1) {
        if (flat[at] === 0) continue;
        sum.hidden += 1;
        if (person[at] === 1 && before[at] === 0) sum.persons += 1;
      }
    }
  }

  figures(msPerSnapshot: number, msPerFrame: number): RedactionFigures {
    return { name: this.#name, ...this.#counts, covered: this.#covered, msPerSnapshot, msPerFrame };
  }
}

/** The frames of a clip as GStreamer gives them: RGB of `size`, letterboxed. */
async function* framesOf(clip: string, { widthPx, heightPx }: SizePx): AsyncGenerator<Buffer> {
  const caps = `video/x-raw,format=RGB,pixel-aspect-ratio=1/1,width=${widthPx},height=${heightPx}`;
  const scaled = ['videoconvert', '!', 'videoscale', 'add-borders=true', '!', caps];
  const line = [
    'filesrc',
    `location=${clip}`,
    '!',
    'decodebin',
    '!',
    ...scaled,
    '!',
    'fdsink',
    'fd=1',
    'sync=false',
  ];
  const child = spawn('gst-launch-1.0', ['-q', ...line], { stdio: ['ignore', 'pipe', 'inherit'] });
  const bytes = widthPx * heightPx * 3;
  try {
    let pending: Buffer[] = [];
    let length = 0;
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      pending.push(chunk);
      length += chunk.length;
      if (length < bytes) continue;
      let all = Buffer.concat(pending);
      for (; all.length >= bytes; all = all.subarray(bytes)) yield Buffer.from(all.subarray(0, bytes));
      pending = [all];
      length = all.length;
    }
  } finally {
    child.kill('SIGKILL');
  }
}

/** The boxes of people who are tall enough, clipped to the picture. */
function peopleIn(rows: readonly MotRow[], frame: number, { widthPx, heightPx }: SizePx): XyxyPx[] {
  return rows
    .filter((row) => row.frame === frame && row.xyxyPx[3] - row.xyxyPx[1] > PERSON_HEIGHT_PX_MIN)
    .map(({ xyxyPx: [x1, y1, x2, y2] }) => [
      Math.max(0, Math.floor(x1)),
      Math.max(0, Math.floor(y1)),
      Math.min(widthPx, Math.ceil(x2)),
      Math.min(heightPx, Math.ceil(y2)),
    ]);
}

/** 1 for the pixels of blocks (8 × 8) that are of one colour: what a redacted place looks like in a snapshot. */
async function flatPixels(jpeg: Uint8Array): Promise<Uint8Array> {
  const { data, info } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true });
  const flat = new Uint8Array(info.width * info.height);
  for (let top = 0; top < info.height; top += 8) {
    for (let left = 0; left < info.width; left += 8) {
      const colour = data.subarray((top * info.width + left) * 3).subarray(0, 3);
      const row = Buffer.concat(Array<Buffer>(8).fill(colour));
      const rows = Array.from({ length: 8 }, (_, y) => (top + y) * info.width + left);
      if (!rows.every((at) => row.compare(data, at * 3, at * 3 + 24) === 0)) continue;
      for (const at of rows) flat.fill(1, at, at + 8);
    }
  }
  return flat;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

export function redactionTable(figures: readonly RedactionFigures[]): string {
  const share = (part: number, whole: number, digits: number): string =>
    whole === 0 ? '–' : `${((100 * part) / whole).toFixed(digits)} %`;
  const cells = ({
    name,
    snapshots,
    persons,
    personPixels,
    pixels,
    covered,
    ...cost
  }: RedactionFigures): string =>
    [
      name,
      snapshots,
      persons,
      personPixels.toLocaleString('en'),
      ...PARTS.map((part) => share(covered[part].persons, personPixels, 3)),
      ...PARTS.map((part) => share(covered[part].hidden, pixels, 1)),
      cost.msPerSnapshot.toFixed(1),
      cost.msPerFrame.toFixed(2),
    ].join(' | ');
  return [
    'People covered, and the whole picture hidden: by the detections of the frame itself; and by boxes that are kept',
    'for 2 s, and those of the tracker; and by moving regions (what is published); and by moving regions alone, as if the',
    'detector saw nobody. Wall times, medians.',
    '',
    '| sequence | snapshots | people | their pixels | detections | + kept | + moving | moving alone | hidden | + kept | + moving | moving alone | ms a snapshot | ms a frame |',
    `| ${Array<string>(14).fill('---').join(' | ')} |`,
    ...figures.map((one) => `| ${cells(one)} |`),
  ].join('\n');
}
