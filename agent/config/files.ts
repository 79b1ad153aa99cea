/** Checks the files that a configuration names, as visible to this process. */
import { accessSync, constants, existsSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { readForeign } from '../base/foreign-file.ts';
import { jsonOf } from '../base/json.ts';
import { openToOthers } from '../base/private-file.ts';
import { certificateErrors } from './certificates.ts';
import { isOutOfSight } from './credentials.ts';
import type { Path } from './problem.ts';
import { displayValue } from './problem.ts';
import { isGroup, type ValidationError } from './shape.ts';
import { didYouMean } from './words.ts';

/** Maximum size in bytes; cards have about 13 kB. */
const CARD_BYTES_MAX = 262_144;

const OneSize = Type.Object({
  input: Type.Object({ fixed: Type.Literal(true), default: Type.Tuple([Type.Integer(), Type.Integer()]) }),
});

/**
 * Checks the PEM files: readable, the key only by its owner, valid content. A missing or invalid authorisation is
 * reported when it is used.
 */
export function checkFiles(data: Record<string, unknown>): ValidationError[] {
  const mqtt = isGroup(data['mqtt']) ? data['mqtt'] : {};
  const unreadable = ['ca', 'cert', 'key'].flatMap((name) => fileErrors(['mqtt', name], mqtt[name]));
  const readable = (name: string): string | undefined => {
    const file = mqtt[name];
    const usable = typeof file === 'string' && file.startsWith('/') && readProblem(file) === undefined;
    return usable ? file : undefined;
  };
  const [ca, cert, key] = [readable('ca'), readable('cert'), readable('key')];
  const files = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  const box = typeof data['box'] === 'string' ? data['box'] : undefined;
  return [...unreadable, ...keyModeErrors(mqtt['key']), ...certificateErrors(box, files)];
}

/** Checks that the detector's model has a card. */
export function checkModel(data: Record<string, unknown>, modelDir: string): ValidationError[] {
  const { detector } = data;
  if (!isGroup(detector)) return [];
  const { element, model } = detector;
  return [
    ...modelErrors(model, ['detector', 'model'], modelDir),
    ...(isGroup(element) ? modelErrors(element['model'], ['detector', 'element', 'model'], modelDir) : []),
  ];
}

function modelErrors(model: unknown, path: Path, modelDir: string): ValidationError[] {
  if (typeof model !== 'string' || !/^[a-z0-9-]+$/.test(model)) return [];
  // Root's program may run without a release, which holds the cards; the release's own check covers them.
  if (!existsSync(modelDir)) return [];
  const cards = readdirSync(modelDir)
    .filter((file) => file.endsWith('.json'))
    .map((file) => basename(file, '.json'));
  if (cards.includes(model)) return [];
  const right = didYouMean(model, cards) || `; there are ${cards.join(', ') || 'none'}`;
  const message = `no model card has this name${right}`;
  return [{ path, at: 'value', found: displayValue(model, path), message }];
}

/**
 * Returns width and height of a model with a fixed input size, from its card. Undefined if it takes any size, or if the
 * card cannot be read.
 */
export function onlySizeOf(modelDir: string, model: string): readonly [number, number] | undefined {
  // Root reads it too, and the release's files belong to the release.
  const text = readForeign(join(modelDir, `${model}.json`), CARD_BYTES_MAX)?.toString('utf8') ?? '';
  const card = jsonOf(text);
  return Value.Check(OneSize, card) ? card.input.default : undefined;
}

function fileErrors(path: Path, file: unknown): ValidationError[] {
  if (typeof file !== 'string' || !file.startsWith('/') || isOutOfSight(file)) return [];
  const problem = readProblem(file);
  return problem === undefined
    ? []
    : [{ path, at: 'value', found: displayValue(file, path), message: problem }];
}

/** Returns why the file cannot be read, or undefined. */
export function readProblem(file: string): string | undefined {
  try {
    if (!statSync(file).isFile()) return 'is not a file';
    accessSync(file, constants.R_OK);
    return undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'no such file';
    if (code === 'EACCES' || code === 'EPERM')
      return `user ${process.geteuid?.() ?? '?'} may not read this file`;
    return `this file cannot be read (${String(code)})`;
  }
}

function keyModeErrors(file: unknown): ValidationError[] {
  if (typeof file !== 'string' || !file.startsWith('/') || readProblem(file) !== undefined) return [];
  const message = openToOthers(file);
  if (message === undefined) return [];
  return [{ path: ['mqtt', 'key'], at: 'value', found: displayValue(file, ['mqtt', 'key']), message }];
}
