/**
 * A stage: a real clip at the detector's input size, read by the real camera, with the real detector's boxes. It has an
 * empty picture (the median of the clip), and people and vehicles cut out of it.
 */
import { systemClock } from '../../../agent/base/clock.ts';
import { makeLogger } from '../../../agent/base/log.ts';
import { ratioInside, type SizePx, type XyxyPx } from '../../../agent/contract/geometry.ts';
import { placementOf } from '../../../agent/contract/letterbox.ts';
import type { Detection, Frame } from '../../../agent/contract/picture.ts';
import { Camera } from '../../../agent/vision/camera/camera.ts';
import { Detector } from '../../../agent/vision/detect/detector.ts';
import { MODEL_DIR } from '../../lib/paths.ts';
import { randomOf } from '../../lib/random.ts';
import { paintNoise } from '../paint.ts';
import type { StageName } from './scene.ts';

export const INPUT: SizePx = { widthPx: 416, heightPx: 256 };
const STAGE_FPS = 5;
/** Number of pictures whose median is the empty stage. */
const SAMPLES = 25;
/** Number of copies of the empty stage, each with its own sensor noise of a street camera in daylight. */
const NOISY = 6;
const NOISE_SIGMA = 2;
/** Difference from the empty stage, in levels, from which a pixel belongs to a cut-out. */
const CUT_LEVELS = 22;

/** A cut-out at the size at which it was seen. */
export interface CutOut {
  readonly widthPx: number;
  readonly heightPx: number;
  readonly rgb: Uint8Array;
  /** 1 for each pixel that is part of the thing, otherwise 0. */
  readonly solid: Uint8Array;
  /** Place of its ground point, 0..1 of the frame. */
  readonly ground: readonly [number, number];
}

export interface Stage {
  readonly name: StageName;
  readonly source: SizePx;
  /** The clip's frames, 5 a second. */
  readonly frames: readonly {
    readonly atS: number;
    readonly rgb: Uint8Array;
    readonly detections: Detection[];
  }[];
  readonly empty: readonly Uint8Array[];
  readonly people: readonly CutOut[];
  readonly vehicles: readonly CutOut[];
  /**
   * Height of a person (or, on the road, of a car) whose ground point is at `y`, in frame heights: fitted to the
   * detections.
   */
  heightAt(y: number): number;
}

/** Straight lines through the heights of the boxes above a score of 0.5: 2,737 people, 1,555 cars. */
const HEIGHTS: Readonly<Record<StageName, readonly [number, number]>> = {
  street: [0.029, 0.238],
  road: [0.027, 0.172],
};

export function makeDetector(): Detector {
  const config = {
    model: 'nanodet-g-city10',
    input: [INPUT.widthPx, INPUT.heightPx],
    backend: 'onnxruntime',
    providers: ['cpu'],
  };
  return new Detector({
    config: config as ConstructorParameters<typeof Detector>[0]['config'],
    modelDir: MODEL_DIR,
    clock: systemClock,
    log: makeLogger('scenes', 'warn'),
  });
}

/** Reads `lengthS` of a clip. */
export async function loadStage(
  name: StageName,
  clip: string,
  detector: Detector,
  lengthS: number,
): Promise<Stage> {
  const log = makeLogger('scenes', 'warn');
  const camera = new Camera({
    source: `file:${clip}`,
    fps: STAGE_FPS,
    input: INPUT,
    masks: [],
    mode: 'replay',
    clock: systemClock,
    log,
    onOpened: () => undefined,
    onLost: ({ reason }) => log.warn({ reason }, 'clip lost'),
  });
  const frames: { atS: number; rgb: Uint8Array; detections: Detection[]; source: SizePx }[] = [];
  try {
    await camera.start();
    for (let frame = await camera.next(); frame !== null; frame = await camera.next()) {
      if (frame.atMs > lengthS * 1000) break;
      const { rgb, source } = frame;
      frames.push({
        atS: frame.atMs / 1000,
        rgb: new Uint8Array(rgb),
        detections: await detector.detect(frame),
        source,
      });
    }
  } finally {
    await camera.stop();
  }
  const source = frames[0]?.source;
  if (source === undefined) throw new Error(`${clip}: no frame`);
  const still = medianOf(frames.map(({ rgb }) => rgb));
  const [base, slope] = HEIGHTS[name];
  return {
    name,
    source,
    frames,
    empty: Array.from({ length: NOISY }, (_, k) => {
      const rgb = new Uint8Array(still);
      paintNoise({ picture: { ...INPUT, rgb }, random: randomOf(k + 1) }, NOISE_SIGMA);
      return rgb;
    }),
    people: cutOuts(frames, still, source, (d) => d.group === 'person' && d.score > 0.75),
    vehicles: cutOuts(frames, still, source, (d) => d.group === 'vehicle' && d.score > 0.55),
    heightAt: (y) => base + slope * y,
  };
}

