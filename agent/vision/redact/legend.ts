/** Draws the legend at the edge of a picture: the meaning of the signs in it. */
import type { XyxyPx } from '../../contract/geometry.ts';
import { type Canvas, type Colour, textSize } from './canvas.ts';

export interface LegendItem {
  readonly text: string;
  /** Draws the sign into a square box. */
  sign(box: XyxyPx): void;
}

const GROUND: Colour = [16, 16, 16];
const INK: Colour = [255, 255, 255];

/** Draws the legend at the lower edge, or at the upper one if only the lower would cover a box of `focus`. */
export function drawLegend(
  canvas: Canvas,
  items: readonly LegendItem[],
  scale: number,
  focus: readonly XyxyPx[],
): void {
  if (items.length === 0) return;
  const { widthPx, heightPx } = canvas.size;
  const letterPx = textSize('', scale).heightPx;
  const gapPx = 3 * scale;
  const widthOf = ({ text }: LegendItem): number =>
    letterPx + gapPx + textSize(text, scale).widthPx + 3 * gapPx;
  const lines: LegendItem[][] = [[]];
  let usedPx = gapPx;
  for (const item of items) {
    if (usedPx + widthOf(item) > widthPx && usedPx > gapPx) {
      lines.push([]);
      usedPx = gapPx;
    }
    lines.at(-1)?.push(item);
    usedPx += widthOf(item);
  }
  const linePx = letterPx + gapPx;
  const bandPx = lines.length * linePx + gapPx;
  const hasFocusBelow = focus.some((box) => box[3] > heightPx - bandPx);
  const hasFocusAbove = focus.some((box) => box[1] < bandPx);
  const top = hasFocusBelow && !hasFocusAbove ? 0 : heightPx - bandPx;
  canvas.rectangle([0, top, widthPx, top + bandPx], GROUND);
  lines.forEach((line, row) => {
    const y = top + gapPx + row * linePx;
    let x = gapPx;
    for (const item of line) {
      item.sign([x, y, x + letterPx, y + letterPx]);
      canvas.text(item.text, x + letterPx + gapPx, y, scale, INK);
      x += widthOf(item);
    }
  });
}
