/**
 * Records that a person vouches for the present state of the box. From then on it obeys the authority's key of the
 * configuration, its clock counts as right, and a missing or different journal is accepted. In an installed package
 * only root may do this.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../base/errors.ts';
import type { Config } from '../contract/config.ts';
import { keyIdOf } from '../orders/dsse.ts';
import type { RestraintFolder } from '../orders/restraint-folder.ts';
import { readAuthorityKey } from './authorisation.ts';
import { forgetJournal, writeAuthority, writeBox } from './folder.ts';
import { PIN_FILE, readPin, writePin } from './pin.ts';

export interface VouchOptions {
  /** File name of the configuration, for messages. */
  readonly file: string;
  readonly config: Config;
  readonly stateDir: string;
  /** Root's record of the box; absent in a plain run. */
  readonly record?: RestraintFolder;
}

/** Returns lines to show to the person who vouches. Throws AgentError. */
export function vouch({ file, config, stateDir, record }: VouchOptions): readonly string[] {
  if (!existsSync(stateDir))
    throw new AgentError('config', `--state: ${stateDir}: no such folder; name the agent’s state folder`);
  if (config.authorityKey === undefined) throw new AgentError('config', `${file}: authorityKey is not set`);
  const keyid = keyIdOf(readAuthorityKey(config.authorityKey));
  if (record !== undefined) {
    writeBox(record, config);
    writeAuthority(record, config);
    forgetJournal(record);
  }
  const pin = join(stateDir, PIN_FILE);
  const before = keyBefore(pin);
  writePin(pin, { keyid, before, told: false });
  const was = before === null ? '' : before === keyid ? ', as before' : `, no longer ${before}`;
  return [
    `this box obeys ${keyid}${was}; validity is checked from ${new Date().toISOString()} on`,
    'the agent applies it within a minute, or at its start, and enters it in its journal',
  ];
}

/** A damaged pin is replaced by this. */
function keyBefore(file: string): string | null {
  try {
    return readPin(file)?.keyid ?? null;
  } catch (error) {
    if (!(error instanceof AgentError) || error.kind !== 'corrupt') throw error;
    return null;
  }
}
