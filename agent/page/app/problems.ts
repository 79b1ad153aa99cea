/** Finds on the phone the problems that prevent trying a draft. The box checks again, and its result counts. */
import { cameraAddress, namesCamera } from '../../contract/camera-address.ts';
import type { OrderView } from '../../contract/page-link.ts';
import { covers } from '../../contract/polygon.ts';
import type { RuleConfig } from '../../contract/rule-config.ts';
import { type Drawing, isFaulty, type Shape, shapesOf } from './drawing.ts';
import { peopleFault } from './height-gauge.ts';
import { badFields, placeOf, type RuleFields } from './rule-fields.ts';

export type ProblemCode =
  | 'shape-crosses'
  | 'outside-outline'
  | 'rule-incomplete'
  | 'rule-no-place'
  | 'rule-no-order'
  | 'rule-installation'
  | 'rule-kind'
  | 'rule-place'
  | 'rule-purpose'
  | 'camera-order'
  | 'ground';

export interface Problem {
  readonly code: ProblemCode;
  readonly about: 'shape' | 'rule' | 'camera' | 'ground';
  /** Id of the shape or rule. */
  readonly id: string;
  /** Caused by the authorisation: shown in red, and not fixable by drawing. */
  readonly order: boolean;
  /**
   * True if it prevents the trial. A rule that was installed before and is not covered does not run, and blocks
   * nothing.
   */
  readonly blocks: boolean;
}

export interface Draft {
  readonly drawing: Drawing;
  /** Undefined for the installed source. */
  readonly source: string | undefined;
}

export interface ProblemsContext {
  readonly order: OrderView | null;
  readonly installed: Drawing | null;
  readonly fields: RuleFields;
}

export function problemsOf({ drawing, source }: Draft, context: ProblemsContext): Problem[] {
  return [
    ...shapesOf(drawing).flatMap((shape) => shapeProblems(shape, context.order)),
    ...drawing.rules.flatMap((rule) => ruleProblems(rule, drawing, context)),
    ...cameraProblems(source, context.order),
    ...(drawing.groundPlane !== null && peopleFault(drawing.groundPlane.people) !== undefined
      ? [{ code: 'ground', about: 'ground', id: '', order: false, blocks: true } as const]
      : []),
  ];
}

function shapeProblems(shape: Shape, order: OrderView | null): Problem[] {
  const problem = { about: 'shape', id: shape.id, blocks: true } as const;
  if (isFaulty(shape)) return [{ ...problem, code: 'shape-crosses', order: false }];
  const outline = shape.kind === 'mask' ? undefined : order?.outlines.find(({ id }) => id === shape.id);
  if (outline === undefined || covers(outline.polygon, shape.points)) return [];
  return [{ ...problem, code: 'outside-outline', order: true }];
}

function ruleProblems(rule: RuleConfig, drawing: Drawing, context: ProblemsContext): Problem[] {
  const problem = { about: 'rule', id: rule.id, order: false, blocks: true } as const;
  const problems: Problem[] = [];
  if (badFields(context.fields, rule).length > 0) problems.push({ ...problem, code: 'rule-incomplete' });
  const places = 'zone' in rule ? drawing.zones : drawing.lines;
  if (!places.some(({ id }) => id === placeOf(rule))) problems.push({ ...problem, code: 'rule-no-place' });
  const code = uncovered(rule, context.order);
  if (code !== undefined) {
    const before = context.installed?.rules.find(({ id }) => id === rule.id);
    const blocks = JSON.stringify(before) !== JSON.stringify(rule);
    problems.push({ ...problem, code, order: true, blocks });
  }
  return problems;
}

/** Returns the reason why the authorisation does not cover a rule, or undefined if it does. */
export function uncovered(rule: RuleConfig, order: OrderView | null): ProblemCode | undefined {
  if (order === null) return 'rule-no-order';
  if (order.installation) return 'rule-installation';
  const ofKind = order.rules.filter(({ kind }) => kind === rule.kind);
  if (ofKind.length === 0) return 'rule-kind';
  const ofPlace = ofKind.filter(({ zones }) => zones === 'all' || zones.includes(placeOf(rule)));
  if (ofPlace.length === 0) return 'rule-place';
  return ofPlace.some(({ purpose }) => purpose === rule.purpose) ? undefined : 'rule-purpose';
}

function cameraProblems(source: string | undefined, order: OrderView | null): Problem[] {
  if (source === undefined || order === null || namesCamera(order, cameraAddress(source))) return [];
  return [{ code: 'camera-order', about: 'camera', id: '', order: true, blocks: true }];
}
