/**
 * Counts wrong codes and computes how long a phone must wait, for the present label.
 *
 * A phone is identified by its address alone (addressKey), because an attacker would discard a cookie. An attacker with
 * many addresses has many tries. The code has 80 bits, and `TRIES` is the maximum that is compared at all, 3.2 × 10⁹ in
 * a year. One of them is right with a probability of 2.6 × 10⁻¹⁵. So a lock need not affect phones that have typed
 * nothing wrong.
 *
 * INVARIANT: wrong codes of others lock no phone. A new label and `clear` remove all locks.
 * LIMITS:
 * - TRIES_FREE wrong tries, then a lock that doubles with each further one, from LOCK_MS_FIRST to LOCK_MS_MAX.
 * - PHONES_MAX phones; the one whose last wrong code is oldest is dropped. TRIES of all phones together.
 * - A restart clears everything.
 */
import { addressKey } from '../../base/address-key.ts';
import type { Clock } from '../../base/clock.ts';
import { type BucketLimits, TokenBucket } from '../../base/token-bucket.ts';

const TRIES_FREE = 5;
const LOCK_MS_FIRST = 60_000;
/** A longer lock would only help an attacker who types from the technician's address to keep him out. */
const LOCK_MS_MAX = 3_600_000;
const PHONES_MAX = 1000;
export const TRIES: BucketLimits = { burst: 100, perS: 100 };

interface Phone {
  readonly wrong: number;
  readonly untilMs: number;
}

export class PairingLocks {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #tries: TokenBucket;
  /** Ordered by the last wrong code, newest last. */
  readonly #phones = new Map<string, Phone>();
  #label: string | undefined;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
    this.#tries = new TokenBucket(TRIES, clock);
  }

  /**
   * Returns 0 if the phone may try, which counts as a try; otherwise whole seconds until it may. `label` is the hash of
   * the code.
   */
  waitS(address: string, label: string | undefined): number {
    if (label !== this.#label) this.#phones.clear();
    this.#label = label;
    const lockedMs = (this.#phones.get(addressKey(address))?.untilMs ?? 0) - this.#clock.nowMs();
    return lockedMs > 0 ? Math.ceil(lockedMs / 1000) : Math.ceil(this.#tries.take());
  }

  /** Returns the remaining tries, and the duration of the present lock. */
  wrong(address: string): { readonly triesLeft: number; readonly lockS: number } {
    const key = addressKey(address);
    const wrong = (this.#phones.get(key)?.wrong ?? 0) + 1;
    const lockMs =
      wrong < TRIES_FREE ? 0 : Math.min(LOCK_MS_MAX, LOCK_MS_FIRST * 2 ** Math.min(30, wrong - TRIES_FREE));
    this.#phones.delete(key);
    this.#phones.set(key, { wrong, untilMs: this.#clock.nowMs() + lockMs });
    const [oldest] = this.#phones.keys();
    if (this.#phones.size > PHONES_MAX && oldest !== undefined) this.#phones.delete(oldest);
    return { triesLeft: Math.max(0, TRIES_FREE - wrong), lockS: lockMs / 1000 };
  }

  /** Returns the number of phones that were locked. */
  clear(): number {
    const nowMs = this.#clock.nowMs();
    const locked = [...this.#phones.values()].filter(({ untilMs }) => untilMs > nowMs).length;
    this.#phones.clear();
    return locked;
  }
}
