/** How large and how fast what passes before the camera is: by that input size and rate are chosen. */
import { type Static, Type } from '@sinclair/typebox';
import { SizePx } from './geometry.ts';

const strict = { additionalProperties: false } as const;
const Norm = Type.Number({ minimum: 0, maximum: 1 });

export const ViewReport = Type.Object(
  {
    /** As configured: the detector's input, px, and looks a second; null where there is no camera. */
    input: Type.Tuple([Type.Integer({ minimum: 1 }), Type.Integer({ minimum: 1 })]),
    fps: Type.Union([Type.Number({ exclusiveMinimum: 0 }), Type.Null()]),
    /** Sightings of people, look by look, and heights that a tenth and a half of them stay below, of the frame's. */
    people: Type.Integer({ minimum: 0 }),
    heightTenthNorm: Norm,
    heightHalfNorm: Norm,
    /** Of the camera's picture; null while there was none. */
    source: Type.Union([SizePx, Type.Null()]),
    /** People and vehicles that were followed over three looks and more. */
    moving: Type.Integer({ minimum: 0 }),
    /** What nine of ten of them stay below: way from one look to the next, in longer sides of their boxes. */
    stepNineTenths: Type.Number({ minimum: 0 }),
  },
  strict,
);
export type ViewReport = Static<typeof ViewReport>;
