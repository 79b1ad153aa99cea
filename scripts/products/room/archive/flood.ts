/**
 * Detects a box that floods the broker. Its messages precede the alerts of all other boxes in one queue, and dropping
 * them is far cheaper than storing them.
 *
 * A regular box waits for the room's acknowledgement: it sends at most AHEAD_MAX numbers ahead in each of its two lanes
 * (agent/mqtt/drain.ts). A box that sends much is tested: its acknowledgements are withheld, and a box that continues
 * nevertheless is flooding. Dropped messages are not acknowledged to the box, so a regular box would keep and resend
 * them.
 * LIMITS: follows BOXES_MAX boxes. An archive that stores less than OUTSTANDING_MAX in HOLD_MS_MAX detects no floods.
 */
import { type BucketLimits, TokenBucket } from '../../../../agent/base/token-bucket.ts';
import { SNAPSHOT_BYTES_MAX } from '../../../../agent/contract/redacted-jpeg.ts';

/** Rate above which a box is tested. A street has a few messages a minute. */
const BURST_LIMITS: BucketLimits = { burst: 2000, perS: 500 };

/** The same in bytes: a picture of 150 kB takes as long as 30 messages of a usual size. */
const BURST_BYTES: BucketLimits = { burst: 50e6, perS: 5e6 };

/** Maximum number of messages during a test: two lanes of 1,000, and live messages. */
const OUTSTANDING_MAX = 2500;

/** The same in bytes: every second message of both lanes is a picture of the greatest size, the others are events. */
const OUTSTANDING_BYTES_MAX = 1000 * (SNAPSHOT_BYTES_MAX + 10_000);

/** Silence in ms, with nothing waiting here, after which the box counts as waiting for its acknowledgement. */
const PAUSE_MS = 300;

/**
 * Maximum duration of a test in ms. A regular box treats 3 s without an acknowledgement as a loss, and then sends one
 * message at a time.
 */
const HOLD_MS_MAX = 5000;

/** Time in ms in which a box that passed the test is not tested again. */
const TRUSTED_MS = 30_000;

/** Time in ms for which messages are dropped after the last excess message. */
const LEFT_OUT_MS = 10_000;

const BOXES_MAX = 5000;

interface BoxTraffic {
  readonly bucket: TokenBucket;
  readonly byteBucket: TokenBucket;
  lastMs: number;
  trustedUntilMs: number;
  leftOutUntilMs: number;
  test: { readonly beganMs: number; count: number; bytes: number } | undefined;
}

export class FloodGuard {
  readonly #nowMs: () => number;
  readonly #boxes = new Map<string, BoxTraffic>();
  /** Time of the last message of any box. */
  #lastMs = 0;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Registers a message of this box and its size. Returns true if it must be dropped. */
  leavesOut(box: string, bytes: number): boolean {
    const nowMs = this.#nowMs();
    const traffic = this.#trafficOf(box, nowMs);
    const [waitS, bytesWaitS] = [traffic.bucket.take(), traffic.byteBucket.take(bytes)];
    const isMuch = waitS > 0 || bytesWaitS > 0;
    traffic.lastMs = nowMs;
    this.#lastMs = nowMs;
    if (traffic.leftOutUntilMs > nowMs) {
      if (isMuch) traffic.leftOutUntilMs = nowMs + LEFT_OUT_MS;
      return isMuch;
    }
    if (traffic.test === undefined) {
      if (isMuch && traffic.trustedUntilMs <= nowMs) traffic.test = { beganMs: nowMs, count: 0, bytes: 0 };
      return false;
    }
    traffic.test.count += 1;
    traffic.test.bytes += bytes;
    if (traffic.test.count <= OUTSTANDING_MAX && traffic.test.bytes <= OUTSTANDING_BYTES_MAX) return false;
    traffic.test = undefined;
    traffic.leftOutUntilMs = nowMs + LEFT_OUT_MS;
    return true;
  }

  /**
   * Returns true if the acknowledgement of this box is withheld. `idleMs` is the time since something last waited to be
   * stored.
   */
  holds(box: string, idleMs: number): boolean {
    const traffic = this.#boxes.get(box);
    if (traffic?.test === undefined) return false;
    const nowMs = this.#nowMs();
    // Messages of others that arrived later show that none of this box remains at the broker.
    const isPassed = this.#lastMs - traffic.lastMs >= PAUSE_MS;
    const isWaiting = isPassed || Math.min(idleMs, nowMs - traffic.lastMs) >= PAUSE_MS;
    if (!isWaiting && nowMs - traffic.test.beganMs < HOLD_MS_MAX) return true;
    traffic.test = undefined;
    traffic.trustedUntilMs = nowMs + TRUSTED_MS;
    return false;
  }

  #trafficOf(box: string, nowMs: number): BoxTraffic {
    const traffic = this.#boxes.get(box) ?? {
      bucket: new TokenBucket(BURST_LIMITS, { nowMs: this.#nowMs }),
      byteBucket: new TokenBucket(BURST_BYTES, { nowMs: this.#nowMs }),
      lastMs: nowMs,
      trustedUntilMs: 0,
      leftOutUntilMs: 0,
      test: undefined,
    };
    this.#boxes.delete(box);
    this.#boxes.set(box, traffic);
    const [oldest] = this.#boxes.keys();
    if (this.#boxes.size > BOXES_MAX && oldest !== undefined) this.#boxes.delete(oldest);
    return traffic;
  }
}
