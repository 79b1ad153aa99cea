/**
 * Converts TypeBox's schemas to JSON Schema 2020-12. TypeBox writes tuples and unions in an older form, while OpenAPI
 * 3.1 and AsyncAPI 3.0 take the newer one.
 */
import type { TSchema } from '@sinclair/typebox';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

export function plain(schema: TSchema): JsonObject {
  // TypeBox keeps its own marks under symbols, which JSON omits.
  return modern(JSON.parse(JSON.stringify(schema)) as Json) as JsonObject;
}

/** Tuples: `items` + `additionalItems` → `prefixItems` + `items`. Unions of constants → `enum`. */
function modern(value: Json): Json {
  if (Array.isArray(value)) return value.map(modern);
  if (!isObject(value)) return value;
  const { items, additionalItems, anyOf, patternProperties, ...rest } = Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, modern(inner)]),
  );
  const constants = Array.isArray(anyOf) ? anyOf.map((option) => isObject(option) && option['const']) : [];
  const closed = constants.length > 0 && constants.every((constant) => typeof constant === 'string');
  return {
    ...rest,
    ...(Array.isArray(items) ? { prefixItems: items, items: false } : items !== undefined && { items }),
    ...(additionalItems !== undefined && !Array.isArray(items) && { additionalItems }),
    ...(closed ? { enum: constants } : anyOf !== undefined && { anyOf }),
    ...(patternProperties !== undefined && record(patternProperties)),
  };
}

/** A record with arbitrary keys has no constraint on them. */
function record(patternProperties: Json): JsonObject {
  const entries = Object.entries(patternProperties as JsonObject);
  const [first] = entries;
  if (entries.length === 1 && first?.[0] === '^(.*)$') {
    return isObject(first[1]) && Object.keys(first[1]).length === 0 ? {} : { additionalProperties: first[1] };
  }
  return { patternProperties, additionalProperties: false };
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
