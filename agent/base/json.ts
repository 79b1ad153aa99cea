import { AgentError } from './errors.ts';

/** What the text holds; undefined for what is no JSON, which nothing that is asked for ever is. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** A string of JSON, in a text that is known to be JSON. */
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/g;

/**
 * Reads JSON that every parser reads alike: of a name that stands twice in one object some take the first value and some
 * the last, and an integer beyond 2^53 becomes another one here. Outside of its strings JSON has a colon for each
 * member, so that fewer members than colons are read where a name stands twice.
 * @throws SyntaxError for what is no JSON; AgentError `corrupt` for what has two readings
 */
export function strictJsonOf(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const colons = text.replace(STRING, '').split(':').length - 1;
  let members = 0;
  // Not by recursion: nesting that ends a stack would be a failure of the program.
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
  if (members !== colons) throw new AgentError('corrupt', 'a name stands twice in one object of it');
  return value;
}
