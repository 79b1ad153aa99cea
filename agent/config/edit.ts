/**
 * Writes a technician's changes into the text of a configuration. Comments, order and everything unchanged stay as they
 * were. Zones, lines, masks and rules are identified by their `id`.
 *
 * LIMITS: `inspectText` validates the text before and after. This module only requires one YAML document.
 */
import { isDeepStrictEqual } from 'node:util';
import type { TSchema } from '@sinclair/typebox';
import {
  type Document,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  type Node,
  parseDocument,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { AgentError } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import {
  configuredStream,
  isSameStream,
  maskedSource,
  shownSource,
  withLoginOf,
} from '../contract/camera-address.ts';
import type { Config } from '../contract/config.ts';
import type { Proposable, Proposal } from '../contract/proposal.ts';
import { isRuleKind, ruleSchema } from '../contract/rule-config.ts';
import { readSource } from './source.ts';

const LISTS = ['zones', 'lines', 'masks', 'rules'] as const;

/** Returns the editable part for a technician: the addresses of the camera's streams are without credentials. */
export function proposableOf({ camera, groundPlane, zones, lines, masks, rules }: Config): Proposable {
  const address = camera === undefined ? '' : shownSource(camera.source);
  const second = camera?.substream === undefined ? {} : { substreamAddress: shownSource(camera.substream) };
  return { cameraAddress: address, ...second, groundPlane: groundPlane ?? null, zones, lines, masks, rules };
}

/**
 * Returns the edited text. A stream's address given as shown keeps its login. Another source removes the previous
 * second stream, unless the proposal names one.
 *
 * @throws AgentError `config` for a text that is not a configuration, or that cannot be edited in this way
 */
export function editedText(text: string, proposal: Proposal): string {
  try {
    const document = parseDocument(text, { uniqueKeys: false, prettyErrors: false, resolveKnownTags: false });
    const root = document.contents;
    if (document.errors.length > 0 || !isMap<unknown, unknown>(root))
      throw new AgentError('config', 'the file is not readable as YAML; `vigie check` says where');
    edit(document, root, proposal);
    // JSON is YAML, and stays JSON.
    const edited =
      jsonOf(text) === undefined
        ? spacedAs(text, document.toString({ lineWidth: 0, flowCollectionPadding: false }))
        : `${JSON.stringify(document.toJS(), null, 2)}\n`;
    // An alias may now refer to another anchor of the same name.
    if (!isDeepStrictEqual(unproposed(edited), unproposed(text)))
      throw new ReferenceError('an edit outside the proposal');
    return edited;
  } catch (error) {
    // An anchor in a removed part, an alias without an anchor, or a nesting that overflows the stack.
    if (!(error instanceof ReferenceError) && !(error instanceof RangeError)) throw error;
    const message = 'anchors (&) and aliases (*) of the file do not let it be edited so; write them out';
    throw new AgentError('config', message, error);
  }
}

/** Returns the parts that a proposal does not cover, as the agent reads them. */
function unproposed(text: string): unknown {
  const data = Object(readSource(text).data) as Record<string, unknown>;
  const {
    camera,
    groundPlane: _plane,
    zones: _zones,
    lines: _lines,
    masks: _masks,
    rules: _rules,
    ...rest
  } = data;
  const { source: _source, substream: _substream, ...other } = Object(camera) as Record<string, unknown>;
  return { ...rest, camera: other };
}

/** Returns `edited` with the original form of lines that differ from one of `text` only by blanks inside brackets. */
function spacedAs(text: string, edited: string): string {
  const originalLines = new Set(text.split('\n'));
  const spaced = new Map([...originalLines].map((line) => [unpadded(line), line]));
  const lines = edited
    .split('\n')
    .map((line) => (originalLines.has(line) ? line : (spaced.get(unpadded(line)) ?? line)));
  const result = lines.join('\n');
  if (result === edited) return edited;
  const content = (of: string): unknown =>
    parseDocument(of, { uniqueKeys: false, resolveKnownTags: false }).toJS();
  return isDeepStrictEqual(content(result), content(edited)) ? result : edited;
}

function unpadded(line: string): string {
  return line.replace(/([{[]) +/g, '$1').replace(/ +([}\]])/g, '$1');
}

function edit(document: Document, root: YAMLMap<unknown, unknown>, proposal: Proposal): void {
  const { groundPlane } = proposal;
  editCamera(document, root, proposal);
  if (groundPlane === null) root.delete('groundPlane');
  else if (groundPlane !== undefined) editGroup(document, root, 'groundPlane', groundPlane);
  for (const list of LISTS) editList(document, root, list, proposal[list]);
}

function editCamera(document: Document, root: YAMLMap<unknown, unknown>, proposal: Proposal): void {
  const { source, substream } = proposal;
  const group = root.get('camera', true);
  const camera = isMap<unknown, unknown>(group)
    ? group
    : (document.createNode({}) as YAMLMap<unknown, unknown>);
  const [main, second] = [camera.get('source'), camera.get('substream')].map(String);
  const isNew = source !== undefined && shownSource(main ?? '') !== source;
  if (isNew) camera.set('source', source);
  const next =
    substream === undefined && isNew && camera.has('substream')
      ? keptSubstream(second ?? '', main ?? '', source)
      : substream;
  if (next === null) camera.delete('substream');
  else if (next !== undefined && shownSource(second ?? '') !== next) camera.set('substream', next);
  if (!isMap(group) && camera.items.length > 0) root.set('camera', camera);
}

/**
 * Returns the second stream under a new source. At another address there is none. A second stream with the previous
 * login gets the new login.
 */
function keptSubstream(substream: string, previousSource: string, source: string): string | null {
  if (!isSameStream(configuredStream(previousSource), configuredStream(source))) return null;
  const masked = maskedSource(substream);
  return (withLoginOf(masked, previousSource) === substream && withLoginOf(masked, source)) || substream;
}

function editGroup(document: Document, root: YAMLMap<unknown, unknown>, key: string, target: object): void {
  const group = root.get(key, true);
  if (isMap<unknown, unknown>(group)) editMap(document, group, target, {});
  else root.set(key, makeNode(document, target, false));
}

function editList(
  document: Document,
  root: YAMLMap<unknown, unknown>,
  key: string,
  target: readonly { readonly id: string; readonly kind?: string }[],
): void {
  const list = root.get(key, true);
  if (!isSeq<unknown>(list)) {
    const same = isDeepStrictEqual(dataOf(document, list) ?? [], target);
    if (!same) root.set(key, listOf(document, target));
    return;
  }
  const items = itemsById(document, list);
  const flow = list.items.length > 0 && list.items.every((item) => isCollection(item) && item.flow === true);
  // `[]` is a list in flow style. Its new items should not be, unless everything around it is.
  if (list.items.length === 0 && root.flow !== true) list.flow = false;
  list.items = target.map((item) => {
    const existing = items.get(item.id);
    items.delete(item.id);
    if (existing === undefined) return makeNode(document, item, flow);
    const defaults = defaultsOf(item.kind);
    if (isDeepStrictEqual({ ...defaults, ...Object(dataOf(document, existing)) }, item)) return existing;
    // An alias also refers to content elsewhere, so it is written out.
    if (!isMap<unknown, unknown>(existing)) return makeNode(document, item, flow);
    editMap(document, existing, item, defaults);
    return existing;
  });
}

function listOf(document: Document, target: readonly object[]): YAMLSeq {
  const list = document.createNode([]) as YAMLSeq;
  list.flow = false;
  list.items = target.map((item) => makeNode(document, item, false));
  return list;
}

/** Edits a group in place. An absent key has its default, so the default need not be written. */
function editMap(
  document: Document,
  map: YAMLMap<unknown, unknown>,
  target: object,
  defaults: Readonly<Record<string, unknown>>,
): void {
  for (const { key } of [...map.items]) {
    const name = isScalar(key) ? String(key.value) : '';
    if (!Object.hasOwn(target, name)) map.delete(key);
  }
  for (const [key, value] of Object.entries(target)) {
    const current = map.has(key) ? dataOf(document, map.get(key, true)) : defaults[key];
    if (isDeepStrictEqual(current, value)) continue;
    map.set(key, typeof value === 'object' && value !== null ? inFlow(document.createNode(value)) : value);
  }
}

/** Creates a group with one line per key, and each value on one line. */
function makeNode(document: Document, value: object, flow: boolean): Node {
  const node = document.createNode(value);
  if (isMap(node)) {
    node.flow = flow;
    for (const pair of node.items) inFlow(pair.value);
  }
  return node;
}

function inFlow<T>(node: T): T {
  if (isCollection(node)) node.flow = true;
  return node;
}

/** Returns the items by id. If two items have the same id, which no check accepts, the first one counts. */
function itemsById(document: Document, list: YAMLSeq<unknown>): Map<string, unknown> {
  const items = new Map<string, unknown>();
  for (const item of list.items) {
    const id: unknown = Object(dataOf(document, item)).id;
    if (typeof id === 'string' && !items.has(id)) items.set(id, item);
  }
  return items;
}

function dataOf(document: Document, node: unknown): unknown {
  return typeof node === 'object' && node !== null ? (node as Node).toJS(document) : node;
}

/** Returns the defaults of the rule's kind; zones, lines and masks have none. */
function defaultsOf(kind: string | undefined): Readonly<Record<string, unknown>> {
  const isRule = kind !== undefined && isRuleKind(kind);
  const properties = Object.entries<TSchema>(isRule ? ruleSchema(kind).properties : {});
  return Object.fromEntries(
    properties.flatMap(([key, { default: value }]) => (value === undefined ? [] : [[key, value]])),
  );
}
