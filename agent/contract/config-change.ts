/** What has changed of a box's configuration between two starts, for the room's event. */
import { type Static, Type } from '@sinclair/typebox';
import { MaskConfig } from './config.ts';

const strict = { additionalProperties: false } as const;
const Id = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
const literals = <const T extends readonly string[]>(values: T) =>
  Type.Union(values.map((value: T[number]) => Type.Literal(value)));

/** In the order in which they are told. */
export const CHANGED_LISTS = ['camera', 'zones', 'lines', 'masks', 'rules'] as const;

export const ConfigChange = Type.Object(
  {
    /** `other`: something else of the configuration; `unknown`: no record of what it was can be relied on. */
    lists: Type.Array(literals([...CHANGED_LISTS, 'other', 'unknown']), { minItems: 1, maxItems: 8 }),
    /** What is new, gone or another than it was. */
    places: Type.Array(
      Type.Object({ list: literals(['zones', 'lines', 'masks', 'rules']), id: Id }, strict),
      {
        maxItems: 256,
      },
    ),
    /** Masks of which a part is black no more, by the configuration itself; as they were. */
    masksLost: Type.Array(
      Type.Object(
        { id: Id, change: literals(['removed', 'smaller']), polygon: MaskConfig.properties.polygon },
        strict,
      ),
      { maxItems: 64 },
    ),
  },
  strict,
);
export type ConfigChange = Static<typeof ConfigChange>;
