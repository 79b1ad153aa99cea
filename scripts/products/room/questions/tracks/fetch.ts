/**
 * Fetches the answer of one box to a query of its track log, page by page.
 *
 * INVARIANTS:
 * - A page that violates the contract is discarded, and no further page is read.
 * - Pages received before a refusal are kept, because the box has counted them.
 * LIMITS:
 * - `tracksMax` and `bytesMax`, each exceeded by at most one page.
 * - After `withinMs` no page is requested and no pause is observed.
 * - EMPTY_PAGES_MAX consecutive pages without a track.
 */
import { AgentError, rethrowBug } from '../../../../../agent/base/errors.ts';
import { sha256Of } from '../../../../../agent/base/sha256.ts';
import type { CommandResult } from '../../../../../agent/contract/commands.ts';
import type {
  FoundTrack,
  TrackArgs,
  TrackResult,
  TrackStillResult,
} from '../../../../../agent/contract/track-log.ts';
import { type BoxSession, type BoxSessionOptions, inSession } from '../../../../lib/room-link/box-session.ts';

const EMPTY_PAGES_MAX = 10;

export interface TrackFetchOptions extends BoxSessionOptions {
  readonly args: TrackArgs;
  /** Number of tracks after which no further page is requested. */
  readonly tracksMax: number;
  /** Number of bytes of tracks as JSON after which no further page is requested. */
  readonly bytesMax?: number;
  onProgress?(fetched: number, matches: number): void;
}

export interface FetchedTracks {
  /** Answer without its tracks: coverage and views of the first page, budgets of the last. */
  readonly result: Omit<TrackResult, 'tracks' | 'next'>;
  readonly tracks: readonly FoundTrack[];
  /** Number of matches that were not returned. */
  readonly restCount: number;
  /** One line with the reason why the box returned no further page. */
  readonly stopped: string | undefined;
}

/**
 * Fetches the answer.
 * @throws {AgentError} one line, if no page was received
 */
export function fetchTracks(options: TrackFetchOptions): Promise<FetchedTracks> {
  return inSession(options, (session) => pages(session, options));
}

/**
 * Returns a redacted still of the camera's current view.
 * @throws {AgentError} one line
 */
export function fetchStill(
  options: BoxSessionOptions & { readonly args: TrackArgs },
): Promise<TrackStillResult> {
  return inSession(options, async (session) => {
    const result = await session.ask('tracks', options.args);
    if (!('jpeg' in result)) throw otherForm(options.box);
    const jpeg = Buffer.from(result.jpeg, 'base64');
    const isJpeg = jpeg[0] === 0xff && jpeg[1] === 0xd8;
    if (isJpeg && sha256Of(jpeg) === result.sha256) return result;
    throw new AgentError('corrupt', `${options.box}: the received file is not the JPEG that the reply names`);
  });
}

async function pages(session: BoxSession, options: TrackFetchOptions): Promise<FetchedTracks> {
  const { args, box, tracksMax, bytesMax = Number.POSITIVE_INFINITY, onProgress } = options;
  const untilMs = performance.now() + (options.withinMs ?? Number.POSITIVE_INFINITY);
  const tracks: FoundTrack[] = [];
  let first: TrackResult | undefined;
  let last: TrackResult | undefined;
  let stopped: string | undefined;
  for (let bytes = 0, empty = 0, cursor = args.cursor; ; ) {
    let page: TrackResult;
    try {
      page = pageOf(box, await session.ask('tracks', { ...args, ...(cursor !== undefined && { cursor }) }));
      empty = page.tracks.length === 0 ? empty + 1 : 0;
      if (page.next !== null && (page.next === cursor || empty >= EMPTY_PAGES_MAX)) {
        throw new AgentError('corrupt', `the pages of ${box} have no end`);
      }
    } catch (error) {
      rethrowBug(error);
      if (first === undefined) throw error;
      stopped = error.message;
      break;
    }
    first ??= page;
    last = page;
    tracks.push(...page.tracks);
    bytes += JSON.stringify(page.tracks).length;
    onProgress?.(tracks.length, Math.max(first.matches, tracks.length));
    if (page.next === null || tracks.length >= tracksMax || bytes >= bytesMax) break;
    if (performance.now() >= untilMs) break;
    cursor = page.next;
  }
  const { tracks: _tracks, next: _next, ...result } = first;
  const matches = Math.max(first.matches, tracks.length);
  const asksTracks = args.question.answer === 'tracks';
  return {
    result: { ...result, matches, left: (last ?? first).left },
    tracks,
    stopped,
    restCount: asksTracks ? matches - tracks.length : 0,
  };
}

function pageOf(box: string, result: CommandResult<'tracks'>): TrackResult {
  if ('tracks' in result) return result;
  throw otherForm(box);
}

/** Error for a still in place of tracks, or the reverse. */
function otherForm(box: string): AgentError {
  return new AgentError(
    'corrupt',
    `the answer of ${box} has another form, it answers another question; is it of another version?`,
  );
}
