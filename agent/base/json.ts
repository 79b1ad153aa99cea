/** Parses JSON, either with undefined for invalid text, or strictly for signed texts. */
import { AgentError } from './errors.ts';

/** Parses JSON; undefined for invalid JSON (no valid text parses to undefined). */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** JSON string within valid JSON. */
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/g;

/**
 * Parses JSON that all parsers read alike. If a name occurs twice in one object, some parsers take the first value and
 * some the last. An integer beyond 2^53 loses its value here.
 * Outside its strings, JSON has one colon per member. Fewer members than colons therefore reveal a duplicate name.
 * @throws SyntaxError for invalid JSON
 * @throws AgentError `corrupt` for ambiguous JSON
 */
export function strictJsonOf(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const colons = text.replace(STRING, '').split(':').length - 1;
  let members = 0;
  // Not recursive: deep nesting must not overflow the stack.
  const open = [value];
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    if (typeof one === 'number' && !(Math.abs(one) <= Number.MAX_SAFE_INTEGER)) {
      throw new AgentError('corrupt', 'a number in it is beyond 2^53 - 1');
    }
    if (typeof one !== 'object' || one === null) continue;
    const inner: unknown[] = Object.values(one);
    if (!Array.isArray(one)) members += inner.length;
    for (const each of inner) open.push(each);
  }
  if (members !== colons) throw new AgentError('corrupt', 'an object has a duplicate name');
  return value;
}
