/**
 * How often one address may connect and ask, so that one phone, or whoever plays one, does not keep the others out.
 *
 * LIMITS: ADDRESSES_MAX are known at a time, the one that was heard of longest ago is forgotten; an IPv6 network of 64
 * bits counts as one address, since whoever has one has all of it; but for link-local ones, which all neighbours share.
 */
import { isIPv6 } from 'node:net';
import type { Clock } from '../../base/clock.ts';
import { type BucketLimits, TokenBucket } from '../../base/token-bucket.ts';

const ADDRESSES_MAX = 256;

export interface RateLimits {
  readonly connections: BucketLimits;
  readonly requests: BucketLimits;
}

interface Buckets {
  readonly connections: TokenBucket;
  readonly requests: TokenBucket;
}

export class AddressLimits {
  readonly #limits: RateLimits;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #known = new Map<string, Buckets>();

  constructor(limits: RateLimits, clock: Pick<Clock, 'nowMs'>) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** 0: go on; else the seconds to wait. */
  take(what: keyof Buckets, address: string | undefined): number {
    const key = keyOf(address ?? '');
    const known = this.#known.get(key) ?? {
      connections: new TokenBucket(this.#limits.connections, this.#clock),
      requests: new TokenBucket(this.#limits.requests, this.#clock),
    };
    // The last in the map is the one that was heard of last.
    this.#known.delete(key);
    this.#known.set(key, known);
    const oldest = this.#known.size > ADDRESSES_MAX ? [...this.#known.keys()][0] : undefined;
    if (oldest !== undefined) this.#known.delete(oldest);
    return known[what].take();
  }
}

function keyOf(address: string): string {
  const v4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (v4 !== undefined) return v4;
  if (!isIPv6(address) || /^fe[89ab]/i.test(address)) return address;
  const [head = '', tail] = address.split('%')[0]?.split('::') ?? [];
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  return [...before, ...Array<string>(zeros).fill('0'), ...after].slice(0, 4).join(':');
}
