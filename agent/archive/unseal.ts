/**
 * Executes the signed command `unseal`: returns the sealed still of an event as stored on the box.
 *
 * INVARIANTS: requester and case are recorded durably before the file leaves. If they cannot be recorded, no file is
 * sent. Requests for missing stills are recorded too.
 *
 * LIMITS: LIMITS below. A refusal states when to retry.
 */
import type { Clock } from '../base/clock.ts';
import type { Counters } from '../base/counters.ts';
import { AgentError } from '../base/errors.ts';
import { type BucketLimits, TokenBucket } from '../base/token-bucket.ts';
import { CommandRefused } from '../contract/command.ts';
import type { CheckedCommand } from '../contract/commands.ts';
import type { UnsealRecord, UnsealResult } from '../contract/sealed-evidence.ts';
import type { SealedStore } from './sealed.ts';

/** The stills of some incidents at once; after that, one in ten seconds. */
const LIMITS: BucketLimits = { burst: 20, perS: 0.1 };

export interface UnsealHandlerOptions {
  readonly store: Pick<SealedStore, 'read'>;
  readonly clock: Clock;
  readonly limits?: BucketLimits;
  /**
   * Records the request durably.
   * @throws AgentError on failure
   */
  record(record: UnsealRecord): void;
}

export class UnsealHandler {
  readonly #options: UnsealHandlerOptions;
  readonly #bucket: TokenBucket;
  #unseals = 0;
  #limited = 0;

  constructor(options: UnsealHandlerOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(options.limits ?? LIMITS, options.clock);
  }

  get counters(): Counters {
    return { unseals: this.#unseals, unseals_limited: this.#limited };
  }

  /**
   * Returns the sealed still.
   * @throws CommandRefused
   */
  answer({ args, key, counter }: CheckedCommand<'unseal'>): UnsealResult {
    const waitS = this.#bucket.take();
    if (waitS > 0) {
      this.#limited += 1;
      const retryAfterS = Math.ceil(waitS);
      const message = `rate limit exceeded; retry in ${retryAfterS} s`;
      throw new CommandRefused('rate-limited', message, { retryAfterS });
    }
    const { store, clock, record } = this.#options;
    try {
      const sealed = store.read(args.event);
      record({
        record: 'unseal',
        at: new Date(clock.wallMs()).toISOString(),
        key,
        counter,
        case: args.case,
        reason: args.reason,
        event: args.event,
        sha256: sealed?.sha256 ?? null,
      });
      if (sealed === undefined) {
        throw new CommandRefused('unavailable', `no sealed still of event ${args.event} is held here`);
      }
      this.#unseals += 1;
      const { bytes, sha256 } = sealed;
      const file = Buffer.from(bytes).toString('base64');
      return { event: args.event, sha256, bytes: bytes.length, file };
    } catch (error) {
      if (error instanceof CommandRefused || !(error instanceof AgentError) || error.kind === 'bug')
        throw error;
      throw new CommandRefused('unavailable', `nothing can be handed out: ${error.message}`, {
        cause: error,
      });
    }
  }
}
