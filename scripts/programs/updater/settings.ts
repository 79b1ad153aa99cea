/** What the updater is told by root: its own update.yaml, and of the agent's configuration who the box is and whom it obeys. */
import { readFileSync, statSync } from 'node:fs';
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf } from '../../../agent/base/errors.ts';
import type { OrderReader } from '../../../agent/base/room-order.ts';
import { parseYaml } from '../../../agent/base/yaml-text.ts';
import { CommandKey } from '../../../agent/contract/config.ts';
import { UpdateSettings } from '../../../agent/contract/update-settings.ts';

const strict = { additionalProperties: false } as const;
/** Configurations have at most 256 KiB (agent/contract/update.ts). */
const BYTES_MAX = 1_048_576;

export type Settings = UpdateSettings;

const DEFAULTS = {
  ca: '/etc/vigie/pki/ca.crt',
  cert: '/etc/vigie/pki/box.crt',
  key: '/etc/vigie/pki/box.key',
  rateKiBps: 0,
  healthyS: 60,
  withinS: 600,
};

/** Without the file: the defaults, and no server. Throws AgentError `config`. */
export function readSettings(file: string): Settings {
  const content = readYaml(file, true) ?? {};
  const settings: unknown = { ...DEFAULTS, ...Object(content) };
  if (!isOf(UpdateSettings, settings))
    throw new AgentError('config', `${file}: ${wrongIn(UpdateSettings, settings)}`);
  if (settings.withinS > settings.healthyS) return settings;
  throw new AgentError('config', `${file}: withinS must be more than healthyS (${settings.healthyS})`);
}

const Name = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
const Reader = Type.Object({ site: Name, box: Name, keys: Type.Array(CommandKey, { maxItems: 16 }) }, strict);

/** Who this box is and which keys may order; the environment has the last word, as for the agent. Throws AgentError `config`. */
export function readOrderReader(file: string, env: NodeJS.ProcessEnv): OrderReader {
  assertOwn(file);
  const content = Object(readYaml(file, false)) as Record<string, unknown>;
  const commands = Object(content['commands']) as Record<string, unknown>;
  const reader: unknown = {
    site: env['VIGIE_SITE'] ?? content['site'],
    box: env['VIGIE_BOX'] ?? content['box'],
    keys: commands['keys'] ?? [],
  };
  if (isOf(Reader, reader)) return reader;
  throw new AgentError('config', `${file}: ${wrongIn(Reader, reader).replace(/^keys/, 'commands.keys')}`);
}

/** Whoever may write the file says whom root obeys. */
function assertOwn(file: string): void {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (stat.uid === process.geteuid?.() && (stat.mode & 0o022) === 0) return;
  throw new AgentError('config', `${file}: others may write it; chown root and chmod 0640 it`);
}

function readYaml(file: string, mayMiss: boolean): unknown {
  if (mayMiss && statSync(file, { throwIfNoEntry: false }) === undefined) return undefined;
  try {
    const { size } = statSync(file);
    if (size > BYTES_MAX) throw new Error(`it has ${size} bytes; at most ${BYTES_MAX} are read`);
    return parseYaml(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new AgentError('config', `${file}: ${messageOf(error)}`, error);
  }
}

function isOf<S extends TSchema>(schema: S, value: unknown): value is Static<S> {
  return Value.Check(schema, value);
}

function wrongIn(schema: TSchema, value: unknown): string {
  const error = Value.Errors(schema, value).First();
  const path = (error?.path ?? '').slice(1).replaceAll('/', '.') || 'the file';
  const expected = typeof error?.schema['pattern'] === 'string' ? ` (${error.schema['pattern']})` : '';
  return `${path}: ${error?.message ?? 'is wrong'}${expected}`;
}
