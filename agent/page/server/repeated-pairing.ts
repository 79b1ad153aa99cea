/**
 * Recognises a phone that pairs again because the answer to its first request was lost, so that its code is not wasted.
 *
 * INVARIANTS:
 * - Only the phone that was admitted knows its attempt, a random number of 128 bits. Without it a used code admits no
 *   one.
 * - The session of the first request ends: one code gives one session.
 * LIMITS: the newest pairing, for REPEATED_MS, in memory. After a restart the code is used.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import type { Session } from './sessions.ts';

const REPEATED_MS = 5 * 60_000;

export interface PairingAttempt {
  readonly code: string;
  readonly attempt?: string;
}

export class RepeatedPairing {
  readonly #clock: Pick<Clock, 'nowMs'>;
  #last: { readonly sha256: Buffer; readonly session: Session; readonly untilMs: number } | undefined;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  remember(attempt: PairingAttempt, session: Session): void {
    const sha256 = hashOf(attempt);
    this.#last =
      sha256 === undefined ? undefined : { sha256, session, untilMs: this.#clock.nowMs() + REPEATED_MS };
  }

  /** Returns the session that the same attempt was given before. */
  sessionOf(attempt: PairingAttempt): Session | undefined {
    const sha256 = hashOf(attempt);
    if (this.#last === undefined || sha256 === undefined || this.#clock.nowMs() >= this.#last.untilMs)
      return undefined;
    return timingSafeEqual(sha256, this.#last.sha256) ? this.#last.session : undefined;
  }
}

/** Undefined for a client that names no attempt. */
function hashOf({ code, attempt }: PairingAttempt): Buffer | undefined {
  if (attempt === undefined) return undefined;
  return createHash('sha256')
    .update(JSON.stringify([code, attempt]))
    .digest();
}
