/**
 * Applies one change to the files of many boxes: merges a piece of YAML, sets values by path, removes keys. Comments,
 * order and everything else stay unchanged.
 *
 * Groups are merged key by key, and lists whose items have an `id` (or a `name`) item by item. Other lists are
 * replaced. `null` removes a key.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  type Node,
  parse,
  parseDocument,
  stringify,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';

type Tree = YAMLMap<unknown, unknown>;
type Group = Readonly<Record<string, unknown>>;

/** A step of a path: a key, or an item of a list by its id. */
interface Step {
  readonly key: string;
  readonly item: string | undefined;
}

export interface Patch {
  readonly merge: Group;
  readonly set: readonly { readonly path: string; readonly value: unknown }[];
  readonly unset: readonly string[];
}

/** Parses a patch. `set` holds `path=value` words, with the value as YAML. Throws AgentError `config`. */
export function patchOf(text: string | undefined, set: readonly string[], unset: readonly string[]): Patch {
  const merge = text === undefined ? {} : parsed(text, 'the patch');
  if (!isGroup(merge)) throw new AgentError('config', 'the patch is not a mapping');
  const values = set.map((word) => {
    const at = word.indexOf('=');
    if (at < 1) throw new AgentError('config', `--set ${word}: give path=value, as rules[stay].afterS=5`);
    const path = word.slice(0, at);
    stepsOf(path, '--set');
    return { path, value: parsed(word.slice(at + 1), `--set ${path}`) };
  });
  for (const path of unset) stepsOf(path, '--unset');
  if (text === undefined && values.length + unset.length === 0)
    throw new AgentError('config', 'no change is given; give FILE, --set path=value or --unset path');
  return { merge, set: values, unset };
}

