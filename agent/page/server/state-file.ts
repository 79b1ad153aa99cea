/** Reads files of the page's state folder, each small and of one form. */
import { readFileSync, statSync } from 'node:fs';
import type { Static, TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';

const FILE_BYTES_MAX = 131_072;

/** Throws AgentError `corrupt`. */
export function readJson<S extends TSchema>(file: string, schema: S): Static<S> {
  let content: unknown;
  try {
    if (statSync(file).size <= FILE_BYTES_MAX) content = jsonOf(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new AgentError('corrupt', `${file} cannot be read: ${messageOf(error)}`, error);
  }
  if (Value.Check(schema, content)) return content;
  throw new AgentError('corrupt', `${file} is damaged`);
}
