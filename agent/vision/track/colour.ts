/**
 * Coarse appearance of an object: one colour histogram for its upper and one for its lower half. It is measured on the
 * detector's pixels, on the opponent axes of Swain and Ballard ("Color indexing", 1991).
 *
 * It distinguishes a dark jacket over light trousers from the reverse and no more: 36 colours per half, no shape, no
 * texture, no face. It exists only in the vision process's memory, as long as its track (at most 2 s beyond the last
 * detection). It is never written, logged or sent.
 */
import type { XyxyPx } from '../../contract/geometry.ts';
import { placementOf } from '../../contract/letterbox.ts';
import type { Frame } from '../../contract/picture.ts';

/** Finer divisions (up to 8 × 5 × 5, or 4 to 8 levels of red, green and blue) gave no better results when measured. */
const BRIGHTNESS_LEVELS = 4;
const HUE_LEVELS = 3;
const COLOURS = BRIGHTNESS_LEVELS * HUE_LEVELS * HUE_LEVELS;
/** Width of a hue level. A difference of channels within ±8 of 255 is grey: a street camera's noise and compression. */
const HUE_STEP = 16;
const PRINT_LENGTH = 2 * COLOURS;

/** Sampled part: the body without the background beside it, that is the middle of the box without head and feet. */
const X_FROM = 0.2;
const X_TO = 0.8;
const HALVES = [
  [0.1, 0.5],
  [0.5, 0.9],
] as const;
/** Maximum number of samples along one side of a half. Twice as many gave the same result and cost more. */
const SAMPLES_MAX = 12;

/** Two histograms of square roots, each of unit length. */
export type ColourPrint = Float32Array;

/** Returns the print of a box; undefined if a half covers no pixel of the picture outside of privacy masks. */
export function colourPrint(
  frame: Pick<Frame, 'rgb' | 'input' | 'source' | 'masked'>,
  box: XyxyPx,
): ColourPrint | undefined {
  const { input, source } = frame;
  const { leftPx, topPx, widthPx } = placementOf(source, input);
  const scale = widthPx / source.widthPx;
  const print = new Float32Array(PRINT_LENGTH);
  const width = box[2] - box[0];
  const height = box[3] - box[1];
  const left = leftPx + scale * (box[0] + X_FROM * width);
  const right = leftPx + scale * (box[0] + X_TO * width);
  const xs = span(left, right, input.widthPx);
  for (let half = 0; half < HALVES.length; half += 1) {
    const part = HALVES[half] as (typeof HALVES)[number];
    const top = topPx + scale * (box[1] + part[0] * height);
    const bottom = topPx + scale * (box[1] + part[1] * height);
    const ys = span(top, bottom, input.heightPx);
    if (count(print, half * COLOURS, frame, xs, ys) === 0) return undefined;
  }
  return print;
}

/** Returns the Bhattacharyya coefficient, mean of the two halves: 0 (no colour in common) to 1 (the same). */
export function likeness(a: ColourPrint, b: ColourPrint): number {
  let sum = 0;
  for (let i = 0; i < PRINT_LENGTH; i += 1) sum += (a[i] as number) * (b[i] as number);
  return Math.min(1, sum / 2);
}

/** Moves `print` towards `seenPrint` by `ratio` (0..1). */
export function blend(print: ColourPrint, seenPrint: ColourPrint, ratio: number): void {
  for (let half = 0; half < PRINT_LENGTH; half += COLOURS) {
    let squares = 0;
    for (let i = half; i < half + COLOURS; i += 1) {
      const mixed = (1 - ratio) * (print[i] as number) + ratio * (seenPrint[i] as number);
      print[i] = mixed;
      squares += mixed * mixed;
    }
    const norm = Math.sqrt(squares);
    for (let i = half; i < half + COLOURS; i += 1) print[i] = (print[i] as number) / norm;
  }
}

interface Span {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

function span(from: number, to: number, limit: number): Span {
  const start = Math.max(0, Math.floor(from));
  const end = Math.min(limit, Math.ceil(to));
  return { start, end, step: Math.max(1, Math.ceil((end - start) / SAMPLES_MAX)) };
}

/** Fills the histogram and returns its number of samples. */
function count(
  print: Float32Array,
  offset: number,
  { rgb, input, masked }: Pick<Frame, 'rgb' | 'input' | 'masked'>,
  xs: Span,
  ys: Span,
): number {
  let samples = 0;
  for (let y = ys.start; y < ys.end; y += ys.step) {
    for (let x = xs.start; x < xs.end; x += xs.step) {
      const pixel = y * input.widthPx + x;
      if (masked?.[pixel] === 1) continue;
      const at = pixel * 3;
      const bin = offset + colourOf(rgb[at] as number, rgb[at + 1] as number, rgb[at + 2] as number);
      print[bin] = (print[bin] as number) + 1;
      samples += 1;
    }
  }
  if (samples === 0) return 0;
  for (let i = offset; i < offset + COLOURS; i += 1) print[i] = Math.sqrt((print[i] as number) / samples);
  return samples;
}

function colourOf(red: number, green: number, blue: number): number {
  const brightness = Math.floor(((red + 2 * green + blue) * BRIGHTNESS_LEVELS) / 1024);
  return (brightness * HUE_LEVELS + hueLevel(red - green)) * HUE_LEVELS + hueLevel((red + green) / 2 - blue);
}

function hueLevel(difference: number): number {
  return Math.min(HUE_LEVELS - 1, Math.max(0, Math.floor(difference / HUE_STEP + HUE_LEVELS / 2)));
}
