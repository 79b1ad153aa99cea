/**
 * Writes the folder that restrains vision (orders/restraint-folder.ts). Root writes it in an installed package, the
 * agent in a plain run.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { writeAtomically } from '../base/atomic-file.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import type { Config } from '../contract/config.ts';
import {
  AUTHORITY_FILE,
  BOX_FILE,
  type BoxRecord,
  CAMERA_FILE,
  CameraRecord,
  JOURNAL_FILE,
  ownFolder,
  type RestraintFolder,
} from '../orders/restraint-folder.ts';
import { readAuthorityKey } from './authorisation.ts';

/** Readable by everyone: the folder holds no secret, and vision is another user. */
const FOLDER_MODE = 0o755;
const FILE_MODE = 0o644;

type Configured = Pick<Config, 'site' | 'box' | 'masks' | 'authorityKey'>;

/** Writes the complete folder, for a plain run. Throws AgentError as the parts do. */
export function writeOwnFolder(stateDir: string, config: Configured): undefined {
  const folder = ownFolder(stateDir);
  writeBox(folder, config);
  if (config.authorityKey !== undefined) writeAuthority(folder, config);
}

/** Returns a hash of the folder's content for the journal. A missing file changes it too. */
export function folderHash(folder: RestraintFolder): string {
  const hash = createHash('sha256');
  for (const name of [AUTHORITY_FILE, BOX_FILE]) {
    const file = folder.path(name);
    hash.update(existsSync(file) ? readFileSync(file) : `no ${name}`);
  }
  return hash.digest('hex');
}

/** Writes the identity of the box and its masks, as in the configuration. Throws AgentError `unavailable`. */
export function writeBox(folder: RestraintFolder, { site, box, masks }: Configured): void {
  const record: BoxRecord = { version: 1, site, box, masks };
  write(folder, BOX_FILE, JSON.stringify(record));
}

/** Writes the camera's addresses. Throws AgentError `unavailable`. */
export function writeCamera(
  folder: RestraintFolder,
  { host, addresses }: { readonly host: string; readonly addresses: readonly string[] },
): void {
  const { maxItems = 0 } = CameraRecord.properties.addresses;
  const record: CameraRecord = { version: 1, host, addresses: addresses.slice(0, maxItems) };
  write(folder, CAMERA_FILE, JSON.stringify(record));
}

/**
 * Writes the authority's key that counts from now on. Throws AgentError `config` if there is none, `unavailable` for
 * the disk.
 */
export function writeAuthority(folder: RestraintFolder, { authorityKey }: Configured): void {
  if (authorityKey === undefined)
    throw new AgentError('config', '`authorityKey` is not in the configuration');
  const key = readAuthorityKey(authorityKey);
  write(folder, AUTHORITY_FILE, key.export({ type: 'spki', format: 'pem' }).toString());
}

/**
 * Writes the key at its first use only. A different key counts for nothing until a person vouches for it (vouch.ts).
 */
export function writeFirstAuthority(folder: RestraintFolder, config: Configured): void {
  if (!existsSync(folder.path(AUTHORITY_FILE)) && config.authorityKey !== undefined)
    writeAuthority(folder, config);
}

/** Accepts the next reported head of the journal unchecked. Throws AgentError `unavailable`. */
export function forgetJournal(folder: RestraintFolder): void {
  onDisk(folder.path(JOURNAL_FILE), () => rmSync(folder.path(JOURNAL_FILE), { force: true }));
}

function write(folder: RestraintFolder, name: string, text: string): void {
  const file = folder.path(name);
  onDisk(file, () => {
    mkdirSync(folder.dir, { recursive: true, mode: FOLDER_MODE });
    if (existsSync(file) && readFileSync(file, 'utf8') === text) return;
    writeAtomically(file, text, FILE_MODE);
  });
}

function onDisk(file: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    throw new AgentError('unavailable', `${file} cannot be written: ${messageOf(error)}`, error);
  }
}
