/** What was typed for `vigie search` → where to ask, as whom, and what. Throws AgentError `config`, one line. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { parse } from 'yaml';
import { AgentError, messageOf } from '../../base/errors.ts';
import { openToOthers } from '../../base/private-file.ts';
import { nearest } from '../../config/words.ts';
import { type MqttConfig, RULE_SCHEMAS } from '../../contract/config.ts';
import { RESUME_SIGNATURES } from '../../contract/mode.ts';
import { SearchArgs } from '../../contract/search.ts';
import { keyIdOf } from '../../restraint/envelope.ts';
import { SiteTime } from '../site-time.ts';

/** Where the room's broker is. */
export interface RoomOptions {
  readonly room: string;
  readonly site?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly certKey?: string;
}

export interface SearchOptions extends RoomOptions {
  readonly sign: string;
  readonly case: string;
  readonly reason: string;
  readonly from: string;
  readonly to: string;
  readonly kind?: readonly string[];
  readonly zone?: readonly string[];
  readonly box?: readonly string[];
  readonly timeout: number;
  readonly max: number;
  readonly timeZone?: string;
  readonly json?: boolean;
}

export interface Room {
  readonly site: string;
  /** Of the site, where the file of the room names it. */
  readonly timeZone: string | undefined;
  readonly mqtt: MqttConfig;
}

/** Of a site, a box, a zone or a line. */
export const NAME = /^[a-z0-9-]{1,32}$/;

/** Other keys of the file belong to other programs of the room. */
const RoomFile = Type.Object({
  site: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
  timeZone: Type.Optional(Type.String()),
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
  const given = isUrl
    ? { site, timeZone: undefined, mqtt: { url: room, ca, cert, key: certKey } }
    : readRoomFile(room);
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
  const { timeZone } = given;
  return { site: given.site, timeZone, mqtt: { url, ...Object.fromEntries(paths), ack: 'broker' } };
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

/** `option`: by which it was named. */
export function signingKey(file: string, option = '--sign'): KeyObject {
  let pem: Buffer;
  try {
    pem = readFileSync(file);
  } catch (error) {
    throw wrong(option, `${file} cannot be read (${messageOf(error)})`);
  }
  const right = 'make one with: openssl genpkey -algorithm ed25519 -out FILE';
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw wrong(option, `${file} holds no private key in PEM form without a passphrase; ${right}`);
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw wrong(option, `${file} is a key of type ${key.asymmetricKeyType}; ${right}`);
  }
  const open = openToOthers(file);
  if (open !== undefined) throw wrong(option, open);
  return key;
}

/** For a resume, which needs the holders of two keys. */
export function resumeKeys(files: readonly string[]): KeyObject[] {
  const keys = files.map((file) => signingKey(file, '--key'));
  if (new Set(keys.map(keyIdOf)).size >= RESUME_SIGNATURES) return keys;
  throw wrong('--key', 'two different keys of the authorisation must sign; name both files');
}

/** Where nothing else says it: the zone of this machine. */
export function timeOfSite({ timeZone }: SearchOptions, room: Room): SiteTime {
  return new SiteTime(timeZone ?? room.timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone);
}

export function searchArgs(options: SearchOptions, time: SiteTime): SearchArgs {
  const { kind, zone, box } = options;
  const at = (option: string, text: string): string => new Date(time.parse(option, text)).toISOString();
  const [from, to] = [at('--from', options.from), at('--to', options.to)];
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

function wrong(option: string, message: string): AgentError {
  return new AgentError('config', `${option}: ${message}`);
}
