/**
 * `evaluate redaction`: measures how the area of people is drawn in published pictures, how much of a picture is
 * hidden, and the cost. Real clips go through the camera, the real detector, the tracker, the background and the
 * redactor.
 *
 * That a picture contains nothing of a person does not rely on the redactor's own report. Each picture is made a second
 * time, from a still in which the people of the ground truth are painted over. No hidden pixel may differ.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../agent/base/clock.ts';
import { AgentError } from '../../../agent/base/errors.ts';
import { makeLogger } from '../../../agent/base/log.ts';
import { modelsDir, packageRoot } from '../../../agent/base/package-root.ts';
import type { SizePx, XyxyPx } from '../../../agent/contract/geometry.ts';
import type { Detection, Frame, Still } from '../../../agent/contract/picture.ts';
import { Camera } from '../../../agent/vision/camera/camera.ts';
import { Detector } from '../../../agent/vision/detect/detector.ts';
import { MovingCells } from '../../../agent/vision/observe/moving.ts';
import { CELL_PX, gridOf } from '../../../agent/vision/redact/cells.ts';
import { CleanPlate } from '../../../agent/vision/redact/clean-plate.ts';
import { SHOWN } from '../../../agent/vision/redact/compose.ts';
import { isFigure } from '../../../agent/vision/redact/figures.ts';
import { DetectionHistory } from '../../../agent/vision/redact/history.ts';
import { type DrawnPicture, Redactor } from '../../../agent/vision/redact/redactor.ts';
import { Tracker } from '../../../agent/vision/track/tracker.ts';
import { type MotRow, parseMot } from './mot.ts';

const INPUT: SizePx = { widthPx: 416, heightPx: 256 };
/** Minimum ratio of clean plate in a picture; below it there is no relevant border. */
const SEAM_CLEAN_PLATE_MIN = 0.005;
/** Smaller people are not recognisable in the first place. */
const PERSON_HEIGHT_PX_MIN = 40;
/** Middle part of a person's box that contains only the person. */
const BODY = { width: 0.5, height: 0.9 };

export interface RedactionSequence {
  readonly name: string;
  readonly clip: string;
  /** Ground truth; without it only hidden areas are reported. */
  readonly truth: string | undefined;
  /** Number of times that the clip is played in a row. Only the last pass counts, when the place has been learnt. */
  readonly passes: number;
}

export interface RedactionOptions {
  /** Analyses no more frames of a pass than this. */
  readonly framesMax?: number;
  /** Folder for the pictures, for inspection. */
  readonly stillsDir?: string | undefined;
  say(line: string): void;
}

/** Ways in which a pixel is drawn. */
const PARTS = ['figure', 'plate', 'mosaic', 'coarse', 'live'] as const;
type Part = (typeof PARTS)[number];

export interface RedactionMetrics {
  readonly name: string;
  readonly pictures: number;
  readonly persons: number;
  readonly personPixels: number;
  /** Number of pixels of people, by the way in which they are drawn. */
  readonly by: Readonly<Record<Part, number>>;
  /** Pixels that are not live and differ when the people are painted over; any such pixel is a leak. */
  readonly leaked: number;
  /** Mean ratios of the pictures. */
  readonly cleanPlateRatio: number;
  readonly mosaicShare: number;
  /** Mean difference of brightness between clean plate and adjacent still, in levels. */
  readonly seam: number;
  /**
   * Cells that the clean plate took from a moment at which a person of the ground truth stood there, and all that it
   * took.
   */
  readonly learntFromPeople: number;
  readonly learnt: number;
  /** Medians of wall time, and the maximum of the bytes. */
  readonly msPerPicture: number;
  readonly msPerFrame: number;
  readonly bytesMax: number;
}

export function knownRedactionSequences(dataDir: string): RedactionSequence[] {
  const clips = (name: string): string => join(dataDir, 'clips', name);
  const truth = (name: string): string => join(dataDir, 'gt', name);
  return [
    {
      name: 'PETS09-S2L1',
      clip: join(packageRoot(), '.cache', 'vtest.avi'),
      truth: truth('pets09-s2l1.txt'),
      passes: 3,
    },
    {
      name: 'TUD-Stadtmitte',
      clip: clips('tud-stadtmitte.mp4'),
      truth: truth('tud-stadtmitte.txt'),
      passes: 1,
    },
    { name: 'PETS2006-S1', clip: clips('pets2006-s1-c3.mp4'), truth: undefined, passes: 3 },
  ];
}

