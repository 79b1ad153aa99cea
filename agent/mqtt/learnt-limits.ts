/**
 * Limits of a broker learnt from its refusals, because its CONNACK did not state them. Without this, the box would
 * reconnect with the same message indefinitely.
 *
 * LIMITS: a limit is remembered for BELIEVED_MS and then tested again, because the broker may have been fixed.
 */
import type { Clock } from '../base/clock.ts';
import type { DeliveryError } from './connection-errors.ts';

const BELIEVED_MS = 3_600_000;

/** MQTT 5.0, 2.4. */
export const PACKET_TOO_LARGE = 149;
export const RETAIN_NOT_SUPPORTED = 154;

export class LearntLimits {
  readonly #clock: Pick<Clock, 'nowMs'>;
  #packet: { readonly bytesMax: number; readonly untilMs: number } | undefined;
  #noRetainUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  /** Size in bytes of the largest packet that the broker may accept; infinite while unknown. */
  get packetBytesMax(): number {
    const { bytesMax, untilMs } = this.#packet ?? { bytesMax: Number.POSITIVE_INFINITY, untilMs: 0 };
    return this.#clock.nowMs() < untilMs ? bytesMax : Number.POSITIVE_INFINITY;
  }

  /** Reports whether the broker may support retained messages. */
  get retain(): boolean {
    return this.#clock.nowMs() >= this.#noRetainUntilMs;
  }

  /**
   * Learns from a refusal or from the end of a connection. `largestBytes`: the largest packet that may have caused it.
   * Only the broker knows which packet it was, but its limit is below the largest in any case.
   */
  learn({ reasonCode }: DeliveryError, largestBytes: number): void {
    const untilMs = this.#clock.nowMs() + BELIEVED_MS;
    if (reasonCode === RETAIN_NOT_SUPPORTED) this.#noRetainUntilMs = untilMs;
    if (reasonCode !== PACKET_TOO_LARGE || largestBytes === 0) return;
    this.#packet = { bytesMax: Math.min(this.packetBytesMax, largestBytes - 1), untilMs };
  }
}
