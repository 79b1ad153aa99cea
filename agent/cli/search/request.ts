/** What was typed for `vigie search` → where to ask, as whom, and what. Throws AgentError `config`, one line. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { parse } from 'yaml';
import { keyIdOf } from '../../base/dsse.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import { openToOthers } from '../../base/private-file.ts';
import { nearest } from '../../config/words.ts';
import type { MqttConfig } from '../../contract/config.ts';
import { RESUME_SIGNATURES } from '../../contract/mode.ts';
import { RULE_SCHEMAS } from '../../contract/rule-config.ts';
import { SearchArgs } from '../../contract/search.ts';

/** Where the room's broker is. */
export interface RoomOptions {
  readonly room: string;
  readonly site?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly certKey?: string;
}

export interface SearchOptions extends RoomOptions {
  readonly key: string;
  readonly case: string;
  readonly reason: string;
  readonly from: string;
  readonly to: string;
  readonly kind?: readonly string[];
  readonly zone?: readonly string[];
  readonly box?: readonly string[];
  readonly timeout: number;
  readonly max: number;
  readonly json?: boolean;
}

export interface Room {
  readonly site: string;
  readonly mqtt: MqttConfig;
}

/** Of a site, a box, a zone or a line. */
export const NAME = /^[a-z0-9-]{1,32}$/;

/** Other keys of the file belong to other programs of the room. */
const RoomFile = Type.Object({
  site: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
  mqtt: Type.Object({
    url: Type.String({ pattern: '^mqtts?://' }),
    ca: Type.Optional(Type.String()),
    cert: Type.Optional(Type.String()),
    key: Type.Optional(Type.String()),
  }),
});

export function roomOf(options: RoomOptions): Room {
  const { room, site = '', ca, cert, certKey } = options;
  const isUrl = /^mqtts?:\/\//.test(room);
  if (isUrl && !NAME.test(site)) {
    throw wrong('--site', 'is needed with --room mqtts://…: the name of the site, 1 to 32 of a-z, 0-9 and -');
  }
  const given = isUrl ? { site, mqtt: { url: room, ca, cert, key: certKey } } : readRoomFile(room);
  const { url, ...files } = given.mqtt;
  if (!URL.canParse(url) || (url.startsWith('mqtt:') && !/^mqtt:\/\/(localhost|127\.|\[::1\])/.test(url))) {
    throw wrong(
      '--room',
      'the URL must be mqtts://host:port (plain mqtt:// is for a broker on this machine only)',
    );
  }
  const from = isUrl ? process.cwd() : dirname(resolve(room));
  const paths = Object.entries(files).flatMap(([name, file]) =>
    file === undefined ? [] : [[name, resolve(from, file)]],
  );
  return { site: given.site, mqtt: { url, ...Object.fromEntries(paths), ack: 'broker' } };
}

function readRoomFile(file: string) {
  let content: unknown;
  try {
    content = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw wrong('--room', `${file} cannot be read (${messageOf(error).slice(0, 200)})`);
  }
  if (Value.Check(RoomFile, content)) return content;
  const error = Value.Errors(RoomFile, content).First();
  throw wrong(
    '--room',
    `${file}: ${error?.path || '/'}: ${error?.message}; site and mqtt: {url, ca, cert, key} are needed`,
  );
}

export function signingKey(file: string): KeyObject {
  let pem: Buffer;
  try {
    pem = readFileSync(file);
  } catch (error) {
    throw wrong('--key', `${file} cannot be read (${messageOf(error)})`);
  }
  const right = 'make one with: openssl genpkey -algorithm ed25519 -out FILE';
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw wrong('--key', `${file} holds no private key in PEM form without a passphrase; ${right}`);
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw wrong('--key', `${file} is a key of type ${key.asymmetricKeyType}; ${right}`);
  }
  const open = openToOthers(file);
  if (open !== undefined) throw wrong('--key', open);
  return key;
}

/** For a resume, which needs the holders of two keys. */
export function resumeKeys(files: readonly string[]): KeyObject[] {
  const keys = files.map(signingKey);
  if (new Set(keys.map(keyIdOf)).size >= RESUME_SIGNATURES) return keys;
  throw wrong('--key', 'two different keys of the authorisation must sign; name both files');
}

export function searchArgs(options: SearchOptions): SearchArgs {
  const { kind, zone, box } = options;
  const from = timeOf('--from', options.from);
  const to = timeOf('--to', options.to);
  if (from >= to) throw wrong('--to', `${to} is not after --from ${from}`);
  for (const name of kind ?? []) assertKind(name);
  for (const name of [...(zone ?? []), ...(box ?? [])]) {
    if (!NAME.test(name)) throw wrong('--zone, --box', `"${name}" is no name; 1 to 32 of a-z, 0-9 and - are`);
  }
  const query = { from, to, ...(kind && { kinds: [...kind] }), ...(zone && { zones: [...zone] }) };
  const args = { case: options.case, reason: options.reason, query };
  if (Value.Check(SearchArgs, args)) return args;
  const error = Value.Errors(SearchArgs, args).First();
  throw wrong(`--${error?.path.split('/').at(1) ?? ''}`, `${error?.message}`);
}

/** A box of a newer version may know more kinds; a typing mistake must not look like "nothing happened". */
function assertKind(name: string): void {
  const known: string[] = RULE_SCHEMAS.map(({ properties }) => properties.kind.const);
  const meant = known.includes(name) ? undefined : nearest(name, known);
  if (meant !== undefined) throw wrong('--kind', `no rule is called "${name}"; did you mean "${meant}"?`);
  if (!/^[a-z-]{1,40}$/.test(name))
    throw wrong('--kind', `"${name}" is no kind; there are ${known.join(', ')}`);
}

/** Without an offset: the time of this machine, for a day alone its midnight. */
function timeOf(option: string, text: string): string {
  const form = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})?)?$/;
  const ms = form.test(text)
    ? Date.parse(text.length === 10 ? `${text}T00:00` : text.replace(' ', 'T'))
    : NaN;
  if (Number.isNaN(ms) || !sameDay(text, ms)) {
    throw wrong(
      option,
      `"${text}" is no time; write 2026-11-24T14:00, with Z or +01:00 where it is not this machine’s`,
    );
  }
  return new Date(ms).toISOString();
}

/** 30 February would silently become 2 March. */
function sameDay(text: string, ms: number): boolean {
  const day = Number(text.slice(8, 10));
  return [-1, 0, 1].some((days) => new Date(ms + days * 86_400_000).getUTCDate() === day);
}

function wrong(option: string, message: string): AgentError {
  return new AgentError('config', `${option}: ${message}`);
}
