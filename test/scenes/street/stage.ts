/**
 * A stage: a real clip at the detector's input size, read by the real camera, with the real detector's boxes. It has an
 * empty picture, the median of the clip.
 */
import { systemClock } from '../../../agent/base/clock.ts';
import { makeLogger } from '../../../agent/base/log.ts';
import type { SizePx, XyxyPx } from '../../../agent/contract/geometry.ts';
import { placementOf } from '../../../agent/contract/letterbox.ts';
import type { Detection } from '../../../agent/contract/picture.ts';
import { Detector } from '../../../agent/vision/detect/detector.ts';
import { cameraOf } from '../../lib/camera.ts';
import { MODEL_DIR } from '../../lib/paths.ts';
import { randomOf } from '../../lib/random.ts';
import { paintNoise } from './paint.ts';

export const INPUT: SizePx = { widthPx: 416, heightPx: 256 };
/** Number of pictures whose median is the empty stage. */
const SAMPLES = 25;
/** Number of copies of the empty stage, each with its own sensor noise of a street camera in daylight. */
const NOISY = 6;
const NOISE_SIGMA = 2;

export interface Stage {
  readonly source: SizePx;
  /** The clip's frames. */
  readonly frames: readonly {
    readonly atS: number;
    readonly rgb: Uint8Array;
    readonly detections: Detection[];
  }[];
  readonly empty: readonly Uint8Array[];
  /** Height of a person whose ground point is at `y`, in frame heights: fitted to the detections. */
  heightAt(y: number): number;
}

/** Straight line through the heights of 2,737 boxes of people above a score of 0.5. */
const HEIGHT = { base: 0.029, slope: 0.238 };

function makeDetector(): Detector {
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

/** Reads `lengthS` of a clip; scenes under which it runs need five frames a second. */
export async function loadStage(clip: string, lengthS: number, fps = 5): Promise<Stage> {
  const detector = makeDetector();
  await detector.start();
  const camera = cameraOf({ source: `file:${clip}`, fps, input: INPUT });
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
    await detector.stop();
  }
  const source = frames[0]?.source;
  if (source === undefined) throw new Error(`${clip}: no frame`);
  const still = medianOf(frames.map(({ rgb }) => rgb));
  return {
    source,
    frames,
    empty: Array.from({ length: NOISY }, (_, k) => {
      const rgb = new Uint8Array(still);
      paintNoise({ picture: { ...INPUT, rgb }, random: randomOf(k + 1) }, NOISE_SIGMA);
      return rgb;
    }),
    heightAt: (y) => HEIGHT.base + HEIGHT.slope * y,
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

/** A box of the source in pixels of the detector's input. */
export function toInput([x1, y1, x2, y2]: XyxyPx, source: SizePx): [number, number, number, number] {
  const { leftPx, topPx, widthPx } = placementOf(source, INPUT);
  const scale = widthPx / source.widthPx;
  return [leftPx + scale * x1, topPx + scale * y1, leftPx + scale * x2, topPx + scale * y2];
}
