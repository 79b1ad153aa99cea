/**
 * The closed list of what a detector may name. There is no face, no plate and no identity in it,
 * and a model that outputs anything else is refused at load.
 */
import { type Static, Type } from '@sinclair/typebox';

/** COCO index → name, for the ten classes that Vigie keeps. */
export const LABELS = {
  0: 'person',
  1: 'bicycle',
  2: 'car',
  3: 'motorcycle',
  5: 'bus',
  7: 'truck',
  16: 'dog',
  24: 'backpack',
  26: 'handbag',
  28: 'suitcase',
} as const;

export type Label = (typeof LABELS)[keyof typeof LABELS];
export const LabelSchema = Type.Union(Object.values(LABELS).map((name) => Type.Literal(name)));

/**
 * Labels that a small detector confuses with each other form one group; NMS, tracks and thresholds
 * go by group, never by label.
 */
export const GroupSchema = Type.Union([
  Type.Literal('person'),
  Type.Literal('vehicle'),
  Type.Literal('cycle'),
  Type.Literal('animal'),
  Type.Literal('bag'),
]);
export type Group = Static<typeof GroupSchema>;

const GROUPS: Readonly<Record<Label, Group>> = {
  person: 'person',
  bicycle: 'cycle',
  car: 'vehicle',
  motorcycle: 'vehicle',
  bus: 'vehicle',
  truck: 'vehicle',
  dog: 'animal',
  backpack: 'bag',
  handbag: 'bag',
  suitcase: 'bag',
};

export function groupOf(label: Label): Group {
  return GROUPS[label];
}

/** What moves as a person or a vehicle does, and no detector has named: rules may ask for it by this name. */
export const UNKNOWN = 'unknown';
/** What an object is called in observations and events; a detector never says `unknown`. */
export const ObjectLabel = Type.Union([...LabelSchema.anyOf, Type.Literal(UNKNOWN)]);
export type ObjectLabel = Static<typeof ObjectLabel>;
export const ObjectGroup = Type.Union([...GroupSchema.anyOf, Type.Literal(UNKNOWN)]);
export type ObjectGroup = Static<typeof ObjectGroup>;
