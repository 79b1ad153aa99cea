/** Plays scenes of one made-up street to the observer of static regions: paint, tracks and features by the second. */
import { placementOf } from '../../agent/contract/letterbox.ts';
import type { StaticRegion } from '../../agent/contract/observation.ts';
import type { Detection, Features, Frame, Track } from '../../agent/contract/picture.ts';
import { SceneObserver } from '../../agent/vision/observe/scene.ts';
import { paintGrey, trackOf } from './pictures.ts';
import { rectangle } from './shapes.ts';

export const SOURCE = { widthPx: 768, heightPx: 432 };
export const INPUT = { widthPx: 416, heightPx: 256 };
const { topPx: TOP_PX, heightPx: HEIGHT_PX } = placementOf(SOURCE, INPUT);
export const EVERYWHERE = rectangle(0, 0, 1, 1);

export type Paint = (xNorm: number, yNorm: number, level: number) => number;

/** Pixels of the ground, which has a pattern of its own. */
const GROUND = Float64Array.from({ length: INPUT.widthPx * HEIGHT_PX }, (_, k) => {
  const [x, y] = [k % INPUT.widthPx, Math.floor(k / INPUT.widthPx)];
  return 120 + 12 * Math.sin(x / 5) * Math.cos(y / 7) + 6 * Math.sin((x * y) / 900);
});

/** The ground with some noise and paint. */
export function frame(index: number, atMs: number, paint: Paint): Frame {
  const rgb = new Uint8Array(INPUT.widthPx * INPUT.heightPx * 3);
  let noise = index + 1;
  for (let y = 0; y < HEIGHT_PX; y += 1) {
    for (let x = 0; x < INPUT.widthPx; x += 1) {
      noise = (Math.imul(noise, 1664525) + 1013904223) >>> 0;
      const ground = GROUND[y * INPUT.widthPx + x] as number;
      const level = paint((x + 0.5) / INPUT.widthPx, (y + 0.5) / HEIGHT_PX, ground);
      paintGrey(rgb, (y + TOP_PX) * INPUT.widthPx + x, level + (noise >>> 29) - 3.5);
    }
  }
  return { index, ptsNs: BigInt(atMs) * 1_000_000n, atMs, wallMs: atMs, source: SOURCE, input: INPUT, rgb };
}

export const person = (id: number, centreX: number, atMs: number, over: Partial<Track> = {}): Track => {
  const x = centreX * SOURCE.widthPx;
  return trackOf([x - 25, 180, x + 25, 330], { id, lastMs: atMs, ...over });
};

export interface Script {
  readonly seconds: number;
  readonly fps?: number;
  paint(s: number): Paint;
  tracks?(s: number, atMs: number): Track[];
  detections?: Detection[];
  features?(s: number): Features | undefined;
}

/** Plays a scene; returns the reports at the end of each second. */
export function play(script: Script): { seconds: StaticRegion[][]; observer: SceneObserver } {
  const observer = new SceneObserver({ zones: [{ id: 'square', polygon: EVERYWHERE }] });
  const fps = script.fps ?? 5;
  const seconds: StaticRegion[][] = [];
  for (let k = 0; k < script.seconds * fps; k += 1) {
    const s = k / fps;
    const atMs = Math.round(1000 * s);
    const regions = observer.update(
      frame(k + 1, atMs, script.paint(s)),
      script.tracks?.(s, atMs) ?? [],
      script.detections ?? [],
      script.features?.(s),
    );
    seconds[Math.floor(s)] = regions;
  }
  return { seconds, observer };
}

export const nothing: Paint = (_x, _y, level) => level;
export const block: Paint = (x, y, level) =>
  x > 0.45 && x < 0.5 && y > 0.68 && y < 0.76 ? 30 + (level % 9) * 4 : level;
/** A track that comes from the left, stops at the middle from 5 s to 8 s, and continues to the right. */
export const passer = (s: number, atMs: number): Track[] => {
  const x = s < 5 ? 0.09 * s : s < 8 ? 0.45 : 0.45 + 0.12 * (s - 8);
  return s > 0.5 && x < 0.98 ? [person(7, x, atMs)] : [];
};
