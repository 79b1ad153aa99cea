/**
 * What a broker has shown, by refusing, that it does not take, where its CONNACK did not say so: without this the box
 * would come back with the same message for ever.
 *
 * LIMITS: believed for BELIEVED_MS, then tried again, since the broker may have been mended meanwhile.
 */
import type { Clock } from '../base/clock.ts';
import type { DeliveryError } from './faults.ts';

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

  /** Bytes of the largest packet that the broker may take; infinite while nothing is known. */
  get packetBytesMax(): number {
    const { bytesMax, untilMs } = this.#packet ?? { bytesMax: Number.POSITIVE_INFINITY, untilMs: 0 };
    return this.#clock.nowMs() < untilMs ? bytesMax : Number.POSITIVE_INFINITY;
  }

  /** Whether the broker may keep retained messages. */
  get retain(): boolean {
    return this.#clock.nowMs() >= this.#noRetainUntilMs;
  }

  /**
   * From a refusal or from the end of a connection. `largestBytes`: the largest packet that it can have been about. Which
   * one it was, only the broker knows: its limit is below the largest in any case.
   */
  learn({ reasonCode }: DeliveryError, largestBytes: number): void {
    const untilMs = this.#clock.nowMs() + BELIEVED_MS;
    if (reasonCode === RETAIN_NOT_SUPPORTED) this.#noRetainUntilMs = untilMs;
    if (reasonCode !== PACKET_TOO_LARGE || largestBytes === 0) return;
    this.#packet = { bytesMax: Math.min(this.packetBytesMax, largestBytes - 1), untilMs };
  }
}
