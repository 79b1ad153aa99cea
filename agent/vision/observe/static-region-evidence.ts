/**
 * Is a region a thing (or paint), or light that the pixels could not tell from one? Several witnesses, none of which is
 * sure alone, each with the logarithm of how much more often it says so of a thing than of light; the sum decides
 * (naive Bayes, base 2: one is two to one). The figures are of all regions in the composed scenes and the films
 * (docs/design/006-static-regions.md).
 *
 * - How far the detector's features have turned in its place: 0.31 to 0.9 for things and paint; below 0.15 for clouds,
 *   moved shadows and the camera's gain, up to 0.29 for a hard shadow on ground without a pattern.
 * - The ground's gradients: the correlation before and after is -0.2 to 0.4 for things, 0.6 to 1 for light.
 * - How much of its box it fills: 0.15 to 0.8 for things and strokes, 0.03 to 0.2 for light that falls between things.
 * - What changed beside it later, by its own size: a shadow creeps on, a thing stays as large as it is.
 * - Whether it leaves the frame: one part of a cloud's shadow in two does, of things put down one in ten.
 */
import type { Turn } from './feature-background.ts';
import type { Grid } from './small-picture.ts';
import type { Region } from './static-region.ts';

/** Cosine distance below which the place is as it was, in another light: twice what gain, noise and blur make. */
export const LIGHT_TURN = 0.15;
/** … and from which on no light has been seen to make it, by far: the features overrule the pixels' word. */
export const OTHER_TURN = 0.5;
/** The distance that things and light make equally often; bits for each 0.075 from there, and the most. */
const TURN_EVEN = 0.225;
const TURN_BITS = 2 / 0.075;
const TURN_BITS_MAX = 5;
/** A region smaller than a cell of the features is mixed with what lies around: its word counts for so much. */
const MIXED_WEIGHT = 0.5;
/** Correlation at which neither is likelier; bits from there to none and to all, and so the most. */
const GRADIENTS_EVEN = 0.5;
const GRADIENTS_BITS_MAX = 2;
/** Fill at which neither is likelier, the bits to a factor of two, and the most. */
const FILL_EVEN = 0.16;
const FILL_BITS = 1.5;
const FILL_BITS_MAX = 2;
/** Growth by its own size, and the most. */
const SPREAD_BITS = 1;
const SPREAD_BITS_MAX = 2;
const EDGE_BITS = 1;
/** A region that was not light for its pixels begins with this. */
const PIXELS_BITS = 1;

/** Bits in favour of a thing; negative: it is light. */
export function thingBits(region: Region, turn: Turn | undefined, { columns, rows }: Grid): number {
  const { box, covers, cells, spread, gradients = GRADIENTS_EVEN } = region;
  const [left, top, right, bottom] = box;
  const fill = covers / Math.max(1, (right - left) * (bottom - top));
  const edge = left <= 0 || top <= 0 || right >= columns || bottom >= rows;
  return (
    PIXELS_BITS +
    turnBits(turn) +
    limit((GRADIENTS_BITS_MAX * (GRADIENTS_EVEN - gradients)) / GRADIENTS_EVEN, GRADIENTS_BITS_MAX) +
    limit(FILL_BITS * Math.log2(Math.max(1e-3, fill) / FILL_EVEN), FILL_BITS_MAX) -
    Math.min(SPREAD_BITS_MAX, (SPREAD_BITS * spread) / Math.max(1, cells.length)) -
    (edge ? EDGE_BITS : 0)
  );
}

function turnBits(turn: Turn | undefined): number {
  if (turn === undefined) return 0;
  const bits = limit(TURN_BITS * (turn.distance - TURN_EVEN), TURN_BITS_MAX);
  return turn.cells > 0 ? bits : MIXED_WEIGHT * bits;
}

function limit(bits: number, most: number): number {
  return Math.max(-most, Math.min(most, bits));
}
