/** Finds on the phone the problems that prevent trying a draft. The box checks again, and its result counts. */
import { cameraAddress } from '../../contract/camera-address.ts';
import type { AuthorisationView } from '../../contract/page-link.ts';
import { covers } from '../../contract/polygon.ts';
import type { RuleConfig } from '../../contract/rule-config.ts';
import { type Drawing, isInvalidShape, type Shape, type ShapeKind, shapesOf } from './drawing.ts';
import { peopleProblem } from './height-gauge.ts';
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
  /** A zone, a line and a mask may have the same id. */
  readonly about: ShapeKind | 'rule' | 'camera' | 'ground';
  /** Id of the shape or rule. */
  readonly id: string;
  /** Caused by the authorisation: shown in red, and not fixable by drawing. */
  readonly byAuthorisation: boolean;
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
  readonly authorisation: AuthorisationView | null;
  readonly installed: Drawing | null;
  readonly fields: RuleFields;
}

export function problemsOf({ drawing, source }: Draft, context: ProblemsContext): Problem[] {
  return [
    ...shapesOf(drawing).flatMap((shape) => shapeProblems(shape, context.authorisation)),
    ...drawing.rules.flatMap((rule) => ruleProblems(rule, drawing, context)),
    ...cameraProblems(source, context.authorisation),
    ...(drawing.groundPlane !== null && peopleProblem(drawing.groundPlane.people) !== undefined
      ? [{ code: 'ground', about: 'ground', id: '', byAuthorisation: false, blocks: true } as const]
      : []),
  ];
}

function shapeProblems(shape: Shape, authorisation: AuthorisationView | null): Problem[] {
  const problem = { about: shape.kind, id: shape.id, blocks: true } as const;
  if (isInvalidShape(shape)) return [{ ...problem, code: 'shape-crosses', byAuthorisation: false }];
  const outline =
    shape.kind === 'mask' ? undefined : authorisation?.outlines.find(({ id }) => id === shape.id);
  if (outline === undefined || covers(outline.polygon, shape.points)) return [];
  return [{ ...problem, code: 'outside-outline', byAuthorisation: true }];
}

function ruleProblems(rule: RuleConfig, drawing: Drawing, context: ProblemsContext): Problem[] {
  const problem = { about: 'rule', id: rule.id, byAuthorisation: false, blocks: true } as const;
  const problems: Problem[] = [];
  if (badFields(context.fields, rule).length > 0) problems.push({ ...problem, code: 'rule-incomplete' });
  const places = 'zone' in rule ? drawing.zones : drawing.lines;
  if (!places.some(({ id }) => id === placeOf(rule))) problems.push({ ...problem, code: 'rule-no-place' });
  const code = uncovered(rule, context.authorisation);
  if (code !== undefined) {
    const before = context.installed?.rules.find(({ id }) => id === rule.id);
    const blocks = JSON.stringify(before) !== JSON.stringify(rule);
    problems.push({ ...problem, code, byAuthorisation: true, blocks });
  }
  return problems;
}

/** Returns the reason why the authorisation does not cover a rule, or undefined if it does. */
export function uncovered(
  rule: RuleConfig,
  authorisation: AuthorisationView | null,
): ProblemCode | undefined {
  if (authorisation === null) return 'rule-no-order';
  if (authorisation.installation) return 'rule-installation';
  const ofKind = authorisation.rules.filter(({ kind }) => kind === rule.kind);
  if (ofKind.length === 0) return 'rule-kind';
  const ofPlace = ofKind.filter(({ zones }) => zones === 'all' || zones.includes(placeOf(rule)));
  if (ofPlace.length === 0) return 'rule-place';
  return ofPlace.some(({ purpose }) => purpose === rule.purpose) ? undefined : 'rule-purpose';
}

/**
 * Reports whether the authorisation may name the stream. The phone does not know the values that it pins by a digest;
 * the box compares them at the trial.
 */
export function mayName({ camera, substream }: AuthorisationView, source: string): boolean {
  return [camera, substream].includes(cameraAddress(source));
}

function cameraProblems(source: string | undefined, authorisation: AuthorisationView | null): Problem[] {
  if (source === undefined || authorisation === null || mayName(authorisation, source)) return [];
  return [{ code: 'camera-order', about: 'camera', id: '', byAuthorisation: true, blocks: true }];
}
