/**
 * Signs queries of the track log of one box.
 *
 * INVARIANTS:
 * - Nothing is sent without a case and a reason, nor to more than one box.
 * - Each query that is sent writes a log line.
 * LIMITS:
 * - Concurrent queries and stills as in places.ts.
 * - ROOM_TRACKS_MAX tracks of a query; the rest is counted.
 * - No page is requested after TRACKS_BYTES_MAX bytes or WITHIN_MS.
 */
import type { KeyObject } from 'node:crypto';
import { messageOf } from '../../../../agent/base/errors.ts';
import { printable } from '../../../../agent/base/printable.ts';
import type { Room } from '../../../lib/room-link/room-file.ts';
import {
  type SignerTrackStill,
  type SignerTrackStillAnswer,
  type SignerTracks,
  type SignerTracksAnswer,
  TRACKS_BYTES_MAX,
} from '../contract/signer.ts';
import { ROOM_TRACKS_MAX } from '../contract/tracks.ts';
import { assertApproves } from '../questions/tracks/approval.ts';
import { fetchStill, fetchTracks } from '../questions/tracks/fetch.ts';
import { checkedArgs } from '../questions/tracks/request.ts';
import { Refusal } from './refusal.ts';
import { entered } from './request-limit.ts';

/** Time limit of a whole answer in ms. A person waits for it, and the proxy in front of the console waits 90 s. */
const WITHIN_MS = 45_000;

export interface TrackRequestsOptions {
  readonly room: Room;
  readonly key: KeyObject;
  /** Time limit for each answer of a box, in s. */
  readonly timeoutS: number;
  log(line: string): void;
}

export class TrackRequests {
  readonly #options: TrackRequestsOptions;
  readonly #asking = new Set<string>();
  readonly #fetchingStills = new Set<string>();

  constructor(options: TrackRequestsOptions) {
    this.#options = options;
  }

  /**
   * Runs a query.
   * @throws {Refusal}
   * @throws {AgentError} one line
   */
  tracks({ account: user, request }: SignerTracks, signal: AbortSignal): Promise<SignerTracksAnswer> {
    const { room, key, timeoutS } = this.#options;
    const { box, case: number, reason, question, approval } = request;
    if (question.from >= question.to)
      throw new Refusal(400, `to: ${question.to} is not after from, ${question.from}`);
    const queryArgs = checkedArgs({ case: number, reason, question });
    if (approval !== undefined)
      assertApproves(approval, { site: room.site, box, args: queryArgs }, key, Date.now());
    const args = { ...queryArgs, ...(approval !== undefined && { approval }) };
    const about = `question to the tracks of ${box} for ${user}, case ${number}`;
    return this.#logged(this.#asking, user, 'question to a log of tracks', about, async () => {
      const { result, tracks, restCount, stopped } = await fetchTracks({
        room,
        key,
        box,
        args,
        timeoutS,
        signal,
        tracksMax: ROOM_TRACKS_MAX,
        bytesMax: TRACKS_BYTES_MAX,
        withinMs: WITHIN_MS,
      });
      const givenTracks = tracks.slice(0, ROOM_TRACKS_MAX);
      const rest = stopped === undefined ? '' : `; the rest was not given: ${stopped}`;
      this.#log(`${about}: ${givenTracks.length} of ${result.matches} matches${rest}`);
      const { order, grade, approvers, kept, views, coverage, matches, left } = result;
      return {
        site: room.site,
        order,
        grade,
        approvers,
        kept,
        views,
        coverage,
        matches,
        left,
        tracks: givenTracks,
        more: restCount + tracks.length - givenTracks.length,
        stopped: stopped?.slice(0, 700) ?? null,
      };
    });
  }

  /**
   * Requests a still to draw on.
   * @throws {Refusal}
   * @throws {AgentError} one line
   */
  still({ account: user, request }: SignerTrackStill, signal: AbortSignal): Promise<SignerTrackStillAnswer> {
    const { room, key, timeoutS } = this.#options;
    const { box, case: number, reason } = request;
    const args = checkedArgs({ case: number, reason, question: { answer: 'still' } });
    const about = `still of ${box} to draw on for ${user}, case ${number}`;
    return this.#logged(this.#fetchingStills, user, 'request for a still', about, async () => {
      const still = await fetchStill({ room, key, box, args, timeoutS, signal, withinMs: WITHIN_MS });
      this.#log(`${about}: ${still.sha256}`);
      return { site: room.site, still };
    });
  }

  async #logged<T>(
    running: Set<string>,
    user: string,
    kind: string,
    about: string,
    ask: () => Promise<T>,
  ): Promise<T> {
    const leave = entered(running, user, kind);
    this.#log(about);
    try {
      return await ask();
    } catch (error) {
      this.#log(`${about}: ${messageOf(error)}`);
      throw error;
    } finally {
      leave();
    }
  }

  #log(line: string): void {
    this.#options.log(printable(line, 1000));
  }
}