/** Returns the text with the change. Throws AgentError `config` with a line that names the mismatch. */
export function patched(text: string, patch: Patch): string {
  const document = parseDocument(text, { uniqueKeys: false, prettyErrors: false, resolveKnownTags: false });
  const root = document.contents;
  if (document.errors.length > 0 || !isMap<unknown, unknown>(root))
    throw new AgentError('config', 'the copy is not readable as YAML');
  const before: unknown = plainOf(document);
  const edit = new Editor(document, text);
  edit.apply(root, patch);
  const after: unknown = plainOf(document);
  // Applies the change with all aliases expanded, to detect a change of a value that the patch does not name.
  const written = new Document(before, { aliasDuplicateObjects: false });
  new Editor(written, '').apply(written.contents as Tree, patch);
  if (!isDeepStrictEqual(written.toJS(), after)) throw new AgentError('config', ALIASES);
  if (isDeepStrictEqual(before, after)) return text;
  const spliced = edit.spliced();
  if (spliced !== undefined && isDeepStrictEqual(parse(spliced, { uniqueKeys: false }), after))
    return spliced;
  if (text.trimStart().startsWith('{')) return `${JSON.stringify(after, null, 2)}\n`;
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

const ALIASES =
  'anchors (&) and aliases (*) of the copy do not let it be changed so; write them out in the file first';

function plainOf(document: Document): unknown {
  try {
    return document.toJS();
  } catch (error) {
    // An alias without a target, or with too large a one.
    if (error instanceof ReferenceError) throw new AgentError('config', ALIASES, error);
    throw error;
  }
}

class Editor {
  readonly #document: Document;
  readonly #text: string;
  /** Changes of single values; undefined once something else was changed. */
  #edits: { start: number; end: number; text: string }[] | undefined = [];

  constructor(document: Document, text: string) {
    this.#document = document;
    this.#text = text;
  }

  apply(root: Tree, { merge, set, unset }: Patch): void {
    this.merge(root, merge);
    for (const { path, value } of set) this.set(root, stepsOf(path, '--set'), value, path);
    for (const path of unset) this.unset(root, stepsOf(path, '--unset'), path);
  }

  merge(map: Tree, group: Group): void {
    for (const [key, value] of Object.entries(group)) {
      const node = map.get(key, true);
      if (value === null) this.#delete(map, key);
      else if (isGroup(value) && isMap<unknown, unknown>(node)) this.merge(node, value);
      else if (isSeq<unknown>(node) && isListOfNamed(value)) this.#mergeList(node, value);
      else this.#put(map, key, value);
    }
  }

  set(root: Tree, steps: readonly Step[], value: unknown, path: string): void {
    const [map, last] = this.#walk(root, steps, path, true);
    if (map === undefined) return;
    if (last.item === undefined) this.merge(map, { [last.key]: value });
    else {
      const item = itemOf(map.get(last.key, true), last.item);
      if (item === undefined || !isGroup(value))
        throw new AgentError('config', `${path}: no such item, or no group`);
      this.merge(item, value);
    }
  }

  unset(root: Tree, steps: readonly Step[], path: string): void {
    const [map, last] = this.#walk(root, steps, path, false);
    if (map === undefined) return;
    if (last.item === undefined) this.#delete(map, last.key);
    else {
      const list = map.get(last.key, true);
      const item = itemOf(list, last.item);
      if (item === undefined || !isSeq<unknown>(list)) return;
      list.items = list.items.filter((other) => other !== item);
      this.#edits = undefined;
    }
  }

  /** Returns the text with single values replaced; undefined if something else was changed. */
  spliced(): string | undefined {
    if (this.#edits === undefined) return undefined;
    let result = this.#text;
    for (const { start, end, text } of this.#edits.sort((a, b) => b.start - a.start))
      result = result.slice(0, start) + text + result.slice(end);
    return result;
  }

  /** Returns the group around the last step; undefined if it does not exist and must not be made. */
  #walk(root: Tree, steps: readonly Step[], path: string, make: boolean): [Tree | undefined, Step] {
    let map = root;
    for (const { key, item } of steps.slice(0, -1)) {
      const node = map.get(key, true);
      const next = item === undefined ? node : itemOf(node, item);
      if (isMap<unknown, unknown>(next)) map = next;
      else if (!make) return [undefined, lastOf(steps)];
      else if (node === undefined && item === undefined) {
        const newMap = this.#document.createNode({}) as Tree;
        map.set(key, newMap);
        this.#edits = undefined;
        map = newMap;
      } else {
        const problem = item === undefined ? `${key} is not a group` : `${key} has no item ${item}`;
        throw new AgentError('config', `${path}: ${problem}`);
      }
    }
    return [map, lastOf(steps)];
  }

  #mergeList(list: YAMLSeq<unknown>, groups: readonly Group[]): void {
    for (const group of groups) {
      const match = itemOf(list, nameOf(group) ?? '');
      if (match !== undefined) this.merge(match, group);
      else {
        list.items.push(this.#makeNode(group, list.flow === true));
        this.#edits = undefined;
      }
    }
  }

  #put(map: Tree, key: string, value: unknown): void {
    const node: unknown = map.get(key, true);
    if (isAlias(node))
      throw new AgentError(
        'config',
        `${key} is an alias (*) of another place; write it out in the file first`,
      );
    const is: unknown = isNode(node) ? node.toJS(this.#document) : node;
    if (isDeepStrictEqual(is, value)) return;
    const flow = isScalar(node) || (isCollection(node) && node.flow === true);
    const [start, end] = (isNode(node) && node.range) || [];
    if (flow && start !== undefined && end !== undefined && !this.#text.slice(start, end).includes('\n'))
      this.#edits?.push({ start, end, text: valueText(value) });
    else this.#edits = undefined;
    if (isScalar(node) && !isGroup(value) && !Array.isArray(value)) node.value = value;
    else map.set(key, this.#makeNode(value, flow || map.flow === true));
  }

  #delete(map: Tree, key: string): void {
    if (map.delete(key)) this.#edits = undefined;
  }

  #makeNode(value: unknown, flow: boolean): Node {
    const node: Node = this.#document.createNode(value);
    if (isCollection(node)) node.flow = flow || isSeq(node);
    if (!isMap<unknown, unknown>(node)) return node;
    for (const { value: inner } of node.items) if (isCollection(inner)) inner.flow = true;
    return node;
  }
}

/** Returns the value on one line, valid in any position. */
function valueText(value: unknown): string {
  if (typeof value === 'string')
    return /^[A-Za-z][\w-]*$/.test(value) && parse(value) === value ? value : JSON.stringify(value);
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: false }).trimEnd();
}

/** Parses a path such as `rules[stay].afterS`. */
function stepsOf(path: string, option: string): Step[] {
  const steps = path.split('.').map((part) => {
    const [, key, , item] = /^([A-Za-z][A-Za-z0-9]*)(\[([a-z0-9-]{1,32})\])?$/.exec(part) ?? [];
    if (key === undefined)
      throw new AgentError(
        'config',
        `${option} ${path}: a path is keys with dots, and [id] for an item: rules[stay].afterS`,
      );
    return { key, item };
  });
  return steps;
}

function lastOf(steps: readonly Step[]): Step {
  return steps.at(-1) ?? { key: '', item: undefined };
}

function itemOf(list: unknown, name: string): Tree | undefined {
  if (!isSeq<unknown>(list)) return undefined;
  return list.items.find(
    (item): item is Tree => isMap<unknown, unknown>(item) && (item.get('id') ?? item.get('name')) === name,
  );
}

function nameOf({ id, name }: Group): string | undefined {
  const label = id ?? name;
  return typeof label === 'string' ? label : undefined;
}

function isListOfNamed(value: unknown): value is readonly Group[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((item) => isGroup(item) && nameOf(item) !== undefined)
  );
}

function isGroup(value: unknown): value is Group {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNode(value: unknown): value is Node {
  return isScalar(value) || isCollection(value) || isAlias(value);
}

function parsed(text: string, source: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw new AgentError('config', `${source} is not YAML: ${messageOf(error).slice(0, 200)}`, error);
  }
}