/** @throws AgentError `config` if no sequence exists, `corrupt` if the ground truth cannot be read */
export async function evaluateRedaction(
  sequences: readonly RedactionSequence[],
  options: RedactionOptions,
): Promise<RedactionMetrics[]> {
  const metrics: RedactionMetrics[] = [];
  for (const sequence of sequences) {
    const absent = [sequence.clip, sequence.truth].find((path) => path !== undefined && !existsSync(path));
    if (absent === undefined) metrics.push(await measureRedaction(sequence, options));
    else
      options.say(
        `skipped ${sequence.name}: ${absent} is absent (VIGIE_DATA names the folder with clips/ and gt/)`,
      );
  }
  if (metrics.length > 0) return metrics;
  throw new AgentError('config', 'nothing to evaluate: no clip was found');
}

export async function measureRedaction(
  { name, clip, truth, passes }: RedactionSequence,
  { framesMax = Number.POSITIVE_INFINITY, stillsDir, say }: RedactionOptions,
): Promise<RedactionMetrics> {
  const detector = await startedDetector();
  const box = new Box();
  const rows = truth === undefined ? [] : parseMot(readFileSync(truth, 'utf8'), truth);
  let sum = new Sum(name);
  if (stillsDir !== undefined) mkdirSync(stillsDir, { recursive: true });
  let fromMs = 0;
  try {
    for (let pass = 1; pass <= passes; pass += 1) {
      sum = new Sum(name);
      const camera = cameraOf(clip);
      await camera.start();
      let lastMs = 0;
      for (let index = 1; index <= framesMax; index += 1) {
        const read = await camera.next();
        if (read === null) break;
        if (process.stderr.isTTY) say(`${name}: frame ${index}, pass ${pass} of ${passes}`);
        lastMs = read.atMs;
        const frame = { ...read, atMs: read.atMs + fromMs };
        const people = peopleIn(rows, index, frame.source);
        sum.learn(box.take(frame, await detector.detect(frame)), people, frame);
        const still = camera.stillNear(read.atMs);
        if (still?.atMs !== read.atMs) continue;
        const picture = await box.picture({ ...still, atMs: frame.atMs }, people);
        sum.add(picture, people);
        if (stillsDir === undefined || pass < passes) continue;
        writeFileSync(join(stillsDir, `${name}-${String(index).padStart(4, '0')}.jpg`), picture.bytes);
      }
      await camera.stop();
      // The picture jumps between two passes, so they are a second apart.
      fromMs += lastMs + 1000;
    }
  } finally {
    await detector.stop();
  }
  return sum.metrics(median(box.frameMs));
}

function cameraOf(clip: string): Camera {
  return new Camera({
    source: `file:${clip}`,
    fps: null,
    input: INPUT,
    masks: [],
    mode: 'replay',
    clock: systemClock,
    log: makeLogger('evaluate', 'warn'),
    onOpened: () => undefined,
    onLost: () => undefined,
  });
}

async function startedDetector(): Promise<Detector> {
  const config = {
    model: 'nanodet-g-city10',
    input: [416, 256] as [number, number],
    backend: 'onnxruntime' as const,
    providers: ['cpu'],
  };
  const log = makeLogger('evaluate', 'warn');
  const detector = new Detector({ config, modelDir: modelsDir(), clock: systemClock, log });
  await detector.start();
  return detector;
}

interface RedactedPicture {
  readonly drawing: DrawnPicture;
  /** Same picture with the people painted over. */
  readonly painted: DrawnPicture;
  readonly bytes: Uint8Array;
  readonly ms: number;
}

/** Stages behind the detector, with a separate clean plate for inspection. */
class Box {
  readonly frameMs: number[] = [];
  readonly #tracker = new Tracker();
  readonly #cells = new MovingCells();
  readonly #redactor = new Redactor('UTC');
  readonly #history = new DetectionHistory();
  readonly #cleanPlate = new CleanPlate();
  #learntMs: Float64Array | undefined;

