/**
 * Limits how often one address may connect and send requests, so that one phone, or an attacker posing as one, does not
 * block the others.
 *
 * LIMITS: ADDRESSES_MAX (addressKey) are stored at a time; the least recently active one is dropped.
 */
import { addressKey } from '../../base/address-key.ts';
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
  readonly #buckets = new Map<string, Buckets>();

  constructor(limits: RateLimits, clock: Pick<Clock, 'nowMs'>) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Returns 0 to continue, otherwise the seconds to wait. */
  take(kind: keyof Buckets, address: string | undefined): number {
    const key = addressKey(address ?? '');
    const buckets = this.#buckets.get(key) ?? {
      connections: new TokenBucket(this.#limits.connections, this.#clock),
      requests: new TokenBucket(this.#limits.requests, this.#clock),
    };
    // The map is ordered by last use, newest last.
    this.#buckets.delete(key);
    this.#buckets.set(key, buckets);
    const oldest = this.#buckets.size > ADDRESSES_MAX ? [...this.#buckets.keys()][0] : undefined;
    if (oldest !== undefined) this.#buckets.delete(oldest);
    return buckets[kind].take();
  }
}
