/** Changes of a box's configuration between two starts, for the event sent to the room. */
import { type Static, Type } from '@sinclair/typebox';
import { MaskConfig } from './config.ts';

const strict = { additionalProperties: false } as const;
const Id = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
const literals = <const T extends readonly string[]>(values: T) =>
  Type.Union(values.map((value: T[number]) => Type.Literal(value)));

/**
 * Origin of a change, as the agent sees it when it starts.
 * - `technician`: on trial by the technician's page.
 * - `order`: on trial by a configuration that the room has ordered.
 * - `box`: changed in another way on the box, for example by an editor.
 */
export const CHANGE_ORIGINS = ['technician', 'order', 'box'] as const;
export type ChangeOrigin = (typeof CHANGE_ORIGINS)[number];

/** Listed in the order of reporting. */
export const CHANGED_LISTS = ['camera', 'zones', 'lines', 'masks', 'rules'] as const;

export const ConfigChange = Type.Object(
  {
    /**
     * `other`: another part of the configuration. `unknown`: no reliable record of the previous configuration exists.
     */
    lists: Type.Array(literals([...CHANGED_LISTS, 'other', 'unknown']), { minItems: 1, maxItems: 8 }),
    /** Added, removed and changed places. */
    places: Type.Array(
      Type.Object({ list: literals(['zones', 'lines', 'masks', 'rules']), id: Id }, strict),
      {
        maxItems: 256,
      },
    ),
    /** Previous masks of which a part is no longer black, through a change of the configuration alone. */
    masksLost: Type.Array(
      Type.Object(
        {
          id: Id,
          change: literals(['removed', 'smaller']),
          by: literals(CHANGE_ORIGINS),
          polygon: MaskConfig.properties.polygon,
        },
        strict,
      ),
      { maxItems: 64 },
    ),
  },
  strict,
);
export type ConfigChange = Static<typeof ConfigChange>;
