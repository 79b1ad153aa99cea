/**
 * Executes the signed command `search` on the box's archive.
 *
 * INVARIANTS: a search is recorded durably before its reply exists. If it cannot be recorded, there is no reply.
 *
 * LIMITS: LIMITS below, one token per page. A refusal states when to retry.
 */
import type { Clock } from '../base/clock.ts';
import type { Counters } from '../base/counters.ts';
import { rethrowBug } from '../base/errors.ts';
import { type BucketLimits, TokenBucket } from '../base/token-bucket.ts';
import { CommandRefused } from '../contract/command.ts';
import type { CheckedCommand } from '../contract/commands.ts';
import type { SearchQuery, SearchRecord, SearchResult } from '../contract/search.ts';
import type { EventArchive } from './archive.ts';

/** A burst fetches 30 pages (30 days of 200 events); after that, 200 events a second. */
const LIMITS: BucketLimits = { burst: 30, perS: 1 };

export interface SearchHandlerOptions {
  readonly archive: Pick<EventArchive, 'search'>;
  readonly clock: Clock;
  readonly limits?: BucketLimits;
  /**
   * Records the search durably.
   * @throws AgentError on failure
   */
  record(record: SearchRecord): void;
}

export class SearchHandler {
  readonly #options: SearchHandlerOptions;
  readonly #bucket: TokenBucket;
  #searches = 0;
  #eventsGiven = 0;
  #limited = 0;

  constructor(options: SearchHandlerOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(options.limits ?? LIMITS, options.clock);
  }

  get counters(): Counters {
    return {
      searches: this.#searches,
      search_events_given: this.#eventsGiven,
      searches_limited: this.#limited,
    };
  }

  /**
   * Returns one page.
   * @throws CommandRefused
   */
  answer({ args, key, counter }: CheckedCommand<'search'>): SearchResult {
    assertPeriod(args.query);
    const waitS = this.#bucket.take();
    if (waitS > 0) {
      this.#limited += 1;
      const retryAfterS = Math.ceil(waitS);
      throw new CommandRefused('rate-limited', `rate limit exceeded; retry in ${retryAfterS} s`, {
        retryAfterS,
      });
    }
    const { archive, clock, record } = this.#options;
    try {
      const result = archive.search(args.query, ...(args.cursor === undefined ? [] : [args.cursor]));
      record({
        record: 'search',
        at: new Date(clock.wallMs()).toISOString(),
        key,
        counter,
        case: args.case,
        reason: args.reason,
        query: args.query,
        cursor: args.cursor ?? null,
        matches: result.matches,
        given: result.events.length,
      });
      this.#searches += 1;
      this.#eventsGiven += result.events.length;
      return result;
    } catch (error) {
      rethrowBug(error);
      throw new CommandRefused('unavailable', `the archive cannot answer: ${error.message}`, {
        cause: error,
      });
    }
  }
}

function assertPeriod({ from, to }: SearchQuery): void {
  if (Date.parse(from) < Date.parse(to)) return;
  throw new CommandRefused(
    'bad-arguments',
    `search: from ${from} to ${to} is not a period; from must be earlier than to`,
  );
}
