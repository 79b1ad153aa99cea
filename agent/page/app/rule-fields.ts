/** Fields of the form of each rule kind, which the build takes from the schema, and the defaults of a new rule. */
import type { AuthorisationView } from '../../contract/page-link.ts';
import type { RuleConfig, RuleKind } from '../../contract/rule-config.ts';
import type { Drawing } from './drawing.ts';

/** Names of all parameters of all rule kinds. */
export type FieldName = Exclude<
  RuleConfig extends infer R ? (R extends unknown ? keyof R : never) : never,
  'id' | 'kind' | 'purpose' | 'scoreMin'
>;

export interface RuleField {
  readonly name: FieldName;
  readonly type: 'place' | 'number' | 'integer' | 'choice' | 'labels' | 'schedule';
  readonly min?: number;
  readonly max?: number;
  readonly default?: unknown;
  readonly options?: readonly string[];
}

export type RuleFields = Readonly<Record<RuleKind, readonly RuleField[]>>;

/** A direction has no default; it points to the right until it is set. */
const DIRECTION_DEG = 0;

/** Returns a rule of that kind with defaults, for the first place and the purpose that the authorisation names. */
export function newRule(
  fields: RuleFields,
  kind: RuleKind,
  drawing: Drawing,
  authorisation: AuthorisationView | null,
): RuleConfig {
  const entry = authorisation?.rules.find((rule) => rule.kind === kind);
  const placeIds = (watchesLine(fields, kind) ? drawing.lines : drawing.zones).map(({ id }) => id);
  const allowed = placeIds.find((id) => entry?.zones === 'all' || entry?.zones.includes(id));
  const parameters = fields[kind].flatMap(({ name, type, default: initial }) => {
    if (type === 'place') return [[name, allowed ?? placeIds[0] ?? '']];
    if (type === 'schedule') return [];
    return [[name, initial ?? DIRECTION_DEG]];
  });
  return {
    id: freeRuleName(kind, drawing),
    kind,
    purpose: entry?.purpose ?? '',
    ...(Object.fromEntries(parameters) as object),
  } as RuleConfig;
}

/** True if rules of a kind, as an authorisation names it, use lines. */
export function watchesLine(fields: RuleFields, kind: string): boolean {
  return isRuleKind(fields, kind) && fields[kind].some(({ name }) => name === 'line');
}

export function isRuleKind(fields: RuleFields, text: string): text is RuleKind {
  return Object.hasOwn(fields, text);
}

function freeRuleName(kind: RuleKind, { rules }: Drawing): string {
  const usedIds = new Set(rules.map(({ id }) => id));
  if (!usedIds.has(kind)) return kind;
  let number = 2;
  while (usedIds.has(`${kind}-${number}`)) number += 1;
  return `${kind}-${number}`;
}

/** Same as in the schema of a schedule. */
export const TIME = /^(([01]\d|2[0-3]):[0-5]\d|24:00)$/;

export function placeOf(rule: RuleConfig): string {
  return 'zone' in rule ? rule.zone : rule.line;
}

/** Returns the fields with values that the schema refuses. */
export function badFields(fields: RuleFields, rule: RuleConfig): FieldName[] {
  const values = rule as unknown as Readonly<Record<string, unknown>>;
  return fields[rule.kind].flatMap((field) => (isFine(field, values[field.name]) ? [] : [field.name]));
}

function isFine({ type, min = -Infinity, max = Infinity }: RuleField, value: unknown): boolean {
  switch (type) {
    case 'number':
    case 'integer':
      return (
        typeof value === 'number' &&
        value >= min &&
        value <= max &&
        (type === 'number' || Number.isInteger(value))
      );
    case 'labels':
      return Array.isArray(value) && value.length > 0;
    case 'schedule':
      return value === undefined || (Array.isArray(value) && value.length > 0 && value.every(isSpan));
    case 'place':
    case 'choice':
      return typeof value === 'string' && value !== '';
  }
}

function isSpan(value: { days: readonly string[]; from: string; to: string }): boolean {
  const { days, from, to } = value;
  return days.length > 0 && TIME.test(from) && TIME.test(to) && from !== to;
}
