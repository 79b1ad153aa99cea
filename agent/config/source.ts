/**
 * Converts the YAML text of a configuration to plain data, and finds the position of a path in the text. JSON is YAML,
 * so a `.json` file needs no special handling.
 *
 * LIMITS: 256 KiB of text and 20,000 values after resolving aliases (an alias bomb is refused). A full configuration of
 * 64 zones with 64 corners, 64 masks and 64 rules has about 17,000.
 */
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type YAMLError,
  type YAMLMap,
} from 'yaml';
import { type Path, PROBLEMS_MAX, type Problem, pathText } from './problem.ts';

export const CONFIG_BYTES_MAX = 262_144;
const VALUES_MAX = 20_000;
/** Maximum nesting. The schema needs 5 levels; more means a broken or hostile file, and recursion must end. */
const DEPTH_MAX = 32;
export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface Source {
  /** Objects without prototype, arrays and scalars; undefined if the text is not readable as YAML. */
  readonly data: unknown;
  /** Syntax errors, repeated keys, aliases without an anchor. */
  readonly problems: readonly Problem[];
  /** Returns the position of the value at the path (or of its key), or else of the nearest enclosing element. */
  locate(path: Path, at?: 'key' | 'value'): Place;
}

export function readSource(text: string): Source {
  const lines = new LineCounter();
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const reader = new Reader(placeAt);
  let document: Document.Parsed;
  try {
    // Reader finds repeated keys, because the library compares each key with all others.
    document = parseDocument(text, {
      lineCounter: lines,
      uniqueKeys: false,
      prettyErrors: false,
      resolveKnownTags: false,
    });
  } catch (error) {
    // Very deep nesting overflows the stack in places where the library does not expect it.
    if (!(error instanceof RangeError)) throw error;
    reader.report([], 0, 'not readable as YAML: nested too deeply');
    return { data: undefined, problems: reader.problems, locate: () => ({ line: 1, column: 1 }) };
  }
  const syntax = [...document.errors, ...document.warnings];
  // One missing bracket or space breaks the following lines; errors about those add nothing.
  const [first] = syntax.sort((a, b) => a.pos[0] - b.pos[0]);
  if (first !== undefined) reader.report([], first.pos[0], syntaxText(first));
  const data = syntax.length > 0 ? undefined : reader.data(document.contents, [], []);
  return {
    data: reader.stopped ? undefined : data,
    problems: reader.problems,
    locate: (path, at = 'value') => placeAt(reader.offsetOf(document.contents, path, at)),
  };
}

function syntaxText({ code, message }: YAMLError): string {
  if (code === 'MULTIPLE_DOCS') return 'a second YAML document begins here; a configuration is one document';
  if (message.includes('call stack')) return 'not readable as YAML: nested too deeply';
  if (code === 'TAB_AS_INDENT') return 'not readable as YAML: indent with spaces, not with tabs';
  const indent = ['BLOCK_AS_IMPLICIT_KEY', 'MULTILINE_IMPLICIT_KEY', 'BAD_INDENT'].includes(code);
  // A text quoted in the message may be part of a password.
  const safe = message.replace(/"(?:[^"\\]|\\.)*"/g, '"…"').replace(/\s+/g, ' ');
  return `not readable as YAML: ${safe.length > 200 ? `${safe.slice(0, 200)}…` : safe}${indent ? '; check the indentation from here on' : ''}`;
}

/** Converts nodes to data and stores the targets of aliases. */
class Reader {
  readonly problems: Problem[] = [];
  readonly #placeAt: (offset: number) => Place;
  readonly #anchors = new Map<string, Node>();
  readonly #targets = new Map<Alias, Node>();
  #values = 0;
  /** A limit was reached, so the data is incomplete. */
  stopped = false;

  constructor(placeAt: (offset: number) => Place) {
    this.#placeAt = placeAt;
  }