function medianOf(pictures: readonly Uint8Array[]): Uint8Array {
  const count = Math.min(SAMPLES, pictures.length);
  const samples = Array.from(
    { length: count },
    (_, k) => pictures[Math.floor((k * pictures.length) / count)] as Uint8Array,
  );
  const values = new Uint8Array(count);
  return (samples[0] as Uint8Array).map((_, at) => {
    for (let k = 0; k < count; k += 1) values[k] = (samples[k] as Uint8Array)[at] as number;
    return values.sort()[count >> 1] as number;
  });
}

/** Detections that stand free of others, one a second. */
function cutOuts(
  frames: readonly Pick<Frame & { detections: Detection[] }, 'rgb' | 'detections'>[],
  still: Uint8Array,
  source: SizePx,
  isWanted: (detection: Detection) => boolean,
): CutOut[] {
  return frames.flatMap(({ rgb, detections }, k) => {
    if (k % STAGE_FPS !== 0) return [];
    const free = detections.filter(
      (one) =>
        isWanted(one) &&
        isFullyInside(one.xyxyPx, source) &&
        !detections.some(
          (other) => other !== one && other.score > 0.25 && ratioInside(one.xyxyPx, other.xyxyPx) > 0.02,
        ),
    );
    return free.map(({ xyxyPx }) => cutOut(rgb, still, source, xyxyPx));
  });
}

function isFullyInside([x1, y1, x2, y2]: XyxyPx, { widthPx, heightPx }: SizePx): boolean {
  return x1 > 4 && y1 > 4 && x2 < widthPx - 4 && y2 < heightPx - 4;
}

function cutOut(rgb: Uint8Array, still: Uint8Array, source: SizePx, box: XyxyPx): CutOut {
  const [left, top, right, bottom] = toInput(box, source).map(Math.round) as [number, number, number, number];
  const [widthPx, heightPx] = [right - left, bottom - top];
  const pixels = new Uint8Array(widthPx * heightPx * 3);
  const solid = new Uint8Array(widthPx * heightPx);
  for (let y = 0; y < heightPx; y += 1) {
    let [first, last] = [widthPx, -1];
    for (let x = 0; x < widthPx; x += 1) {
      const from = ((top + y) * INPUT.widthPx + left + x) * 3;
      let maxLevels = 0;
      for (let c = 0; c < 3; c += 1) {
        const level = rgb[from + c] as number;
        pixels[(y * widthPx + x) * 3 + c] = level;
        maxLevels = Math.max(maxLevels, Math.abs(level - (still[from + c] as number)));
      }
      if (maxLevels < CUT_LEVELS) continue;
      first = Math.min(first, x);
      last = x;
    }
    // A part that looks like the ground between two sides of the thing belongs to it.
    for (let x = first; x <= last; x += 1) solid[y * widthPx + x] = 1;
  }
  return {
    widthPx,
    heightPx,
    rgb: pixels,
    solid,
    ground: [(box[0] + box[2]) / 2 / source.widthPx, box[3] / source.heightPx],
  };
}

/** A box of the source in pixels of the detector's input. */
export function toInput([x1, y1, x2, y2]: XyxyPx, source: SizePx): [number, number, number, number] {
  const { leftPx, topPx, widthPx } = placementOf(source, INPUT);
  const scale = widthPx / source.widthPx;
  return [leftPx + scale * x1, topPx + scale * y1, leftPx + scale * x2, topPx + scale * y2];
}
