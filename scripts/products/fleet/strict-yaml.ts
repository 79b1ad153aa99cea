/** Reads and validates the YAML files that people write for fleet, and reports one line per validation error. */
import { readFileSync } from 'node:fs';
import type { Static, TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf } from '../../../agent/base/errors.ts';
import { printable } from '../../../agent/base/printable.ts';
import { parseYaml } from '../../../agent/base/yaml-text.ts';

/** Maximum number of reported validation errors. */
const VALIDATION_ERRORS_MAX = 20;

/** Returns the content with its defaults. Throws AgentError `config`. */
export function readYaml<S extends TSchema>(file: string, schema: S): Static<S> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new AgentError('config', `${file} cannot be read: ${messageOf(error)}`, error);
  }
  let content: unknown;
  try {
    content = parseYaml(text);
  } catch (error) {
    throw new AgentError('config', `${file} is not YAML: ${messageOf(error)}`, error);
  }
  return ofSchema(file, content, schema);
}

/** Validates parsed content like `readYaml`. */
export function ofSchema<S extends TSchema>(file: string, content: unknown, schema: S): Static<S> {
  const full: unknown = Value.Default(schema, Value.Clone(content ?? {}));
  if (Value.Check(schema, full)) return full;
  const validationErrors = new Map<string, string>();
  for (const error of Value.Errors(schema, full)) {
    const keyPath = error.path.slice(1).replaceAll('/', '.');
    // Of several errors at one place, the first says most.
    if (!validationErrors.has(keyPath))
      validationErrors.set(keyPath, validationErrorText(file, keyPath, error));
    if (validationErrors.size === VALIDATION_ERRORS_MAX) break;
  }
  throw new AgentError('config', [...validationErrors.values()].join('\n'));
}

function validationErrorText(
  file: string,
  keyPath: string,
  { message, value, schema }: { message: string; value: unknown; schema: TSchema },
): string {
  const place = `${file}: ${keyPath === '' ? 'the file' : keyPath}`;
  const right = schema.description ?? schema.title;
  const hint = right === undefined ? '' : `; ${right}`;
  if (message === 'Unexpected property') return `${place}: unknown key; check the spelling`;
  if (value === undefined) return `${place} is missing${hint}`;
  const valueText = printable(JSON.stringify(value) ?? String(value), 60);
  return `${place} is ${valueText}: ${message[0]?.toLowerCase() ?? ''}${message.slice(1)}${hint}`;
}
