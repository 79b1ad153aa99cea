/** Command `read-configuration`: the room's copy of the file on the box, without the camera's login. */
import { readFileSync, statSync } from 'node:fs';
import { messageOf } from '../base/errors.ts';
import { CommandRefused } from '../contract/command.ts';
import type { ConfigCopy } from '../contract/update.ts';
import { shownSha256, withoutSecrets } from './secrets.ts';
import { CONFIG_BYTES_MAX } from './source.ts';

/**
 * Returns the copy. `file`: the configuration requested for the agent, accepted or not.
 * @throws CommandRefused
 */
export function configCopy(file: string): ConfigCopy {
  const yaml = withoutSecrets(textOf(file));
  const sha256 = yaml === undefined ? undefined : shownSha256(yaml);
  if (yaml !== undefined && sha256 !== undefined && yaml.length <= CONFIG_BYTES_MAX) return { sha256, yaml };
  const message = `the file is not readable as YAML of at most ${CONFIG_BYTES_MAX} bytes: a password in it could not be hidden; correct it on the box`;
  throw new CommandRefused('unavailable', message);
}

function textOf(file: string): string {
  try {
    const { size } = statSync(file);
    if (size > CONFIG_BYTES_MAX) throw new Error(`it has ${size} bytes`);
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CommandRefused('unavailable', `the file cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
