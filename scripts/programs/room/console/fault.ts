/** What is wrong with a value, by the first thing that does not fit its schema: one line that says where, and what would fit. */
import type { TSchema } from '@sinclair/typebox';
import { type TypeCheck, TypeCompiler, type ValueError, ValueErrorType } from '@sinclair/typebox/compiler';
import { printable } from '../../../../agent/base/printable.ts';

/** Compiled once for each schema. */
const checks = new WeakMap<TSchema, TypeCheck<TSchema>>();

/** Undefined where it fits. */
export function faultOf(schema: TSchema, value: unknown): string | undefined {
  let check = checks.get(schema);
  if (check === undefined) {
    check = TypeCompiler.Compile(schema);
    checks.set(schema, check);
  }
  if (check.Check(value)) return undefined;
  const error = check.Errors(value).First();
  return error === undefined ? 'does not fit' : lineOf(error);
}

function lineOf({ path, message, schema, type, errors }: ValueError): string {
  if (type === ValueErrorType.ObjectAdditionalProperties) {
    return `${where(path)} is not known here; ${knownIn(schema)}`;
  }
  if (type === ValueErrorType.ObjectRequiredProperty) return `${where(path)} is missing`;
  if (type === ValueErrorType.Union) {
    const words = literals(schema);
    if (words !== undefined) return `${where(path)} must be one of ${words.join(', ')}`;
    const [first] = errors.flatMap((one) => [...one]);
    if (first !== undefined) return lineOf(first);
  }
  if (type === ValueErrorType.StringPattern || (type === ValueErrorType.String && schema.description)) {
    return `${where(path)} must be ${schema.description ?? `text that fits ${String(schema['pattern'])}`}`;
  }
  return `${where(path)}: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
}

/** JSON pointer (RFC 6901) as people write it: `tokens.0.role`. Names in it come from whoever asked. */
function where(path: string): string {
  if (path === '') return 'it as a whole';
  const parts = path
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  return printable(parts.join('.'), 100);
}

/** Of the object in which it was found: the error holds the schema of that. */
function knownIn(schema: TSchema): string {
  const names = Object.keys((schema['properties'] as Readonly<Record<string, TSchema>> | undefined) ?? {});
  return names.length === 0 ? 'nothing is' : `known: ${names.join(', ')}`;
}

function literals(schema: TSchema): string[] | undefined {
  const parts = (schema['anyOf'] as readonly TSchema[] | undefined) ?? [];
  const words = parts.flatMap((part) => ('const' in part ? [String(part['const'])] : []));
  return words.length === parts.length && words.length > 0 ? words : undefined;
}
