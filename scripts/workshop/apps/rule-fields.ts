/** Extracts the fields of every rule kind from its schema, so that the phone needs no schema library. */
import type { TSchema } from '@sinclair/typebox';
import { RULE_SCHEMAS } from '../../../agent/contract/rule-config.ts';

interface RuleField {
  readonly name: string;
  readonly type: 'place' | 'number' | 'integer' | 'choice' | 'labels' | 'schedule';
  readonly min?: number;
  readonly max?: number;
  readonly default?: unknown;
  readonly options?: readonly string[];
}

export function ruleFields(): Record<string, RuleField[]> {
  return Object.fromEntries(
    RULE_SCHEMAS.map(({ properties: { id: _id, kind, purpose: _purpose, ...parameters } }) => [
      kind.const,
      // The minimum score follows from the room's verdicts and is not a technician's guess on site.
      Object.entries(parameters)
        .filter(([name]) => name !== 'scoreMin')
        .map(([name, schema]) => fieldOf(name, schema)),
    ]),
  );
}

function fieldOf(name: string, schema: TSchema): RuleField {
  const initial = schema['default'] === undefined ? {} : { default: schema['default'] as unknown };
  if (name === 'zone' || name === 'line') return { name, type: 'place' };
  if (name === 'schedule') return { name, type: 'schedule' };
  if (schema['type'] === 'number' || schema['type'] === 'integer') {
    const { minimum, maximum } = schema as { minimum?: number; maximum?: number };
    return {
      name,
      type: schema['type'],
      ...(minimum !== undefined && { min: minimum }),
      ...(maximum !== undefined && { max: maximum }),
      ...initial,
    };
  }
  if (schema['type'] === 'array')
    return { name, type: 'labels', options: literals(schema['items']), ...initial };
  return { name, type: 'choice', options: literals(schema), ...initial };
}

/** Throws if a rule has a parameter that the form cannot show: the form must be extended. */
function literals(schema: TSchema): string[] {
  const { anyOf } = schema as { anyOf?: { const?: unknown }[] };
  const values = anyOf?.map(({ const: value }) => value);
  if (values?.every((value) => typeof value === 'string') !== true) {
    throw new Error(`no form for ${JSON.stringify(schema)}`);
  }
  return values;
}
