/** Size and speed of objects in the camera's view, as a basis for choosing the input size and rate. */
import { type Static, Type } from '@sinclair/typebox';
import { SizePx } from './geometry.ts';

const strict = { additionalProperties: false } as const;
const Norm = Type.Number({ minimum: 0, maximum: 1 });

export const ViewReport = Type.Object(
  {
    /** Configured detector input in px, and detector runs per second; null without a camera. */
    input: Type.Tuple([Type.Integer({ minimum: 1 }), Type.Integer({ minimum: 1 })]),
    fps: Type.Union([Type.Number({ exclusiveMinimum: 0 }), Type.Null()]),
    /**
     * Number of sightings of people, counted per detector run. The heights, as ratios of the frame's, are those below
     * which a tenth and half of them stay.
     */
    people: Type.Integer({ minimum: 0 }),
    heightTenthNorm: Norm,
    heightHalfNorm: Norm,
    /** Size of the camera's picture; null while there was none. */
    source: Type.Union([SizePx, Type.Null()]),
    /** People and vehicles tracked over three or more detector runs. */
    moving: Type.Integer({ minimum: 0 }),
    /** 90th percentile of their movement between two detector runs, in longer sides of their boxes. */
    stepNineTenths: Type.Number({ minimum: 0 }),
  },
  strict,
);
export type ViewReport = Static<typeof ViewReport>;
