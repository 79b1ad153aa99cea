/**
 * `vigie pin`: somebody on the box vouches for it as it is: from now on it obeys the authority's key of the
 * configuration, its clock is right, and a journal that is missing or another one is taken as it is. Where the package
 * is installed only root may, since root keeps the record.
 */
import { join } from 'node:path';
import { keyIdOf } from '../base/dsse.ts';
import { AgentError } from '../base/errors.ts';
import { loadConfig } from '../config/load.ts';
import { readAuthorityKey } from '../restraint/authorisation.ts';
import { forgetJournal, writeAuthority, writeBox } from '../restraint/folder.ts';
import { PIN_FILE, readPin, writePin } from '../restraint/pin.ts';
import { existingDir, recordFor, writing } from './local-mode.ts';
import { print } from './print.ts';

export interface PinOptions {
  readonly config: string;
  readonly state?: string;
}

export function pin(options: PinOptions): void {
  const dir = existingDir(options.state);
  const config = loadConfig(options.config, { env: process.env, mode: 'check', files: false });
  const { authorityKey } = config;
  if (authorityKey === undefined)
    throw new AgentError('config', `${options.config}: authorityKey is not set`);
  const keyid = keyIdOf(readAuthorityKey(authorityKey));
  const root = recordFor(dir)?.folder;
  if (root !== undefined) {
    if (process.geteuid?.() !== 0)
      throw new AgentError('config', `${root.dir} is root’s record of this box; run sudo vigie pin`);
    writeBox(root, config);
    writeAuthority(root, config);
    forgetJournal(root);
  }
  const file = join(dir, PIN_FILE);
  const before = keyBefore(file);
  writing(file, () => writePin(file, { keyid, before, told: false }));
  const was = before === null ? '' : before === keyid ? ', as before' : `, no longer ${before}`;
  print(`this box obeys ${keyid}${was}; valid times are judged from ${new Date().toISOString()} on`);
  print('the agent takes it within a minute, or at its start, and its journal tells it');
}

/** A damaged pin is what this command mends. */
function keyBefore(file: string): string | null {
  try {
    return readPin(file)?.keyid ?? null;
  } catch (error) {
    if (!(error instanceof AgentError) || error.kind !== 'corrupt') throw error;
    return null;
  }
}