  report(path: Path, offset: number, message: string): void {
    if (this.problems.length >= PROBLEMS_MAX) return;
    const { line, column } = this.#placeAt(offset);
    this.problems.push({ path: pathText(path), line, column, variable: null, found: null, message });
  }

  /** Converts a node. `aliasTargets` contains the targets of enclosing aliases, to detect loops. */
  data(node: unknown, path: Path, aliasTargets: readonly Node[]): unknown {
    if (this.stopped) return undefined;
    this.#values += 1;
    if (this.#values > VALUES_MAX || path.length > DEPTH_MAX) {
      this.stopped = true;
      const problem =
        path.length > DEPTH_MAX ? `nested deeper than ${DEPTH_MAX}` : `more than ${VALUES_MAX} values`;
      this.report(path.slice(0, 8), startOf(node), `${problem}; not a configuration`);
      return undefined;
    }
    if (isAlias(node)) return this.#alias(node, path, aliasTargets);
    if (aliasTargets.length === 0) this.#anchor(node);
    if (isScalar(node)) return node.value;
    if (isSeq(node)) return node.items.map((item, index) => this.data(item, [...path, index], aliasTargets));
    return isMap(node) ? this.#map(node, path, aliasTargets) : null;
  }

  /** Runs in text order, including keys, so that an alias refers to the nearest anchor before it, as in the library. */
  #anchor(node: unknown): void {
    if (isNode(node) && node.anchor !== undefined) this.#anchors.set(node.anchor, node);
  }

  #alias(alias: Alias, path: Path, aliasTargets: readonly Node[]): unknown {
    const target = this.#targets.get(alias) ?? this.#anchors.get(alias.source);
    if (target === undefined || aliasTargets.includes(target)) {
      const reason = target === undefined ? 'no earlier anchor has this name' : 'it contains itself';
      this.report(path, startOf(alias), `the alias *${alias.source} leads nowhere: ${reason}`);
      return undefined;
    }
    this.#targets.set(alias, target);
    return this.data(target, path, [...aliasTargets, target]);
  }

  #map(map: YAMLMap, path: Path, aliasTargets: readonly Node[]): object {
    const data: Record<string, unknown> = Object.create(null);
    const firstAt = new Map<string, number>();
    for (const pair of map.items) {
      if (aliasTargets.length === 0) this.#anchor(pair.key);
      const key = keyOf(pair);
      if (key === undefined) {
        this.report(path, startOf(pair.key), 'a key must be plain text');
        continue;
      }
      const first = firstAt.get(key);
      if (first !== undefined) {
        const message = `duplicate key (first in line ${this.#placeAt(first).line}); keep one`;
        this.report([...path, key], startOf(pair.key), message);
        continue;
      }
      firstAt.set(key, startOf(pair.key));
      data[key] = this.data(pair.value, [...path, key], aliasTargets);
    }
    return data;
  }

  offsetOf(root: unknown, path: Path, at: 'key' | 'value'): number {
    let node = root;
    let offset = startOf(node);
    for (const [depth, part] of path.entries()) {
      if (isAlias(node)) node = this.#targets.get(node);
      if (isMap(node)) {
        const pair = node.items.find((item) => keyOf(item) === String(part));
        if (pair === undefined) return offset;
        if (at === 'key' && depth === path.length - 1) return startOf(pair.key);
        node = pair.value ?? pair.key;
      } else if (isSeq(node) && typeof part === 'number') {
        node = node.items[part];
      } else {
        return offset;
      }
      offset = isNode(node) && node.range ? node.range[0] : offset;
    }
    return offset;
  }
}

function keyOf(pair: Pair): string | undefined {
  const key: unknown = isScalar(pair.key) ? pair.key.value : undefined;
  const plain = typeof key === 'string' || typeof key === 'number' || typeof key === 'boolean';
  return plain ? String(key) : undefined;
}

function startOf(node: unknown): number {
  return isNode(node) && node.range ? node.range[0] : 0;
}
