/** Describes the first validation error of a value in one line: where it is and what is accepted. */
import type { TSchema } from '@sinclair/typebox';
import { type TypeCheck, TypeCompiler, type ValueError, ValueErrorType } from '@sinclair/typebox/compiler';
import { printable } from '../../../../agent/base/printable.ts';

/** Compiled checks by schema. */
const checks = new WeakMap<TSchema, TypeCheck<TSchema>>();

/** Returns the first validation error, or undefined if the value is valid. */
export function problemOf(schema: TSchema, value: unknown): string | undefined {
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
    return `${dottedPath(path)} is not known here; ${knownIn(schema)}`;
  }
  if (type === ValueErrorType.ObjectRequiredProperty) return `${dottedPath(path)} is missing`;
  if (type === ValueErrorType.Union) {
    const words = literals(schema);
    if (words !== undefined) return `${dottedPath(path)} must be one of ${words.join(', ')}`;
    const [first] = errors.flatMap((one) => [...one]);
    if (first !== undefined) return lineOf(first);
  }
  if (type === ValueErrorType.StringPattern || (type === ValueErrorType.String && schema.description)) {
    return `${dottedPath(path)} must be ${schema.description ?? `text that fits ${String(schema['pattern'])}`}`;
  }
  return `${dottedPath(path)}: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
}

/**
 * Formats a JSON pointer (RFC 6901) in dotted form: `tokens.0.role`. Its names come from the caller, so they are made
 * printable.
 */
function dottedPath(path: string): string {
  if (path === '') return 'it as a whole';
  const parts = path
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  return printable(parts.join('.'), 100);
}

/** Lists the accepted members of the object that has the unknown one; the error holds that object's schema. */
function knownIn(schema: TSchema): string {
  const names = Object.keys((schema['properties'] as Readonly<Record<string, TSchema>> | undefined) ?? {});
  return names.length === 0 ? 'no fields are accepted' : `known: ${names.join(', ')}`;
}

function literals(schema: TSchema): string[] | undefined {
  const parts = (schema['anyOf'] as readonly TSchema[] | undefined) ?? [];
  const words = parts.flatMap((part) => ('const' in part ? [String(part['const'])] : []));
  return words.length === parts.length && words.length > 0 ? words : undefined;
}
