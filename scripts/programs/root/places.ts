/** Where the updater finds and keeps things; each can be named, so that it can be tried without being installed. */

import { join } from 'node:path';
import { BOOT_ID_FILE } from '../../../agent/base/boot-clock.ts';
import { ROOT_RECORD_DIR } from '../../../agent/contract/root-record.ts';
import { CONFIG_ORDER_FILE, UPDATE_DIR, UPDATE_ORDER_FILE } from '../../../agent/contract/update.ts';
import type { Kind } from './change/record.ts';

export interface Places {
  /** Of the releases and the link `current`. */
  readonly lib: string;
  /** The updater's own; everybody may read status and history in it. */
  readonly state: string;
  /** Root's configuration of the agent. */
  readonly config: string;
  /** The agent's state folder: orders that it has laid, its socket. */
  readonly agentState: string;
  readonly settings: string;
  /** TUF root to begin with. */
  readonly root: string;
  /** What the package of the agent brings. */
  readonly firstRelease: string;
  /** Of the running system. */
  readonly run: string;
  readonly bootId: string;
  /** User of the agent: what must run of a release's code to judge it runs as that. */
  readonly agentUser: string;
  /** Root's folder that vision and the agent read: whose authorisations count, what must be black. */
  readonly folder: string;
}

export const DEFAULT_PLACES: Places = {
  lib: '/usr/lib/vigie',
  state: UPDATE_DIR,
  config: '/etc/vigie/vigie.yaml',
  agentState: '/var/lib/vigie',
  settings: '/etc/vigie-root/update.yaml',
  root: '/etc/vigie-root/root.json',
  firstRelease: '/usr/share/vigie/first-release',
  run: '/run',
  bootId: BOOT_ID_FILE,
  agentUser: 'vigie',
  folder: ROOT_RECORD_DIR,
};

const ORDER_FILES: Readonly<Record<Kind, string>> = {
  release: UPDATE_ORDER_FILE,
  configuration: CONFIG_ORDER_FILE,
};
export const orderFile = ({ agentState }: Places, kind: Kind): string => join(agentState, ORDER_FILES[kind]);
/** Text of the configuration that the room has ordered last. */
export const orderedFile = ({ state }: Places): string => join(state, 'ordered-configuration.yaml');
export const downloadsDir = ({ state }: Places): string => join(state, 'downloads');
export const tufDir = ({ state }: Places): string => join(state, 'tuf');
/** Program `vigie` of the release that runs. */
export const releaseProgram = ({ lib }: Places): string => join(lib, 'current/dist/agent/cli/main.js');
