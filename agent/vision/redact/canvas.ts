/** Draws flat shapes and letters into an RGB picture (8 bits, row-major, no padding), clipped to it. */
import font from 'oled-font-5x7';
import type { PointNorm, SizePx, XyxyPx } from '../../contract/geometry.ts';

export type Colour = readonly [number, number, number];

/** Size of a letter in dots, including the gap to the next one. */
const LETTER = { widthPx: font.width + 1, heightPx: font.height };

export class Canvas {
  readonly size: SizePx;
  readonly #rgb: Uint8Array;

  constructor(rgb: Uint8Array, size: SizePx) {
    this.#rgb = rgb;
    this.size = size;
  }

  rectangle(box: XyxyPx, colour: Colour): void {
    const { widthPx, heightPx } = this.size;
    const left = clamp(Math.round(box[0]), widthPx);
    const right = clamp(Math.round(box[2]), widthPx);
    const bottom = clamp(Math.round(box[3]), heightPx);
    for (let y = clamp(Math.round(box[1]), heightPx); y < bottom; y += 1) {
      for (let at = (y * widthPx + left) * 3, end = (y * widthPx + right) * 3; at < end; at += 3) {
        this.#rgb[at] = colour[0];
        this.#rgb[at + 1] = colour[1];
        this.#rgb[at + 2] = colour[2];
      }
    }
  }

  /** Draws a frame just outside of a box. At the edge of the picture, the frame is drawn at the edge. */
  frame([x1, y1, x2, y2]: XyxyPx, linePx: number, colour: Colour): void {
    const { widthPx, heightPx } = this.size;
    if (x1 >= widthPx || y1 >= heightPx || x2 <= 0 || y2 <= 0) return;
    const [left, top] = [clamp(Math.floor(x1) - linePx, widthPx), clamp(Math.floor(y1) - linePx, heightPx)];
    const [right, bottom] = [clamp(Math.ceil(x2) + linePx, widthPx), clamp(Math.ceil(y2) + linePx, heightPx)];
    this.rectangle([left, top, right, top + linePx], colour);
    this.rectangle([left, bottom - linePx, right, bottom], colour);
    this.rectangle([left, top, left + linePx, bottom], colour);
    this.rectangle([right - linePx, top, right, bottom], colour);
  }

  /**
   * Draws square dots of `linePx` along a line through normalised points, `everyPx` apart; 1 gives a line without gaps.
   */
  line(points: readonly PointNorm[], linePx: number, everyPx: number, colour: Colour): void {
    const { widthPx, heightPx } = this.size;
    let offsetPx = 0;
    for (let i = 1; i < points.length; i += 1) {
      const [x1, y1] = this.#at(points[i - 1] as PointNorm);
      const [x2, y2] = this.#at(points[i] as PointNorm);
      const length = Math.hypot(x2 - x1, y2 - y1);
      for (; offsetPx <= length; offsetPx += everyPx) {
        const ratio = length === 0 ? 0 : offsetPx / length;
        // A line along the edge of the picture is drawn within it.
        const x = Math.min(widthPx - linePx, Math.max(0, x1 + ratio * (x2 - x1) - linePx / 2));
        const y = Math.min(heightPx - linePx, Math.max(0, y1 + ratio * (y2 - y1) - linePx / 2));
        this.rectangle([x, y, x + linePx, y + linePx], colour);
      }
      offsetPx -= length;
    }
  }

  /** Draws text and returns the x position of its end. */
  text(text: string, left: number, top: number, scale: number, colour: Colour): number {
    let x = left;
    for (const letter of text) {
      const index = font.lookup.indexOf(letter);
      for (let column = 0; index >= 0 && column < font.width; column += 1) {
        const bits = font.fontData[index * font.width + column] as number;
        for (let row = 0; row < font.height; row += 1) {
          if (((bits >> row) & 1) === 0) continue;
          const [at, line] = [x + column * scale, top + row * scale];
          this.rectangle([at, line, at + scale, line + scale], colour);
        }
      }
      x += LETTER.widthPx * scale;
    }
    return x;
  }

  #at([x, y]: PointNorm): [number, number] {
    return [x * this.size.widthPx, y * this.size.heightPx];
  }
}

export function textSize(text: string, scale: number): SizePx {
  return { widthPx: text.length * LETTER.widthPx * scale, heightPx: LETTER.heightPx * scale };
}

function clamp(value: number, max: number): number {
  return Math.min(Math.max(value, 0), max);
}
