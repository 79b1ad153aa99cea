/** Rate limiter that allows short bursts (token bucket; Turner, "New directions in communications", 1986). */
import type { Clock } from './clock.ts';

export interface BucketLimits {
  /** Maximum number at once. */
  readonly burst: number;
  readonly perS: number;
}

export class TokenBucket {
  readonly #limits: BucketLimits;
  readonly #clock: Pick<Clock, 'nowMs'>;
  #tokens: number;
  #atMs: number;

  constructor(limits: BucketLimits, clock: Pick<Clock, 'nowMs'>) {
    this.#limits = limits;
    this.#clock = clock;
    this.#tokens = limits.burst;
    this.#atMs = clock.nowMs();
  }

  /** Takes `count` tokens. Returns 0, or takes none and returns the seconds until there are as many. */
  take(count = 1): number {
    const { burst, perS } = this.#limits;
    const nowMs = this.#clock.nowMs();
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#atMs) / 1000) * perS);
    this.#atMs = nowMs;
    if (this.#tokens < count) return (count - this.#tokens) / perS;
    this.#tokens -= count;
    return 0;
  }
}

/** Maximum number of keys; beyond it, the least recently used one is forgotten. */
const KEYS_MAX = 5000;

/** Token buckets by key: an address, an account, a box. */
export class TokenBuckets {
  #refusals = 0;
  readonly #limits: BucketLimits;
  readonly #clock = { nowMs: () => performance.now() };
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(limits: BucketLimits) {
    this.#limits = limits;
  }

  /** Number of refusals over all keys. */
  get refusedCount(): number {
    return this.#refusals;
  }

  /** Takes a token of this key. Returns 0, or the seconds until there is one. */
  take(key: string): number {
    const bucket = this.#buckets.get(key) ?? new TokenBucket(this.#limits, this.#clock);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > KEYS_MAX && oldest !== undefined) this.#buckets.delete(oldest);
    const waitS = bucket.take();
    if (waitS > 0) this.#refusals += 1;
    return waitS;
  }
}
