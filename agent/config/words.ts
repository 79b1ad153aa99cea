/** Describes the schema in words, for messages and for the reference page. */
import { KindGuard, type TSchema } from '@sinclair/typebox';

/** Returns the accepted value, to follow "must be": `a whole number from 1 to 366`. */
export function expected(schema: TSchema): string {
  if (KindGuard.IsUnion(schema)) return oneOf(literals(schema));
  if (KindGuard.IsLiteral(schema)) return String(schema.const);
  if (KindGuard.IsBoolean(schema)) return 'true or false';
  if (KindGuard.IsString(schema)) {
    if (schema.pattern !== undefined && schema.description !== undefined) return schema.description;
    return schema.maxLength === undefined ? 'text' : `text of at most ${schema.maxLength} characters`;
  }
  if (KindGuard.IsInteger(schema) || KindGuard.IsNumber(schema)) return number(schema);
  if (KindGuard.IsTuple(schema)) {
    const items = schema.items ?? [];
    return `a list of ${items.length} ${items[0] === undefined ? 'items' : plural(expected(items[0]))}`;
  }
  if (KindGuard.IsArray(schema)) {
    const item = KindGuard.IsObject(schema.items) ? 'items' : plural(expected(schema.items));
    return `a list of ${count(schema.minItems, schema.maxItems)}${item}`;
  }
  if (KindGuard.IsObject(schema)) return `a group of keys (${Object.keys(schema.properties).join(', ')})`;
  return 'another value';
}

function number(schema: {
  type: string;
  minimum?: unknown;
  maximum?: unknown;
  multipleOf?: unknown;
}): string {
  const { minimum, maximum, multipleOf } = schema;
  let text = schema.type === 'integer' ? 'a whole number' : 'a number';
  if (multipleOf !== undefined) text = `a multiple of ${multipleOf}`;
  if (minimum !== undefined && maximum !== undefined) return `${text} from ${minimum} to ${maximum}`;
  if (minimum !== undefined) return `${text}, ${minimum} or more`;
  return maximum === undefined ? text : `${text}, ${maximum} at most`;
}

function count(min: number | undefined, max: number | undefined): string {
  if (min !== undefined && max !== undefined) return `${min} to ${max} `;
  if (min !== undefined) return `${min} or more `;
  return max === undefined ? '' : `at most ${max} `;
}

/**
 * Returns the plural. "a number from 0 to 1" becomes "numbers from 0 to 1", "one of a, b" becomes "items, each one of
 * a, b".
 */
function plural(words: string): string {
  const match = /^a (whole number|number|multiple|list)\b(.*)$/s.exec(words);
  if (match) return `${match[1]}s${match[2]}`;
  return words === 'text' ? 'texts' : `items, each ${words}`;
}

/** Returns the values of a union of literals; empty for other unions. */
export function literals(schema: TSchema): string[] {
  const any: unknown = schema['anyOf'];
  if (!Array.isArray(any)) return [];
  return any.filter((item) => KindGuard.IsLiteral(item)).map((item) => String(item.const));
}

export function oneOf(values: readonly string[]): string {
  return values.length === 1 ? String(values[0]) : `one of ${values.join(', ')}`;
}

/** Returns `; did you mean "zones"?`, or an empty text if no candidate is near. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const near = nearest(word, candidates);
  return near === undefined ? '' : `; did you mean "${near}"?`;
}

/**
 * Returns the nearest candidate within a third of the word's length in typing errors: a letter added, missing, wrong or
 * swapped. The measure is the optimal string alignment distance (Damerau 1964). Compares without case, - and _.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > 64) return undefined;
  const bare = (text: string): string => text.toLowerCase().replace(/[-_ ]/g, '');
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(bare(word).length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = spellingSuggestions(bare(word), bare(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function spellingSuggestions(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number): number => rows[i]?.[j] ?? Number.POSITIVE_INFINITY;
  for (let i = 1; i <= a.length; i++) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j++) {
      const wrong = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + wrong);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, at(i - 2, j - 2) + 1);
      }
      rows[i]?.push(least);
    }
  }
  return at(a.length, b.length);
}