  /** Returns the cells that the clean plate has learnt with this frame, by the moment at which they were seen. */
  take(frame: Frame, detections: readonly Detection[]): Map<number, number[]> {
    const tracks = this.#tracker.update(frame, detections);
    const foreground = this.#cells.update(frame);
    const beganMs = performance.now();
    this.#redactor.remember(frame, detections, tracks, foreground);
    this.#redactor.learnPlace(frame.planes);
    this.frameMs.push(performance.now() - beganMs);
    this.#cleanPlate.take(this.#history.add(frame, detections, tracks, foreground), frame.planes);
    const learnt = new Map<number, number[]>();
    const seenMs = this.#cleanPlate.learntScene?.seenMs;
    seenMs?.forEach((ms, cell) => {
      if (ms <= 0 || ms === this.#learntMs?.[cell]) return;
      const cells = learnt.get(ms);
      if (cells === undefined) learnt.set(ms, [cell]);
      else cells.push(cell);
    });
    this.#learntMs = seenMs?.slice();
    return learnt;
  }

  async picture(still: Still, people: readonly XyxyPx[]): Promise<RedactedPicture> {
    const beganMs = performance.now();
    const { bytes } = await this.#redactor.redact(still, { focus: [] });
    const ms = performance.now() - beganMs;
    const drawing = await this.#redactor.draw(still, { focus: [] });
    // If no one is painted over, nothing can differ.
    const painted =
      people.length === 0 ? drawing : await this.#redactor.draw(paintedOver(still, people), { focus: [] });
    return { drawing, painted, bytes, ms };
  }
}

/** Replaces people by noise, so that they cause every difference between two pictures. */
function paintedOver(still: Still, people: readonly XyxyPx[]): Still {
  return {
    ...still,
    pixels: async (size) => {
      const pixels = await still.pixels(size);
      for (const [x1, y1, x2, y2] of people) {
        for (let y = y1; y < y2; y += 1) {
          for (let at = (y * size.widthPx + x1) * 3; at < (y * size.widthPx + x2) * 3; at += 1) {
            pixels.rgb[at] = (at * 2_654_435_761) >>> 24;
          }
        }
      }
      return pixels;
    },
  };
}

class Sum {
  readonly #name: string;
  readonly #by: Record<Part, number> = { figure: 0, plate: 0, mosaic: 0, coarse: 0, live: 0 };
  readonly #counts = { pictures: 0, persons: 0, personPixels: 0, leaked: 0, learntFromPeople: 0, learnt: 0 };
  readonly #ms: number[] = [];
  #ratios = { cleanPlate: 0, mosaic: 0 };
  #seams: number[] = [];
  #bytesMax = 0;
  /** People of recent frames, since the clean plate learns from frames of two seconds ago. */
  readonly #peopleAt = new Map<number, readonly XyxyPx[]>();

  constructor(name: string) {
    this.#name = name;
  }

  learn(
    learnt: ReadonlyMap<number, readonly number[]>,
    people: readonly XyxyPx[],
    { atMs, source }: Frame,
  ): void {
    this.#remember(atMs, people);
    const { columns } = gridOf(source);
    for (const [atMs, cells] of learnt) {
      const then = this.#peopleAt.get(atMs);
      if (then === undefined) continue;
      this.#counts.learnt += cells.length;
      for (const cell of cells) {
        const [x, y] = [((cell % columns) + 0.5) * CELL_PX, (Math.floor(cell / columns) + 0.5) * CELL_PX];
        if (then.some((box) => isBody(x, y, box))) this.#counts.learntFromPeople += 1;
      }
    }
  }

  #remember(atMs: number, people: readonly XyxyPx[]): void {
    this.#peopleAt.set(atMs, people);
    for (const old of this.#peopleAt.keys()) if (old < atMs - 20_000) this.#peopleAt.delete(old);
  }

