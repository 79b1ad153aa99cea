/**
 * Returns the key under which an IP address is counted. An IPv6 network of 64 bits has one key, because the owner of
 * one of its addresses has all of them. Link-local addresses, which all neighbours share, are counted individually. An
 * IPv4 address written as IPv6 counts as IPv4.
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
