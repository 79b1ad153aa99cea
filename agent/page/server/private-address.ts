/**
 * Restricts a camera's address to the box's own networks. A phone must not be able to make the box query a machine on
 * the Internet, nor the box itself.
 */
import { BlockList, isIP } from 'node:net';

/** RFC 1918, RFC 3927 and RFC 4193, RFC 4291 (link-local). */
const PRIVATE = new BlockList();
PRIVATE.addSubnet('10.0.0.0', 8);
PRIVATE.addSubnet('172.16.0.0', 12);
PRIVATE.addSubnet('192.168.0.0', 16);
PRIVATE.addSubnet('169.254.0.0', 16);
PRIVATE.addSubnet('fc00::', 7, 'ipv6');
PRIVATE.addSubnet('fe80::', 10, 'ipv6');

export interface HostPort {
  /** IP address, without brackets. */
  readonly host: string;
  readonly port: number;
}

const HTTP_PORT = 80;

/** `10.0.0.9`, `10.0.0.9:8080`, `[fd00::9]:80`; undefined if it is not an address. */
export function hostPort(text: string): HostPort | undefined {
  const [, v6, v4, port = String(HTTP_PORT)] =
    /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15}))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = v6 ?? v4 ?? '';
  const number = Number(port);
  return isIP(host) === 0 || number < 1 || number > 65_535 ? undefined : { host, port: number };
}

/**
 * Reports whether a camera may have the address. `own` are the addresses of the box, in any form: `::ffff:10.0.0.9` is
 * 10.0.0.9.
 */
export function isPrivate(host: string, own: readonly string[]): boolean {
  if (isIP(host) === 0) return false;
  const ownAddresses = new BlockList();
  for (const address of own) ownAddresses.addAddress(address, familyOf(address));
  return PRIVATE.check(host, familyOf(host)) && !ownAddresses.check(host, familyOf(host));
}

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4');
