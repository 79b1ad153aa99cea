/**
 * Reads the address of the room's broker and the site from room.yaml or from options. Throws AgentError `config`, one
 * line.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { parse } from 'yaml';
import { messageOf } from '../../../agent/base/errors.ts';
import { wrong } from '../../../agent/cli/bad-option.ts';
import type { MqttConfig } from '../../../agent/contract/config.ts';

/** Options for the room's broker. */
export interface RoomOptions {
  readonly room: string;
  readonly site?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly certKey?: string;
}

export interface Room {
  readonly site: string;
  /** Time zone of the site, if the room's file names it. */
  readonly timeZone: string | undefined;
  readonly mqtt: MqttConfig;
}

/** Name of a site, a box, a zone or a line. */
export const NAME = /^[a-z0-9-]{1,32}$/;

/** Throws AgentError `config` for an invalid name of a box. */
export function assertBox(box: string): void {
  if (!NAME.test(box))
    throw wrong('--box', `invalid name "${box}"; use 1 to 32 characters from a-z, 0-9 and "-"`);
}

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
  const settings = isUrl
    ? { site, timeZone: undefined, mqtt: { url: room, ca, cert, key: certKey } }
    : readRoomFile(room);
  const { url, ...files } = settings.mqtt;
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
  const { timeZone } = settings;
  return { site: settings.site, timeZone, mqtt: { url, ...Object.fromEntries(paths), ack: 'broker' } };
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
