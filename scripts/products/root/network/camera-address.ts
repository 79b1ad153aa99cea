/**
 * Restricts camera access to vision: vision may reach only the camera's addresses, and the agent may not reach them.
 * The agent knows the camera's password, and no defect in it may lead to a picture.
 *
 * The addresses are passed to systemd at each start of the agent, since they belong to the configuration and not to the
 * package.
 */
import { execFile } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { BlockList, isIP, isIPv6 } from 'node:net';
import { promisify } from 'node:util';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { print } from '../../../../agent/cli/print.ts';
import { stateDir } from '../../../../agent/cli/state-dir.ts';
import { usableConfig } from '../../../../agent/config/last-good.ts';
import { parseCameraSource, shownSource } from '../../../../agent/contract/camera-address.ts';
import { RestraintFolder } from '../../../../agent/orders/restraint-folder.ts';
import { writeCamera } from '../../../../agent/restraint/folder.ts';
import type { OwnOptions } from '../restraint.ts';
import { AGENT_UNIT, VISION_UNIT } from '../units.ts';

const run = promisify(execFile);

export interface CameraReach {
  /** Host of the camera source; empty for a camera that is not on a network. */
  readonly host: string;
  /** Addresses for vision, which looks up no names itself. Empty for a camera that is not on a network. */
  readonly addresses: readonly string[];
  /** Addresses denied to the agent: the camera's own, except those of the broker or of the box itself. */
  readonly notForAgent: readonly string[];
}

export interface ReachOptions {
  /** URL of the broker, which the agent must reach. */
  readonly broker?: string | undefined;
}

/** `vigie-root camera-address`, called by its unit at each start of the agent. */
export async function provisionCameraAddress({ config: file, state, folder }: OwnOptions): Promise<void> {
  const { env } = process;
  // As the agent does: if the file is refused, the last valid one is used.
  const { config } = usableConfig(file, stateDir(state, env), { env, mode: 'check', files: false });
  const { camera, mqtt } = config;
  if (camera === undefined)
    throw new AgentError('config', `${file}: camera: must be given, or there is nothing to reach`);
  const reached = await cameraReach(camera.source, { broker: mqtt?.url });
  writeCamera(new RestraintFolder(folder), reached);
  await tellSystemd(reached);
  const { addresses, notForAgent } = reached;
  const source = shownSource(camera.source);
  const reach = addresses.length === 0 ? 'no address at all' : `only ${addresses.join(', ')}`;
  print(`vision may reach ${reach} (camera ${source})`);
  if (notForAgent.length > 0) print(`the agent may not reach ${notForAgent.join(', ')}`);
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8);
LOOPBACK.addAddress('::1', 'ipv6');

/**
 * Resolves the camera's addresses. Throws `unavailable` if its name has no address, `config` if the source cannot be
 * parsed.
 */
export async function cameraReach(source: string, options: ReachOptions = {}): Promise<CameraReach> {
  const parsed = parseCameraSource(source);
  if ('fault' in parsed) throw new AgentError('config', `camera.source ${parsed.fault}`);
  if (parsed.kind !== 'rtsp') return { host: '', addresses: [], notForAgent: [] };
  const { host } = parsed;
  const camera = await addressesOf(host).catch((error: unknown) => {
    const fix = 'give the camera by its address in camera.source';
    throw new AgentError(
      'unavailable',
      `camera.source: ${host} cannot be resolved (${messageOf(error)}); ${fix}`,
      error,
    );
  });
  const { broker } = options;
  const brokerHost = broker === undefined ? undefined : brokerHostOf(broker);
  // A broker whose name has no address now cannot be reached anyway.
  const ofBroker = brokerHost === undefined ? [] : await addressesOf(brokerHost).catch(() => []);
  const mayNot = (address: string): boolean =>
    !ofBroker.includes(address) && !LOOPBACK.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  const addresses = [...new Set(camera)];
  return { host, addresses, notForAgent: addresses.filter(mayNot) };
}

async function addressesOf(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

/**
 * Sets the addresses in systemd for this boot; each start of the agent sets them again. Throws `unavailable` if systemd
 * refuses.
 */
export async function tellSystemd(
  { addresses, notForAgent }: Pick<CameraReach, 'addresses' | 'notForAgent'>,
  systemctl = 'systemctl',
): Promise<void> {
  const allowed = ['', ...addresses].map((address) => `IPAddressAllow=${address}`);
  const denied = ['', ...notForAgent].map((address) => `IPAddressDeny=${address}`);
  try {
    await run(systemctl, ['set-property', '--runtime', VISION_UNIT, ...allowed]);
    await run(systemctl, ['set-property', '--runtime', AGENT_UNIT, ...denied]);
  } catch (error) {
    throw new AgentError('unavailable', `systemd refuses the camera's address: ${messageOf(error)}`, error);
  }
}

function brokerHostOf(url: string): string | undefined {
  const { hostname } = new URL(url);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  return host === '' ? undefined : host;
}
