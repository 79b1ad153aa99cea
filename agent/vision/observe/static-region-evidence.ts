/**
 * Decides whether a region is an object (or paint), or light that the pixels could not distinguish from one. Several
 * pieces of evidence are combined, none of which is certain alone. Each counts with the logarithm of its likelihood
 * ratio of object to light, and the sum decides (naive Bayes, base 2: one bit is two to one). The values are from all
 * regions in the composed scenes and the films (docs/design/006-static-regions.md).
 *
 * - Turn of the detector's features in its place. Objects and paint have 0.31 to 0.9. Clouds, moved shadows and the
 *   camera's gain have below 0.15, a hard shadow on ground without a pattern up to 0.29.
 * - Correlation of the ground's gradients before and after: -0.2 to 0.4 for objects, 0.6 to 1 for light.
 * - Ratio of its box that it fills: 0.15 to 0.8 for objects and strokes, 0.03 to 0.2 for light between objects.
 * - Later changes beside it, in its own sizes: a shadow creeps on, an object keeps its size.
 * - Contact with the frame's edge: half of the parts of cloud shadows, one in ten objects put down.
 */
import type { Turn } from './feature-background.ts';
import type { Grid } from './small-picture.ts';
import type { Region } from './static-region.ts';

/** Cosine distance below which only the light has changed: twice the effect of gain, noise and blur. */
export const LIGHT_TURN = 0.15;
/** Cosine distance that light has never reached, by far, and from which the features overrule the pixels. */
export const OTHER_TURN = 0.5;
/** Cosine distance that objects and light cause equally often; the bits per 0.075 from there, and their maximum. */
const TURN_EVEN = 0.225;
const TURN_BITS = 2 / 0.075;
const TURN_BITS_MAX = 5;
/** Weight of a region smaller than a feature cell, which is mixed with its surroundings. */
const MIXED_WEIGHT = 0.5;
/** Correlation at which both are equally likely; the bits from there to none and to all, and so their maximum. */
const GRADIENTS_EVEN = 0.5;
const GRADIENTS_BITS_MAX = 2;
/** Fill at which both are equally likely, the bits per factor of two, and their maximum. */
const FILL_EVEN = 0.16;
const FILL_BITS = 1.5;
const FILL_BITS_MAX = 2;
/** Bits for growth by its own size, and their maximum. */
const SPREAD_BITS = 1;
const SPREAD_BITS_MAX = 2;
const EDGE_BITS = 1;
/** Initial bits of a region whose pixels did not indicate light. */
const PIXELS_BITS = 1;

/** Returns the bits in favour of an object; negative for light. */
export function thingBits(region: Region, turn: Turn | undefined, { columns, rows }: Grid): number {
  const { box, objectCells, cells, spread, gradients = GRADIENTS_EVEN } = region;
  const [left, top, right, bottom] = box;
  const fill = objectCells / Math.max(1, (right - left) * (bottom - top));
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

function limit(bits: number, maxBits: number): number {
  return Math.max(-maxBits, Math.min(maxBits, bits));
}
