/** Limits a rate and lets short bursts through (token bucket; Turner, "New directions in communications", 1986). */
import type { Clock } from './clock.ts';

export interface BucketLimits {
  /** As many at once. */
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

  /** Takes a token: 0; or, when there is none, the seconds until there is one. */
  take(): number {
    const { burst, perS } = this.#limits;
    const nowMs = this.#clock.nowMs();
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#atMs) / 1000) * perS);
    this.#atMs = nowMs;
    if (this.#tokens < 1) return (1 - this.#tokens) / perS;
    this.#tokens -= 1;
    return 0;
  }
}

/** Keys followed at once; of more the one that took longest ago is forgotten. */
const KEYS_MAX = 5000;

/** A bucket for each of many: an address, an account, a box. */
export class TokenBuckets {
  #refused = 0;
  readonly #limits: BucketLimits;
  readonly #clock = { nowMs: () => performance.now() };
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(limits: BucketLimits) {
    this.#limits = limits;
  }

  /** How often there was no token, all keys together. */
  get refused(): number {
    return this.#refused;
  }

  /** Takes a token of this key: 0; or, when there is none, the seconds until there is one. */
  take(key: string): number {
    const bucket = this.#buckets.get(key) ?? new TokenBucket(this.#limits, this.#clock);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > KEYS_MAX && oldest !== undefined) this.#buckets.delete(oldest);
    const waitS = bucket.take();
    if (waitS > 0) this.#refused += 1;
    return waitS;
  }
}
