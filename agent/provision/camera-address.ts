/**
 * The only addresses that vision may speak to: its camera's. systemd is told at each start of the agent, since an
 * address belongs to the configuration and not to the package.
 */
import { execFile } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import { AgentError, messageOf } from '../base/errors.ts';

const run = promisify(execFile);

const VISION_UNIT = 'vigie-vision.service';
const RESOLV_CONF = '/etc/resolv.conf';

export interface CameraReach {
  /** In the order in which systemd is told; empty for a camera that is on no network. */
  readonly addresses: readonly string[];
  /** The camera is given by name: the name servers must be reached as well. */
  readonly byName: boolean;
}

export interface ReachOptions {
  /** For tests. */
  readonly resolvConf?: string;
}

/** Throws `unavailable` when a camera's name leads to no address. */
export async function cameraReach(source: string, options: ReachOptions = {}): Promise<CameraReach> {
  const host = hostOf(source);
  if (host === undefined) return { addresses: [], byName: false };
  if (isIP(host) !== 0) return { addresses: [host], byName: false };
  const found = await lookup(host, { all: true }).catch((error: unknown) => {
    const fix = 'give the camera by its address in camera.source';
    throw new AgentError(
      'unavailable',
      `camera.source: ${host} has no address (${messageOf(error)}); ${fix}`,
      error,
    );
  });
  const servers = nameServers(options.resolvConf ?? RESOLV_CONF);
  return { addresses: [...new Set([...found.map(({ address }) => address), ...servers])], byName: true };
}

/** For this boot only: the next start of the agent says it anew. Throws `unavailable` when systemd refuses. */
export async function tellSystemd(addresses: readonly string[], systemctl = 'systemctl'): Promise<void> {
  const properties = ['', ...addresses].map((address) => `IPAddressAllow=${address}`);
  try {
    await run(systemctl, ['set-property', '--runtime', VISION_UNIT, ...properties]);
  } catch (error) {
    throw new AgentError('unavailable', `systemd refuses the camera's address: ${messageOf(error)}`, error);
  }
}

/** Undefined for a file, a device or the test picture. */
function hostOf(source: string): string | undefined {
  if (!/^[a-z]+:\/\//.test(source) || source.startsWith('file:')) return undefined;
  const { hostname } = new URL(source);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  return host === '' ? undefined : host;
}

function nameServers(file: string): string[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines
    .map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1]?.split('%')[0] ?? '')
    .filter((address) => isIP(address) !== 0);
}
