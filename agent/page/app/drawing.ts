/** Shapes that a technician draws: zones, lines and masks with their corners, and their undo history. */
import type { PointNorm } from '../../contract/geometry.ts';
import { polygonProblem } from '../../contract/polygon.ts';
import type { Proposable } from '../../contract/proposal.ts';

export type Drawing = Omit<Proposable, 'cameraAddress' | 'substreamAddress'>;

export type ShapeKind = 'zone' | 'line' | 'mask';
export interface ShapeName {
  readonly kind: ShapeKind;
  readonly id: string;
}
export interface Shape extends ShapeName {
  readonly points: readonly PointNorm[];
}

/** Same as in the schema of a polygon. */
export const CORNERS_MAX = 64;
const CORNERS_MIN = 3;
/** Same as in the schema of each list. */
const SHAPES_MAX = 64;
const UNDO_MAX = 100;

export function shapesOf({ zones, lines, masks }: Drawing): Shape[] {
  return [
    ...masks.map(({ id, polygon }): Shape => ({ kind: 'mask', id, points: polygon })),
    ...zones.map(({ id, polygon }): Shape => ({ kind: 'zone', id, points: polygon })),
    ...lines.map(({ id, from, to }): Shape => ({ kind: 'line', id, points: [from, to] })),
  ];
}

export function sameShape(a: ShapeName | undefined, b: ShapeName | undefined): boolean {
  return a !== undefined && a.kind === b?.kind && a.id === b.id;
}

export function withPoints(drawing: Drawing, name: ShapeName, points: readonly PointNorm[]): Drawing {
  const polygon = points.map(([x, y]): PointNorm => [x, y]);
  const [from, to] = polygon;
  const replaced = <T extends { id: string }>(list: T[], change: (item: T) => T): T[] =>
    list.map((item) => (item.id === name.id ? change(item) : item));
  if (name.kind === 'zone') return { ...drawing, zones: replaced(drawing.zones, (z) => ({ ...z, polygon })) };
  if (name.kind === 'mask') return { ...drawing, masks: replaced(drawing.masks, (m) => ({ ...m, polygon })) };
  if (from === undefined || to === undefined) return drawing;
  return { ...drawing, lines: replaced(drawing.lines, (l) => ({ ...l, from, to })) };
}

/** Undefined if the maximum number exists. */
export function added(drawing: Drawing, { kind, id }: ShapeName): Drawing | undefined {
  const list = { zone: drawing.zones, line: drawing.lines, mask: drawing.masks }[kind];
  if (list.length >= SHAPES_MAX) return undefined;
  // Placed in the middle, each a little further on, so that two do not overlap exactly.
  const off = 0.04 * (list.length % 5);
  const [near, far] = [0.3 + off, 0.6 + off];
  const polygon: PointNorm[] = [
    [near, near],
    [far, near],
    [far, far],
    [near, far],
  ];
  if (kind === 'zone') return { ...drawing, zones: [...drawing.zones, { id, polygon }] };
  if (kind === 'mask') return { ...drawing, masks: [...drawing.masks, { id, polygon }] };
  return { ...drawing, lines: [...drawing.lines, { id, from: [near, 0.5], to: [far, 0.5] }] };
}

/** Returns the drawing without the shape and without the rules that use it. */
export function removed(drawing: Drawing, { kind, id }: ShapeName): Drawing {
  const rest = <T extends { id: string }>(list: T[]): T[] => list.filter((item) => item.id !== id);
  if (kind === 'mask') return { ...drawing, masks: rest(drawing.masks) };
  if (kind === 'line') {
    const rules = drawing.rules.filter((rule) => !('line' in rule) || rule.line !== id);
    return { ...drawing, lines: rest(drawing.lines), rules };
  }
  const rules = drawing.rules.filter((rule) => !('zone' in rule) || rule.zone !== id);
  return { ...drawing, zones: rest(drawing.zones), rules };
}

/** Renames a shape, also in the rules; undefined if the name is taken or invalid. */
export function renamed(drawing: Drawing, { kind, id }: ShapeName, to: string): Drawing | undefined {
  if (!/^[a-z0-9-]{1,32}$/.test(to)) return undefined;
  if (shapesOf(drawing).some((shape) => shape.kind === kind && shape.id === to)) return undefined;
  const renameIn = <T extends { id: string }>(list: T[]): T[] =>
    list.map((item) => (item.id === id ? { ...item, id: to } : item));
  if (kind === 'mask') return { ...drawing, masks: renameIn(drawing.masks) };
  if (kind === 'line') {
    const rules = drawing.rules.map((rule) =>
      'line' in rule && rule.line === id ? { ...rule, line: to } : rule,
    );
    return { ...drawing, lines: renameIn(drawing.lines), rules };
  }
  const rules = drawing.rules.map((rule) =>
    'zone' in rule && rule.zone === id ? { ...rule, zone: to } : rule,
  );
  return { ...drawing, zones: renameIn(drawing.zones), rules };
}

/** Returns a free name of that kind: one of `candidates`, otherwise the kind and a number. */
export function freeName(drawing: Drawing, kind: ShapeKind, candidates: readonly string[]): string {
  const usedIds = new Set(shapesOf(drawing).flatMap((shape) => (shape.kind === kind ? [shape.id] : [])));
  const free = candidates.find((id) => !usedIds.has(id));
  if (free !== undefined) return free;
  let number = usedIds.size + 1;
  while (usedIds.has(`${kind}-${number}`)) number += 1;
  return `${kind}-${number}`;
}

export function withCorner({ points }: Shape, index: number, point: PointNorm): PointNorm[] {
  return points.map((corner, i) => (i === index ? point : corner));
}

/** Inserts a corner after the given index; returns the same corners if the maximum is reached. */
export function withInserted({ kind, points }: Shape, after: number, point: PointNorm): readonly PointNorm[] {
  if (kind === 'line' || points.length >= CORNERS_MAX) return points;
  return [...points.slice(0, after + 1), point, ...points.slice(after + 1)];
}

/** Returns the same corners if the minimum is reached. */
export function withoutCorner({ kind, points }: Shape, index: number): readonly PointNorm[] {
  if (kind === 'line' || points.length <= CORNERS_MIN) return points;
  return points.filter((_, i) => i !== index);
}

/** True if the shape's sides cross, or it has no area or no length. */
export function isInvalidShape({ kind, points }: Shape): boolean {
  if (kind !== 'line') return polygonProblem(points) !== undefined;
  const [from, to] = points;
  return from === undefined || to === undefined || (from[0] === to[0] && from[1] === to[1]);
}

export interface History {
  readonly past: readonly Drawing[];
  readonly now: Drawing;
  readonly future: readonly Drawing[];
}

export function committed({ past, now }: History, next: Drawing): History {
  return { past: [...past.slice(1 - UNDO_MAX), now], now: next, future: [] };
}

export function undone({ past, now, future }: History): History {
  const before = past.at(-1);
  return before === undefined
    ? { past, now, future }
    : { past: past.slice(0, -1), now: before, future: [now, ...future] };
}

export function redone({ past, now, future }: History): History {
  const [next, ...rest] = future;
  return next === undefined ? { past, now, future } : { past: [...past, now], now: next, future: rest };
}
