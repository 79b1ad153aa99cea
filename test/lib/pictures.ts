/** Frames and stills as the camera delivers them, black under the privacy masks; detections and tracks in them. */
import type { MaskConfig } from '../../agent/contract/config.ts';
import type { SizePx, XyxyPx } from '../../agent/contract/geometry.ts';
import { groupOf, type Label } from '../../agent/contract/label.ts';
import type { Detection, Frame, Still, Track } from '../../agent/contract/picture.ts';
import { PrivacyMasks } from '../../agent/vision/camera/mask.ts';
import { givenOut } from '../../agent/vision/camera/still.ts';
import { CELL_PX, type Grid } from '../../agent/vision/redact/cells.ts';

/** Makes the frames' own pixels black. */
export function masking(masks: readonly MaskConfig[]): (frame: Frame) => Frame {
  const privacy = new PrivacyMasks(masks);
  return (frame) => {
    const { ranges, masked } = privacy.inPixels({ source: frame.source, coded: frame.source }, frame.input);
    for (let k = 0; k < ranges.length; k += 2)
      frame.rgb.fill(0, 3 * (ranges[k] as number), 3 * (ranges[k + 1] as number));
    return { ...frame, masked };
  };
}

export interface StillOptions {
  readonly atMs?: number;
  readonly masks?: readonly MaskConfig[];
}

export function stillFrom(
  jpeg: Uint8Array,
  source: SizePx,
  { atMs = 1000, masks = [] }: StillOptions = {},
): Still {
  return givenOut({ ptsNs: 0n, atMs, source, size: source, spreadPx: 0, jpeg }, new PrivacyMasks(masks));
}

/** A detection with the group of its label. */
export function detectionOf(label: Label, xyxyPx: XyxyPx, score = 0.8): Detection {
  return { label, group: groupOf(label), score, xyxyPx };
}

/** A track that stands still in sight: of a person who is sure, by default. */
export function trackOf(xyxyPx: XyxyPx, over: Partial<Track> = {}): Track {
  const still = { velocityPxPerS: [0, 0], firstMs: 0, lastMs: 0, seen: true } as const;
  return { id: 1, group: 'person', label: 'person', score: 0.8, bestScore: 0.8, xyxyPx, ...still, ...over };
}

/** Paints one pixel, without `fill`, which takes twenty times as long. */
export function paintGrey(rgb: Uint8Array, pixel: number, level: number): void {
  const grey = Math.max(0, Math.min(255, level));
  rgb[pixel * 3] = grey;
  rgb[pixel * 3 + 1] = grey;
  rgb[pixel * 3 + 2] = grey;
}

/** True if a box touches a cell of a picture's grid. */
export function isTouched({ columns }: Grid, cell: number, [x1, y1, x2, y2]: XyxyPx): boolean {
  const [x, y] = [(cell % columns) * CELL_PX, Math.floor(cell / columns) * CELL_PX];
  return x < x2 && x + CELL_PX > x1 && y < y2 && y + CELL_PX > y1;
}
