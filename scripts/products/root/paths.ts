/** Paths of vigie-root's files. Each can be set by an option, so that the program can be tried without installation. */

import { join } from 'node:path';
import { BOOT_ID_FILE } from '../../../agent/base/boot-clock.ts';
import type { ReleaseKind } from '../../../agent/contract/release.ts';
import { ROOT_RECORD_DIR } from '../../../agent/contract/root-record.ts';
import { CONFIG_ORDER_FILE, UPDATE_DIR, UPDATE_ORDER_FILE } from '../../../agent/contract/update.ts';
import type { Kind } from './change/record.ts';

export interface Places {
  /** The agent's releases and the link `current`. */
  readonly lib: string;
  /** Root's own releases, the link `current`, and the link `judge` for programs that must survive a bad release. */
  readonly rootLib: string;
  /** The updater's own folder; every user may read status and history in it. */
  readonly state: string;
  /** The agent's configuration file, owned by root. */
  readonly config: string;
  /** The agent's state folder, with the orders that it has received and its socket. */
  readonly agentState: string;
  readonly settings: string;
  /** The first TUF root. */
  readonly root: string;
  /** Release that the agent's package installs. */
  readonly firstRelease: string;
  /** Release that vigie-root's package installs. */
  readonly firstRoot: string;
  /** Folder of runtime files, /run. */
  readonly run: string;
  readonly bootId: string;
  /** The agent's user, which runs a release's code while it is checked. */
  readonly agentUser: string;
  /** Root's folder that vision and the agent read: the authority's key, and the masks. */
  readonly folder: string;
}

/** Places, with the paths of the system's programs. */
export interface BoxOptions extends Places {
  readonly systemctl: string;
  readonly timedatectl: string;
}

const ORDER_FILES: Readonly<Record<Kind, string>> = {
  release: UPDATE_ORDER_FILE,
  configuration: CONFIG_ORDER_FILE,
  root: UPDATE_ORDER_FILE,
};
export const orderFile = ({ agentState }: Places, kind: Kind): string => join(agentState, ORDER_FILES[kind]);
/** Text of the configuration that the room has ordered last. */
export const orderedFile = ({ state }: Places): string => join(state, 'ordered-configuration.yaml');
/** The order that changes vigie-root, unchanged. */
export const rootOrderFile = ({ state }: Places): string => join(state, 'root-order.dsse.json');
/** Folder in which a new vigie-root shows that it can be replaced (rehearsal.ts). */
export const rehearsalDir = ({ state }: Places): string => join(state, 'rehearsal');
const DOWNLOADS: Readonly<Record<ReleaseKind, string>> = { release: 'downloads', root: 'downloads-root' };
export const downloadsDir = ({ state }: Places, kind: ReleaseKind): string => join(state, DOWNLOADS[kind]);
export const tufDir = ({ state }: Places): string => join(state, 'tuf');
/** File name of vigie-root in a release of it. */
export const ROOT_PROGRAM = 'vigie-root.js';
/** Program `vigie` of the running release. */
export const releaseProgram = ({ lib }: Places): string => join(lib, 'current/dist/agent/cli/main.js');

/** Option, help text and default of each place. */
export const PLACE_OPTIONS: Readonly<Record<keyof BoxOptions, readonly [string, string, string]>> = {
  lib: ['--lib <dir>', 'the agent’s releases: current and releases/', '/usr/lib/vigie'],
  rootLib: ['--root-lib <dir>', 'root’s own releases: current, judge and releases/', '/usr/lib/vigie-root'],
  state: ['--state <dir>', 'root’s own folder', UPDATE_DIR],
  config: ['--config <file>', 'the agent’s configuration, root’s', '/etc/vigie/vigie.yaml'],
  agentState: ['--agent-state <dir>', 'the agent’s state folder', '/var/lib/vigie'],
  settings: ['--settings <file>', 'where releases come from', '/etc/vigie-root/update.yaml'],
  root: ['--root <file>', 'the signed root to begin with', '/etc/vigie-root/root.json'],
  firstRelease: [
    '--first-release <dir>',
    'what the package of the agent brings',
    '/usr/share/vigie/first-release',
  ],
  firstRoot: [
    '--first-root <dir>',
    'what the package of root’s program brings',
    '/usr/share/vigie-root/first-release',
  ],
  run: ['--run <dir>', 'of the running system', '/run'],
  bootId: ['--boot-id <file>', 'the kernel’s name of this boot', BOOT_ID_FILE],
  folder: ['--folder <dir>', 'root’s folder, which vision and the agent read', ROOT_RECORD_DIR],
  agentUser: ['--agent-user <user>', 'as whom code of the release runs to judge it', 'vigie'],
  systemctl: ['--systemctl <program>', 'what asks systemd', 'systemctl'],
  timedatectl: ['--timedatectl <program>', 'what knows whether the clock is synchronised', 'timedatectl'],
};
export const PLACE_KEYS = Object.keys(PLACE_OPTIONS) as (keyof BoxOptions)[];
export const DEFAULT_PLACES = Object.fromEntries(
  PLACE_KEYS.map((key) => [key, PLACE_OPTIONS[key][2]]),
) as Record<keyof BoxOptions, string>;

/** Returns the options for a child process that uses the same places. */
export const flagsOf = (places: BoxOptions): string[] =>
  PLACE_KEYS.flatMap((key) => [PLACE_OPTIONS[key][0].split(' ')[0] ?? '', places[key]]);
