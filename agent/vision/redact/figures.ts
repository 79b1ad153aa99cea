/**
 * Draws figures: a head and a body in place of a person, as large as the box.
 *
 * No pixel of the person is used. Shape and size come from the box, brightness from the ground, and the colour shows
 * whether the event is about the person. So a figure changes the brightness of a picture as little as the person's
 * absence would.
 */
import type { SizePx, XyxyPx } from '../../contract/geometry.ts';
import { type Canvas, type Colour, textSize } from './canvas.ts';

export interface Figure {
  /** Box in pixels of the picture. */
  readonly xyxyPx: XyxyPx;
  /** Number of the object in the event, from 1; undefined for a person whom the event is not about. */
  readonly number?: number | undefined;
}

/** Levels to add to red, green and blue. Orange and blue are distinct for colour-blind people too. */
export const SUBJECT_TINT: Colour = [84, -18, -106];
export const OTHER_TINT: Colour = [-80, 4, 106];
/** Brightness range in which both tints remain colours. */
const LUMA_MIN = 70;
const LUMA_MAX = 185;
const DARK: Colour = [16, 16, 16];
const WHITE: Colour = [255, 255, 255];

/** Draws a figure. `rgb` is the picture with all previous drawings, without any pixel of the person. */
export function drawFigure(
  rgb: Uint8Array,
  size: SizePx,
  canvas: Canvas,
  { xyxyPx, number }: Figure,
  scale: number,
): void {
  const [left, top, right, bottom] = clipped(xyxyPx, size);
  if (right <= left || bottom <= top) return;
  const [width, height] = [right - left, bottom - top];
  const inside = new Uint8Array(width * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (isFigure(x + left + 0.5, y + top + 0.5, xyxyPx)) inside[y * width + x] = 1;
    }
  }
  const tint = number === undefined ? OTHER_TINT : SUBJECT_TINT;
  const colour = coloured(tint, lumaOf(rgb, size, [left, top, right, bottom]));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const own = inside[y * width + x] === 1;
      const edge =
        (x > 0 && inside[y * width + x - 1] === 1) !== own ||
        (y > 0 && inside[(y - 1) * width + x] === 1) !== own ||
        (x + 1 < width && inside[y * width + x + 1] === 1) !== own ||
        (y + 1 < height && inside[(y + 1) * width + x] === 1) !== own;
      // A dark rim inside and a white one outside are visible on any ground, and their brightness cancels out.
      if (own || edge)
        rgb.set(own ? (edge ? DARK : colour) : WHITE, ((y + top) * size.widthPx + x + left) * 3);
    }
  }
  if (number !== undefined) drawNumber(canvas, xyxyPx, String(number), scale);
}

/** Returns the tint at a brightness. */
export function coloured(tint: Colour, luma: number): Colour {
  const level = Math.min(LUMA_MAX, Math.max(LUMA_MIN, luma));
  return [levelOf(level + tint[0]), levelOf(level + tint[1]), levelOf(level + tint[2])];
}

function levelOf(value: number): number {
  return Math.round(Math.min(255, Math.max(0, value)));
}

export function drawNumber(canvas: Canvas, [x1, y1, x2]: XyxyPx, text: string, scale: number): void {
  const { widthPx, heightPx } = textSize(text, scale);
  const left = Math.min(canvas.size.widthPx - widthPx - scale, Math.max(scale, (x1 + x2 - widthPx) / 2));
  const top = Math.max(scale, y1 - heightPx - 2 * scale);
  canvas.rectangle([left - scale, top - scale, left + widthPx, top + heightPx + scale], DARK);
  canvas.text(text, Math.round(left), Math.round(top), scale, WHITE);
}

/**
 * Reports whether a pixel of the picture lies in the figure of a box.
 *
 * A standing body is 7.5 heads tall. Its shoulders are two heads wide, and its legs are half of its height. In a box as
 * wide as high, it is a bust.
 */
export function isFigure(x: number, y: number, box: XyxyPx): boolean {
  const width = box[2] - box[0];
  const height = box[3] - box[1];
  const bust = height < 1.4 * width;
  const head = bust ? Math.min(height, width) / 5 : Math.min(height / 14, width / 4);
  const dx = Math.abs(x - (box[0] + box[2]) / 2);
  const dy = y - box[1];
  if (dx ** 2 + (dy - 1.15 * head) ** 2 <= head ** 2) return true;
  const shoulders = Math.min(width / 2, 2.1 * head);
  const neck = 2.4 * head;
  if (dy < neck || dy > height) return false;
  // Rounded shoulders.
  const round = Math.min(shoulders, head);
  if (dy < neck + round) {
    const inner = shoulders - round;
    return dx <= inner || (dx - inner) ** 2 + (dy - neck - round) ** 2 <= round ** 2;
  }
  if (bust || dy < 0.55 * height) return dx <= shoulders;
  return dx <= 0.75 * shoulders && dx >= 0.12 * shoulders;
}

function clipped([x1, y1, x2, y2]: XyxyPx, { widthPx, heightPx }: SizePx): XyxyPx {
  // One more pixel for the outer rim.
  return [
    Math.max(0, Math.floor(x1) - 1),
    Math.max(0, Math.floor(y1) - 1),
    Math.min(widthPx, Math.ceil(x2) + 1),
    Math.min(heightPx, Math.ceil(y2) + 1),
  ];
}

/** Returns the mean brightness of the ground. */
function lumaOf(rgb: Uint8Array, { widthPx }: SizePx, [left, top, right, bottom]: XyxyPx): number {
  let [sum, count] = [0, 0];
  for (let y = top; y < bottom; y += 4) {
    for (let x = left; x < right; x += 4) {
      const at = (y * widthPx + x) * 3;
      sum += 0.299 * (rgb[at] as number) + 0.587 * (rgb[at + 1] as number) + 0.114 * (rgb[at + 2] as number);
      count += 1;
    }
  }
  return sum / count;
}