  add({ drawing, painted, bytes, ms }: RedactedPicture, people: readonly XyxyPx[]): void {
    const { size, cells, figures, redaction, seam } = drawing;
    const { columns } = gridOf(size);
    const counts = this.#counts;
    counts.pictures += 1;
    counts.persons += people.length;
    this.#ms.push(ms);
    this.#bytesMax = Math.max(this.#bytesMax, bytes.length);
    this.#ratios.cleanPlate += redaction.cleanPlate.ratio;
    this.#ratios.mosaic += redaction.mosaicShare;
    if (seam !== undefined && redaction.cleanPlate.ratio >= SEAM_CLEAN_PLATE_MIN) this.#seams.push(seam);
    if (people.length === 0) return;
    const person = new Uint8Array(size.widthPx * size.heightPx);
    for (const [x1, y1, x2, y2] of people) {
      for (let y = y1; y < y2; y += 1) person.fill(1, y * size.widthPx + x1, y * size.widthPx + x2);
    }
    // Plain loops: a picture has a million pixels.
    for (let y = 0, at = 0; y < size.heightPx; y += 1) {
      for (let x = 0; x < size.widthPx; x += 1, at += 1) {
        const shownCode = cells[(y >> 3) * columns + (x >> 3)] as number;
        const hidden = shownCode === SHOWN.plate || shownCode === SHOWN.mosaic;
        if (hidden && differsAt(at * 3, drawing.rgb, painted.rgb)) counts.leaked += 1;
        if (person[at] === 0) continue;
        counts.personPixels += 1;
        const figure = hidden && figures.some(({ xyxyPx }) => isFigure(x + 0.5, y + 0.5, xyxyPx));
        this.#by[
          figure ? 'figure' : (PARTS.find((part) => part !== 'figure' && SHOWN[part] === shownCode) ?? 'live')
        ] += 1;
      }
    }
  }

  metrics(msPerFrame: number): RedactionMetrics {
    const { pictures } = this.#counts;
    return {
      name: this.#name,
      ...this.#counts,
      by: this.#by,
      bytesMax: this.#bytesMax,
      msPerFrame,
      cleanPlateRatio: this.#ratios.cleanPlate / pictures,
      mosaicShare: this.#ratios.mosaic / pictures,
      seam: this.#seams.reduce((sum, seam) => sum + seam, 0) / Math.max(1, this.#seams.length),
      msPerPicture: median(this.#ms),
    };
  }
}

function differsAt(at: number, one: Uint8Array, other: Uint8Array): boolean {
  return one[at] !== other[at] || one[at + 1] !== other[at + 1] || one[at + 2] !== other[at + 2];
}

function isBody(x: number, y: number, [x1, y1, x2, y2]: XyxyPx): boolean {
  const dx = Math.abs(x - (x1 + x2) / 2) / (x2 - x1);
  const dy = Math.abs(y - (y1 + y2) / 2) / (y2 - y1);
  return dx < BODY.width / 2 && dy < BODY.height / 2;
}

/** Returns the boxes of people who are tall enough, clipped to the picture. */
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

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

export function redactionTable(metrics: readonly RedactionMetrics[]): string {
  const percent = (ratio: number, digits: number): string => `${(100 * ratio).toFixed(digits)} %`;
  const cells = (one: RedactionMetrics): string =>
    [
      one.name,
      one.pictures,
      one.persons,
      ...PARTS.map((part) => (one.personPixels === 0 ? '–' : percent(one.by[part] / one.personPixels, 3))),
      one.leaked,
      `${one.learntFromPeople} of ${one.learnt}`,
      percent(one.cleanPlateRatio, 1),
      percent(one.mosaicShare, 1),
      one.seam.toFixed(1),
      one.msPerPicture.toFixed(1),
      one.msPerFrame.toFixed(2),
      Math.round(one.bytesMax / 1000),
    ].join(' | ');
  return [
    'How the area of people taller than 40 px is drawn in published pictures: figures, the empty place, blocks in the',
    'colours around, blocks of a vehicle, and the live picture. Leaked: hidden pixels that change when the people are',
    'painted over. Learnt from people: cells that the place took while a person was there. Then ratios of the entire',
    'picture, the mean step of brightness at the border of the place, in levels, and medians of the wall time.',
    '',
    '| sequence | pictures | people | figure | place | blocks | vehicle | live | leaked | learnt from people | picture: place | picture: blocks | seam | ms a picture | ms a frame | kB at most |',
    `| ${Array<string>(16).fill('---').join(' | ')} |`,
    ...metrics.map((one) => `| ${cells(one)} |`),
  ].join('\n');
}
