/**
 * Reads the updater's settings: its own update.yaml, and from the agent's configuration the box's name and the keys it
 * obeys.
 */
import { closeSync, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError, hasCode, messageOf } from '../../../agent/base/errors.ts';
import { parseYaml } from '../../../agent/base/yaml-text.ts';
import { CONFIG_BYTES_MAX, readSource } from '../../../agent/config/source.ts';
import { CommandKey } from '../../../agent/contract/config.ts';
import { UpdateSettings } from '../../../agent/contract/update-settings.ts';
import type { OrderReader } from '../../../agent/orders/room-order.ts';

const strict = { additionalProperties: false } as const;
/** Maximum size, bytes; the file has some ten lines. */
const SETTINGS_BYTES_MAX = 65_536;

export type Settings = UpdateSettings;

const DEFAULTS = {
  ca: '/etc/vigie/pki/ca.crt',
  cert: '/etc/vigie/pki/box.crt',
  key: '/etc/vigie/pki/box.key',
  rateKiBps: 0,
  healthyS: 60,
  withinS: 600,
};

/** Reads the settings; without the file, returns the defaults without a server. Throws AgentError `config`. */
export function readSettings(file: string): Settings {
  const content = readSettingsFile(file) ?? {};
  const settings: unknown = { ...DEFAULTS, ...Object(content) };
  if (!isOf(UpdateSettings, settings))
    throw new AgentError('config', `${file}: ${wrongIn(UpdateSettings, settings)}`);
  if (settings.withinS > settings.healthyS) return settings;
  throw new AgentError('config', `${file}: withinS must be more than healthyS (${settings.healthyS})`);
}

const Name = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
const Reader = Type.Object({ site: Name, box: Name, keys: Type.Array(CommandKey, { maxItems: 16 }) }, strict);

/**
 * Reads the box's name and the keys that may order. Uses the same YAML reader as the agent and `vigie check`, so that
 * all read the same from one text. Environment variables override it, as for the agent. Throws AgentError `config`.
 */
export function readOrderReader(file: string, env: NodeJS.ProcessEnv): Omit<OrderReader, 'wallMs'> {
  const { data, problems } = readSource(ownText(file));
  const [problem] = problems;
  // The parser's message may quote part of a login, and it is sent to the room.
  if (problem !== undefined) {
    const position = `line ${problem.line ?? 1}, column ${problem.column ?? 1}`;
    throw new AgentError(
      'config',
      `${file}: not readable: ${position}; \`vigie check\` says what is wrong there`,
    );
  }
  const content = Object(data) as Record<string, unknown>;
  const commands = Object(content['commands']) as Record<string, unknown>;
  const reader: unknown = {
    site: env['VIGIE_SITE'] ?? content['site'],
    box: env['VIGIE_BOX'] ?? content['box'],
    keys: commands['keys'] ?? [],
  };
  if (isOf(Reader, reader)) return reader;
  throw new AgentError('config', `${file}: ${wrongIn(Reader, reader).replace(/^keys/, 'commands.keys')}`);
}

/**
 * Reads the file and checks that only its owner can write it, since its author decides whom root obeys. The check is on
 * the opened file, so a replacement in between has no effect.
 */
function ownText(file: string): string {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    throw new AgentError('config', `${file} cannot be read: ${messageOf(error)}`, error);
  }
  try {
    const { uid, mode } = fstatSync(fd);
    if (uid !== process.geteuid?.() || (mode & 0o022) !== 0)
      throw new AgentError('config', `${file}: others may write it; chown root and chmod 0640 it`);
    const bytes = readFileSync(fd);
    if (bytes.length > CONFIG_BYTES_MAX)
      throw new AgentError(
        'config',
        `${file}: it has ${bytes.length} bytes; at most ${CONFIG_BYTES_MAX} are read`,
      );
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError('config', `${file}: not readable as UTF-8 text: ${messageOf(error)}`, error);
  } finally {
    closeSync(fd);
  }
}

/** Returns undefined if there is no file. */
function readSettingsFile(file: string): unknown {
  try {
    const { size } = statSync(file);
    if (size > SETTINGS_BYTES_MAX)
      throw new Error(`it has ${size} bytes; at most ${SETTINGS_BYTES_MAX} are read`);
    return parseYaml(readFileSync(file, 'utf8'));
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw new AgentError('config', `${file}: ${messageOf(error)}`, error);
  }
}

function isOf<S extends TSchema>(schema: S, value: unknown): value is Static<S> {
  return Value.Check(schema, value);
}

/** Returns the first validation error. */
export function wrongIn(schema: TSchema, value: unknown): string {
  const error = Value.Errors(schema, value).First();
  const path = (error?.path ?? '').slice(1).replaceAll('/', '.') || 'the file';
  const expected = typeof error?.schema['pattern'] === 'string' ? ` (${error.schema['pattern']})` : '';
  return `${path}: ${error?.message ?? 'is wrong'}${expected}`;
}
