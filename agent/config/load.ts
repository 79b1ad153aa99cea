/**
 * Loads one configuration file and the environment into a checked, frozen Config, or reports all errors together.
 *
 * INVARIANTS:
 * - The result matches the contract's schema and is deeply frozen.
 * - Each input is read once.
 * - An unreadable, hostile or truncated file results in problems, never in another exception.
 *
 * LIMITS: 256 KiB of text (source.ts), PROBLEMS_MAX problems.
 */
import { readFileSync, statSync } from 'node:fs';
import { modelsDir } from '../base/package-root.ts';
import type { Config } from '../contract/config.ts';
import { resolveCredentials } from './credentials.ts';
import { crossCheck, type Use } from './cross-check.ts';
import { type EnvironmentValue, readEnvironment } from './environment.ts';
import { checkFiles, checkModel, readProblem } from './files.ts';
import { misplacedKeys, rootErrors } from './misplaced.ts';
import { ConfigProblems, type Path, PROBLEMS_MAX, type Problem, pathText } from './problem.ts';
import { checkShape, isGroup, type ValidationError } from './shape.ts';
import { CONFIG_BYTES_MAX, readSource, type Source } from './source.ts';
import { findWarnings } from './warnings.ts';

export { ConfigProblems, type Problem, problemText } from './problem.ts';

/** `check` validates for `run` if camera and mqtt are given, otherwise for `replay`. */
export type ConfigMode = Use | 'check';

export interface ConfigOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly mode: ConfigMode;
  /** False = the PEM files are on another machine. By default they are checked, except for replay. */
  readonly files?: boolean;
}

export interface Inspection {
  /** Bytes of the file, as validated; copies and hashes use these. Undefined if none was read. */
  readonly bytes?: Buffer;
  /** Configuration; undefined if there are problems. */
  readonly config: Config | undefined;
  /** Sorted by position in the file. */
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/**
 * Loads a configuration.
 * @throws ConfigProblems (an AgentError of kind `config`) with every error
 */
export function loadConfig(file: string, options: ConfigOptions): Config {
  const { config, problems } = inspectConfig(file, options);
  if (config === undefined) throw new ConfigProblems(file, problems);
  return config;
}

/** Inspects a file without throwing, and includes warnings. */
export function inspectConfig(file: string, options: ConfigOptions): Inspection {
  const read = readText(file);
  if ('fault' in read) return { config: undefined, problems: [fileProblem(read.fault)], warnings: [] };
  return { ...inspectText(read.text, options, file), bytes: read.bytes };
}

/** Inspects bytes from another origin. */
export function inspectBytes(bytes: Buffer, options: ConfigOptions): Inspection {
  const read = decoded(bytes);
  if ('fault' in read) return { config: undefined, problems: [fileProblem(read.fault)], warnings: [] };
  return { ...inspectText(read.text, options), bytes };
}

/** Inspects a text. If `file` is given, only its mode is checked. */
export function inspectText(text: string, options: ConfigOptions, file?: string): Inspection {
  const source = readSource(text);
  const environment = readEnvironment(options.env);
  const place = placer(source, environment.values);
  const earlyProblems = [...source.problems, ...environment.problems];
  const refuse = (validationErrors: readonly ValidationError[]): Inspection => {
    // An error already reported by the reader (an alias without an anchor) is reported only once.
    const reportedPaths = new Set(source.problems.map(({ path }) => path));
    const placed = validationErrors.map(place).filter(({ path }) => path === '' || !reportedPaths.has(path));
    const problems = [...earlyProblems, ...placed].sort(inFileOrder).slice(0, PROBLEMS_MAX);
    return { config: undefined, problems, warnings: [] };
  };
  if (source.data === undefined && source.problems.length > 0) return refuse([]);
  const data = source.data ?? Object.create(null);
  if (!isGroup(data)) {
    return refuse([
      { path: [], at: 'value', found: null, message: 'must be a group of keys (site, box, …)' },
    ]);
  }
  overlay(data, environment.values);
  const validationErrors = findValidationErrors(data, options);
  if (earlyProblems.length + validationErrors.length > 0) return refuse(validationErrors);
  // structuredClone gives the objects their ordinary prototype; the shape has just been checked.
  const config = deepFreeze(structuredClone(data)) as Config;
  const warnings = findWarnings(config, file, modelsDir()).map(place).sort(inFileOrder);
  return { config, problems: [], warnings };
}

function findValidationErrors(
  data: Record<string, unknown>,
  { env, mode, files }: ConfigOptions,
): ValidationError[] {
  const credentials = resolveCredentials(data, env, mode === 'run');
  const misplaced = misplacedKeys(data);
  const shape = checkShape(data);
  const complete = data['camera'] !== undefined && data['mqtt'] !== undefined;
  const use: Use = mode === 'check' ? (complete ? 'run' : 'replay') : mode;
  const all = [
    ...credentials,
    ...shape,
    ...crossCheck(data, use),
    ...checkModel(data, modelsDir()),
    ...((files ?? mode !== 'replay') ? checkFiles(data) : []),
  ];
  // The first error at a path is the most basic one. Errors inside it are more specific.
  const seenPaths = new Set<string>();
  const first = all.filter(({ path }) => {
    const key = JSON.stringify(path);
    return !seenPaths.has(key) && seenPaths.add(key);
  });
  return rootErrors(first, misplaced);
}

function overlay(data: Record<string, unknown>, values: readonly EnvironmentValue[]): void {
  for (const { path, value } of values) {
    let group = data;
    for (const key of path.slice(0, -1)) {
      group[key] ??= Object.create(null);
      const inner = group[key];
      // A value in place of a group is an error of the file and is reported as such.
      group = isGroup(inner) ? inner : {};
    }
    group[String(path.at(-1))] = value;
  }
}

/** Returns the position of an error: the variable that set the value, otherwise line and column. */
function placer(
  source: Source,
  values: readonly EnvironmentValue[],
): (validationError: ValidationError) => Problem {
  return ({ path, at, found, message }) => {
    const text = pathText(path);
    const variable = values.find((value) => startsWith(path, value.path))?.variable ?? null;
    if (variable !== null) {
      return { path: text, line: null, column: null, variable, found, message: `${message} [${text}]` };
    }
    return { path: text, ...source.locate(path, at), variable, found, message };
  };
}

function startsWith(path: Path, head: Path): boolean {
  return head.every((part, index) => path[index] === part);
}

function inFileOrder(a: Problem, b: Problem): number {
  const line = (a.line ?? Number.MAX_SAFE_INTEGER) - (b.line ?? Number.MAX_SAFE_INTEGER);
  return line === 0 ? (a.column ?? 0) - (b.column ?? 0) : line;
}

function fileProblem(message: string): Problem {
  return { path: '', line: null, column: null, variable: null, found: null, message };
}

type Read = { readonly text: string; readonly bytes: Buffer } | { readonly fault: string };

function readText(file: string): Read {
  const problem = readProblem(file) ?? sizeProblem(statSync(file).size);
  return problem === undefined ? decoded(readFileSync(file)) : { fault: problem };
}

function sizeProblem(size: number): string | undefined {
  if (size > CONFIG_BYTES_MAX) return `larger than ${CONFIG_BYTES_MAX / 1024} KiB; not a configuration`;
  return size === 0 ? 'is empty; docs/ref/config.md has a full example' : undefined;
}

function decoded(bytes: Buffer): Read {
  const problem = sizeProblem(bytes.length);
  if (problem !== undefined) return { fault: problem };
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), bytes };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { fault: 'is not UTF-8 text' };
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
