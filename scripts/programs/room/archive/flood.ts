/**
 * Finds a box that floods the broker: what it sends stands there in one line before the alerts of all others, and leaving it
 * out is far cheaper than storing it.
 *
 * A box of ours waits for the room's acknowledgement: AHEAD_MAX numbers beyond it in each of its two lanes (agent/mqtt/
 * drain.ts). One that sends much is asked by silence: its acknowledgements are held back, and whoever goes on all the same
 * waits for nobody. What is left out is not acknowledged to the box: one of ours would keep it, and send it again.
 * LIMITS: BOXES_MAX boxes are followed; an archive that stores less than OUTSTANDING_MAX in HOLD_MS_MAX finds nobody.
 */
import { type BucketLimits, TokenBucket } from '../../../../agent/base/token-bucket.ts';

/** A street has a few messages a minute; who sends more than this is looked at. */
const MUCH: BucketLimits = { burst: 2000, perS: 500 };

/** Two lanes of 1,000, and what is live beside them. */
const OUTSTANDING_MAX = 2500;

/** Nothing has come, and nothing waits here: a box that waits for its acknowledgement. */
const PAUSE_MS = 300;

/** A box of ours takes 3 s without an acknowledgement for a loss, and then sends one message at a time. */
const HOLD_MS_MAX = 5000;

/** Who has waited is not asked again so soon. */
const TRUSTED_MS = 30_000;

/** After the last message too many. */
const LEFT_OUT_MS = 10_000;

const BOXES_MAX = 5000;

interface Followed {
  readonly bucket: TokenBucket;
  lastMs: number;
  trustedUntilMs: number;
  leftOutUntilMs: number;
  asked: { readonly beganMs: number; count: number } | undefined;
}

export class FloodGuard {
  readonly #nowMs: () => number;
  readonly #boxes = new Map<string, Followed>();
  /** When anything came last. */
  #lastMs = 0;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** A message of this box has come: whether it is to be left out. */
  leavesOut(box: string): boolean {
    const nowMs = this.#nowMs();
    const followed = this.#followed(box, nowMs);
    const isMuch = followed.bucket.take() > 0;
    followed.lastMs = nowMs;
    this.#lastMs = nowMs;
    if (followed.leftOutUntilMs > nowMs) {
      if (isMuch) followed.leftOutUntilMs = nowMs + LEFT_OUT_MS;
      return isMuch;
    }
    if (followed.asked === undefined) {
      if (isMuch && followed.trustedUntilMs <= nowMs) followed.asked = { beganMs: nowMs, count: 0 };
      return false;
    }
    followed.asked.count += 1;
    if (followed.asked.count <= OUTSTANDING_MAX) return false;
    followed.asked = undefined;
    followed.leftOutUntilMs = nowMs + LEFT_OUT_MS;
    return true;
  }

  /** Whether its acknowledgement is held back; `idleMs` = for how long nothing has waited here to be stored. */
  holds(box: string, idleMs: number): boolean {
    const followed = this.#boxes.get(box);
    if (followed?.asked === undefined) return false;
    const nowMs = this.#nowMs();
    // What others have sent after it comes after it: then nothing of it stands at the broker any more.
    const isPassed = this.#lastMs - followed.lastMs >= PAUSE_MS;
    const isWaiting = isPassed || Math.min(idleMs, nowMs - followed.lastMs) >= PAUSE_MS;
    if (!isWaiting && nowMs - followed.asked.beganMs < HOLD_MS_MAX) return true;
    followed.asked = undefined;
    followed.trustedUntilMs = nowMs + TRUSTED_MS;
    return false;
  }

  #followed(box: string, nowMs: number): Followed {
    const followed = this.#boxes.get(box) ?? {
      bucket: new TokenBucket(MUCH, { nowMs: this.#nowMs }),
      lastMs: nowMs,
      trustedUntilMs: 0,
      leftOutUntilMs: 0,
      asked: undefined,
    };
    this.#boxes.delete(box);
    this.#boxes.set(box, followed);
    const [oldest] = this.#boxes.keys();
    if (this.#boxes.size > BOXES_MAX && oldest !== undefined) this.#boxes.delete(oldest);
    return followed;
  }
}
