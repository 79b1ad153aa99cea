/**
 * The features of places: what the first stage of the detector's backbone makes of each cell of the picture, as its
 * neck takes it over. They are computed for every look anyway; here they are only handed out.
 *
 * Why a detector may say this beside its ten classes: it is a map over the fixed cells of the picture, not a vector of
 * a box; the network was never trained to tell one person from another; and it stays in the vision process, for the
 * memory of what a place looks like. The link's schema has no room for it (test/vision/no-biometrics.unit.test.ts).
 */
import { type Static, Type } from '@sinclair/typebox';
import type { SizePx } from '../../contract/geometry.ts';
import type { Features } from '../../contract/picture.ts';

/** The name of the output in every model that has one. */
export const FEATURES = 'features';

/**
 * How a card describes them. Cells of 8 px and more: finer ones would be a picture. The graph gives what it computes
 * with, uint8; the value is (uint8 − zeroPoint) · scale. Turned into floats in the graph they would cost at every
 * look, asked for or not.
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

/** The shape that the graph gives: a row of channels for each cell, as ONNX Runtime has them in memory. */
export function shapeOf({ channels, cellPx }: FeaturesCard, { widthPx, heightPx }: SizePx): number[] {
  return [1, Math.ceil(heightPx / cellPx), Math.ceil(widthPx / cellPx), channels];
}

/** `raw` has the length of `shapeOf`; it is not copied. */
export function featuresOf(card: FeaturesCard, input: SizePx, raw: Uint8Array): Features {
  const { channels, cellPx, zeroPoint } = card;
  const [, rows = 0, columns = 0] = shapeOf(card, input);
  return { columns, rows, channels, cellPx, input, values: raw, zeroPoint };
}
