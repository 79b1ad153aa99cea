/**
 * The name under which an IP address is counted: an IPv6 network of 64 bits is one, since whoever has one address of it has
 * all of them; but for link-local ones, which all neighbours share. An IPv4 address written as IPv6 is that IPv4 address.
 */
import { isIPv6 } from 'node:net';

export function addressKey(address: string): string {
  const v4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (v4 !== undefined) return v4;
  if (!isIPv6(address) || /^fe[89ab]/i.test(address)) return address;
  const [head = '', tail] = address.split('%')[0]?.split('::') ?? [];
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  return [...before, ...Array<string>(zeros).fill('0'), ...after].slice(0, 4).join(':');
}
