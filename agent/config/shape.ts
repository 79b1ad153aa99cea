/** Checks names, types and ranges of the data against the TypeBox schema, and describes every deviation. */
import { KindGuard, type TObject, type TSchema, Type } from '@sinclair/typebox';
import { Value, type ValueError, ValueErrorType } from '@sinclair/typebox/value';
import { Config } from '../contract/config.ts';
import { isRuleKind, RULE_KINDS, ruleSchema } from '../contract/rule-config.ts';
import { displayValue, type Path, PROBLEMS_MAX } from './problem.ts';
import { didYouMean, expected, literals, nearest } from './words.ts';

/** Validation error whose position is not yet known. */
export interface ValidationError {
  readonly path: Path;
  /** Invalid part of the path: an unknown key, or the value. */
  readonly at: 'key' | 'value';
  readonly found: string | null;
  readonly message: string;
}

/** Schema without the content of rules: a union's errors would not name the intended kind. */
const Outline = Type.Object(
  { ...Config.properties, rules: Type.Array(Type.Unknown(), { maxItems: 64, default: [] }) },
  { additionalProperties: false },
);

/** Fills in defaults (in place) and returns every error, at most PROBLEMS_MAX. */
export function checkShape(data: Record<string, unknown>): ValidationError[] {
  fillDefaults(Outline, data);
  const validationErrors = new Map<string, ValidationError>();
  collect(Value.Errors(Outline, data), data, [], validationErrors);
  const rules = data['rules'];
  if (Array.isArray(rules)) {
    for (const [index, rule] of rules.entries()) checkRule(rule, ['rules', index], validationErrors);
  }
  return [...validationErrors.values()].slice(0, PROBLEMS_MAX);
}

/**
 * Fills in defaults. TypeBox's Value.Default is unsuitable: if a list has a default, it turns an invalid group into a
 * list.
 */
function fillDefaults({ properties }: TObject, group: Record<string, unknown>): void {
  for (const [key, schema] of Object.entries(properties)) {
    if (group[key] === undefined && schema['default'] !== undefined) {
      group[key] = structuredClone(schema['default']);
    }
    const value = group[key];
    if (KindGuard.IsObject(schema) && isGroup(value)) fillDefaults(schema, value);
    if (!KindGuard.IsArray(schema) || !Array.isArray(value)) continue;
    for (const item of value) {
      if (KindGuard.IsObject(schema.items) && isGroup(item)) fillDefaults(schema.items, item);
    }
  }
}

function checkRule(rule: unknown, path: Path, validationErrors: Map<string, ValidationError>): void {
  if (!isGroup(rule)) {
    const message = 'must be a group of keys (id, kind, purpose, …)';
    add(validationErrors, { path, at: 'value', found: displayValue(rule, path), message });
    return;
  }
  const { kind } = rule;
  const isKnown = typeof kind === 'string' && isRuleKind(kind);
  // If the kind is mistyped, the rest is checked as the most likely kind.
  const likelyKind = !isKnown && typeof kind === 'string' ? nearest(kind, RULE_KINDS) : undefined;
  if (!isKnown) {
    const hint = likelyKind === undefined ? '' : `; did you mean "${likelyKind}"?`;
    const message = `${kind === undefined ? 'missing; ' : ''}must be one of ${RULE_KINDS.join(', ')}${hint}`;
    add(validationErrors, { path: [...path, 'kind'], at: 'value', found: displayValue(kind, path), message });
  }
  const checkedKind = likelyKind ?? kind;
  if (typeof checkedKind !== 'string' || !isRuleKind(checkedKind)) return;
  const schema = ruleSchema(checkedKind);
  fillDefaults(schema, rule);
  collect(Value.Errors(schema, rule), rule, path, validationErrors);
}

function collect(
  errors: Iterable<ValueError>,
  root: unknown,
  at: Path,
  validationErrors: Map<string, ValidationError>,
): void {
  for (const error of errors) {
    if (validationErrors.size >= PROBLEMS_MAX) return;
    add(validationErrors, validationErrorOf(error, [...at, ...pathOf(root, error.path)]));
  }
}

/** Adds one error per path: the first is the most useful (a missing key is also "not text"). */
function add(validationErrors: Map<string, ValidationError>, validationError: ValidationError): void {
  const key = JSON.stringify(validationError.path);
  if (!validationErrors.has(key)) validationErrors.set(key, validationError);
}

function validationErrorOf(error: ValueError, path: Path): ValidationError {
  const { schema, value } = error;
  if (error.type === ValueErrorType.ObjectAdditionalProperties) {
    const knownKeys = Object.keys(schema['properties'] as object);
    const right = didYouMean(String(path.at(-1)), knownKeys) || `; known here: ${knownKeys.join(', ')}`;
    // The value of an unknown key is untrusted and may be a password, so it is not shown.
    return { path, at: 'key', found: null, message: `unknown key${right}` };
  }
  if (error.type === ValueErrorType.ObjectRequiredProperty) {
    const meaning = schema.title === undefined ? '' : ` (${schema.title})`;
    return { path, at: 'value', found: null, message: `missing${meaning}; must be ${expected(schema)}` };
  }
  return {
    path,
    at: 'value',
    found: displayValue(value, path),
    message: `must be ${rightValue(error, path)}`,
  };
}

function rightValue({ type, schema, value }: ValueError, path: Path): string {
  switch (type) {
    case ValueErrorType.StringMinLength:
      return 'text that is not empty';
    case ValueErrorType.StringMaxLength:
      return `text of at most ${schema['maxLength']} characters`;
    case ValueErrorType.ArrayMinItems:
      return `a list of at least ${schema['minItems']}`;
    case ValueErrorType.ArrayMaxItems:
      return `a list of at most ${schema['maxItems']}`;
    case ValueErrorType.String:
      return `${expected(schema)}${['number', 'boolean'].includes(typeof value) ? '; put it in quotes' : ''}`;
    case ValueErrorType.Union:
      return `${expected(schema)}${typeof value === 'string' ? didYouMean(value, literals(schema)) : ''}`;
    case ValueErrorType.IntegerMultipleOf:
      return `${expected(schema)}; near: ${nearMultiples(schema, Number(value))}`;
    case ValueErrorType.NumberMinimum:
    case ValueErrorType.NumberMaximum:
      return `${expected(schema)}${isCoordinate(path) ? ': a ratio of the width or height, not pixels' : ''}`;
    default:
      return expected(schema);
  }
}

function nearMultiples(schema: TSchema, value: number): string {
  const step = Number(schema['multipleOf']);
  const clamp = (multiple: number): number =>
    Math.min(
      Math.max(multiple, Number(schema['minimum'] ?? multiple)),
      Number(schema['maximum'] ?? multiple),
    );
  const near = [clamp(Math.floor(value / step) * step), clamp(Math.ceil(value / step) * step)];
  return [...new Set(near)].join(' or ');
}

function isCoordinate(path: Path): boolean {
  return path[0] === 'zones' || path[0] === 'lines' || path[0] === 'masks';
}

/** Converts a JSON pointer (RFC 6901) to a path, with numbers where the data has lists. */
function pathOf(root: unknown, pointer: string): Path {
  const path: (string | number)[] = [];
  let value = root;
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replace(/~1/g, '/').replace(/~0/g, '~');
    path.push(Array.isArray(value) ? Number(key) : key);
    value = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
  }
  return path;
}

export function isGroup(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
