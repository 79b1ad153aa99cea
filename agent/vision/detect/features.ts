/**
 * Defines the features of places: the output of the first stage of the detector's backbone for each cell of the
 * picture. The model's neck uses the same output, so every detector run computes it anyway; here it is only returned.
 *
 * A detector may output this beside its ten classes for three reasons:
 *
 * - It is a map over the picture's fixed cells, not a vector of a box.
 * - The network was never trained to distinguish people.
 * - It stays in the vision process, for the memory of a place's appearance. The link's schema has no room for it
 *   (test/vision/no-biometrics.unit.test.ts).
 */
import { type Static, Type } from '@sinclair/typebox';
import type { SizePx } from '../../contract/geometry.ts';
import type { Features } from '../../contract/picture.ts';

/** Name of the output in every model that has one. */
export const FEATURES = 'features';

/**
 * Description of the features in a card. Cells have at least 8 px, because finer ones would be a picture. The graph
 * outputs its internal uint8; the value is (uint8 − zeroPoint) · scale. A conversion to floats in the graph would cost
 * time in each run, requested or not.
 */
export const FeaturesCard = Type.Object({
  channels: Type.Integer({ minimum: 1, maximum: 256 }),
  cellPx: Type.Union([Type.Literal(8), Type.Literal(16), Type.Literal(32)], {
    description: 'side of a cell, in pixels of the input',
  }),
  scale: Type.Number({ exclusiveMinimum: 0 }),
  zeroPoint: Type.Integer({ minimum: 0, maximum: 255 }),
});
export type FeaturesCard = Static<typeof FeaturesCard>;

/** Returns the graph's output shape: a row of channels for each cell, as ONNX Runtime has them in memory. */
export function shapeOf({ channels, cellPx }: FeaturesCard, { widthPx, heightPx }: SizePx): number[] {
  return [1, Math.ceil(heightPx / cellPx), Math.ceil(widthPx / cellPx), channels];
}

/** Wraps `raw`, which has the length of `shapeOf`, without copying it. */
export function featuresOf(card: FeaturesCard, input: SizePx, raw: Uint8Array): Features {
  const { channels, cellPx, zeroPoint } = card;
  const [, rows = 0, columns = 0] = shapeOf(card, input);
  return { columns, rows, channels, cellPx, input, values: raw, zeroPoint };
}
