/**
 * Closed list of the labels that a detector may report. It contains no face, no licence plate and no identity. A model
 * with any other output is refused at load.
 */
import { type Static, Type } from '@sinclair/typebox';

/** COCO index → name of the ten classes that Vigie uses. */
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
 * Group of labels that a small detector confuses with each other. NMS, tracks and thresholds work by group, never by
 * label.
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

/**
 * Label of an object that moves like a person or a vehicle and that the detector has not named. Rules may select it.
 */
export const UNKNOWN = 'unknown';
/** Label of an object in observations and events. A detector never reports `unknown`. */
export const ObjectLabel = Type.Union([...LabelSchema.anyOf, Type.Literal(UNKNOWN)]);
export type ObjectLabel = Static<typeof ObjectLabel>;
export const ObjectGroup = Type.Union([...GroupSchema.anyOf, Type.Literal(UNKNOWN)]);
export type ObjectGroup = Static<typeof ObjectGroup>;
