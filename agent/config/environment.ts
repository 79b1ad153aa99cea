/**
 * Sets every scalar of the configuration by environment variable, through convict. The convict schema is derived from
 * the TypeBox schema. Convict maps and converts, and TypeBox validates (in shape.ts), so that a value is validated in
 * the same way whatever its origin.
 */
import { KindGuard, type TSchema } from '@sinclair/typebox';
import convict from 'convict';
import { LOG_LEVELS } from '../base/log-level.ts';
import { Config } from '../contract/config.ts';
import { displayValue, hideSecrets, type Path, PROBLEMS_MAX, type Problem } from './problem.ts';
import { nearest, oneOf } from './words.ts';

export interface ConfigKey {
  readonly path: readonly string[];
  readonly variable: string;
  readonly schema: TSchema;
}

/** Variables with the prefix that are not keys of the configuration. */
export const PROGRAM_VARIABLES: Readonly<Record<string, string>> = {
  VIGIE_STATE_DIR: 'directory of the outbox and everything else that must survive a restart (`--state`)',
  VIGIE_LOG: `lowest level to log (\`--log\`): ${oneOf(LOG_LEVELS)}`,
  VIGIE_RESTRAINT_DIR: 'root’s folder with the restraints of the box; without it, one user owns everything',
  VIGIE_RESTRAINT_SOCKET: 'socket of root’s record of suspensions and journal heads',
  VIGIE_UPDATE_DIR:
    'folder in which root’s updater reports its status; without it, the box reports no updater',
  VIGIE_LOGS_SOCKET:
    'socket of the helper that reads the system’s log for the room; without it there is none',
  VIGIE_VISION_SOCKET: 'socket that starts the vision unit; without it the agent starts vision itself',
  VIGIE_PAGE_SOCKET:
    'socket on which the technician’s page asks the agent; without it in the state directory',
  VIGIE_PAGE_SETUP_CODE: 'file with the hash of the code on the label, for `vigie page` (`--setup-code`)',
  VIGIE_CONFIG_SOCKET: 'socket of root’s helper for configurations, for `vigie page` (`--config-helper`)',
  VIGIE_DATA: 'directory with clips and ground truth; only tests and evaluations read it',
  VIGIE_TEST_SEED: 'seed of the tests that try random inputs; only tests read it',
  VIGIE_TEST_RUN: 'all or full = the tests of that run as well; only tests read it',
};

export interface EnvironmentValue {
  readonly path: Path;
  readonly variable: string;
  readonly value: unknown;
}

export interface EnvironmentReading {
  readonly values: readonly EnvironmentValue[];
  readonly problems: readonly Problem[];
}

const PREFIX = 'VIGIE_';

/** All keys that a variable can set: scalars and lists of scalars outside zones, lines, masks and rules. */
export const CONFIG_KEYS: readonly ConfigKey[] = keysOf(Config, []);

function keysOf(schema: TSchema, path: readonly string[]): ConfigKey[] {
  if (KindGuard.IsObject(schema)) {
    return Object.entries(schema.properties).flatMap(([key, inner]) => keysOf(inner, [...path, key]));
  }
  if (KindGuard.IsArray(schema) && (KindGuard.IsObject(schema.items) || KindGuard.IsUnion(schema.items))) {
    return [];
  }
  return [{ path, variable: variableOf(path), schema }];
}

/** Returns the variable of a path: `['retention', 'outboxMiB']` → `VIGIE_RETENTION_OUTBOX_MIB`. */
function variableOf(path: readonly string[]): string {
  const words = path.map((key) => key.replace('MiB', 'Mib').replace(/([a-z0-9])([A-Z])/g, '$1_$2'));
  return `${PREFIX}${words.join('_').toUpperCase()}`;
}

/** Reads the variables. A value that cannot be converted stays text, so that the schema refuses it with its path. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): EnvironmentReading {
  // Without `args: []`, convict would read this process's command line.
  const settings = convict<Record<string, unknown>>(CONVICT_SCHEMA, { env: { ...env }, args: [] });
  const values = CONFIG_KEYS.filter(({ variable }) => env[variable] !== undefined).map(
    ({ path, variable }) => ({ path, variable, value: settings.get(path.join('.')) as unknown }),
  );
  return { values, problems: [...unknownVariables(Object.keys(env)), ...logLevelProblem(env['VIGIE_LOG'])] };
}

function unknownVariables(names: readonly string[]): Problem[] {
  const knownNames = [...CONFIG_KEYS.map(({ variable }) => variable), ...Object.keys(PROGRAM_VARIABLES)];
  const unknown = names.filter((name) => name.startsWith(PREFIX) && !knownNames.includes(name));
  return unknown.slice(0, PROBLEMS_MAX).map((name) => {
    const near = nearest(name, knownNames);
    const isFileOnly = /^VIGIE_(ZONES|LINES|MASKS|RULES|COMMANDS)/.test(name);
    const right = isFileOnly
      ? 'zones, lines, masks, rules and commands are set in the file'
      : near === undefined
        ? 'unset it, or see docs/ref/config.md for the names'
        : `did you mean ${near}?`;
    const variable = hideSecrets(name.slice(0, 64));
    const message = `no such environment variable; ${right}`;
    return { path: '', line: null, column: null, variable, found: null, message };
  });
}

/** Checks the log level. It is checked here, because every process reads it itself. */
function logLevelProblem(level: string | undefined): Problem[] {
  if (level === undefined || LOG_LEVELS.some((logLevel) => logLevel === level)) return [];
  const message = `must be ${oneOf(LOG_LEVELS)}`;
  return [
    { path: '', line: null, column: null, variable: 'VIGIE_LOG', found: displayValue(level, []), message },
  ];
}

// Convict stores formats by name for the complete program and converts by them.
const toNumber = (text: string): unknown =>
  /^-?\d+(\.\d+)?(e-?\d+)?$/i.test(text.trim()) ? Number(text) : text;
const toList = (text: string): string[] => text.split(',').map((item) => item.trim());
const accept = (): void => undefined;
convict.addFormat({ name: 'vigie-text', validate: accept });
convict.addFormat({ name: 'vigie-number', validate: accept, coerce: toNumber });
convict.addFormat({
  name: 'vigie-boolean',
  validate: accept,
  coerce: (text: string) => (text === 'true' ? true : text === 'false' ? false : text),
});
convict.addFormat({ name: 'vigie-texts', validate: accept, coerce: toList });
convict.addFormat({
  name: 'vigie-numbers',
  validate: accept,
  coerce: (text: string) => toList(text).map(toNumber),
});

function formatOf(schema: TSchema): string {
  if (KindGuard.IsNumber(schema) || KindGuard.IsInteger(schema)) return 'vigie-number';
  if (KindGuard.IsBoolean(schema)) return 'vigie-boolean';
  if (KindGuard.IsTuple(schema)) return 'vigie-numbers';
  return KindGuard.IsArray(schema) ? 'vigie-texts' : 'vigie-text';
}

const CONVICT_SCHEMA = convictSchema();

function convictSchema(): convict.Schema<Record<string, unknown>> {
  const root: Record<string, unknown> = {};
  for (const { path, variable, schema } of CONFIG_KEYS) {
    let group = root;
    for (const key of path.slice(0, -1)) {
      group[key] ??= {};
      group = group[key] as Record<string, unknown>;
    }
    const format = formatOf(schema);
    group[path.at(-1) ?? ''] = {
      format,
      default: null,
      nullable: true,
      env: variable,
      doc: schema.description,
    };
  }
  return root as convict.Schema<Record<string, unknown>>;
}
