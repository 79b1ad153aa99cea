/**
 * Answers queries of the track log of one box. People send them here; the signer signs them.
 *
 * INVARIANTS:
 * - Account, query, place, case and reason are committed before anything is sent, and the number of tracks before they
 *   are returned.
 * - Answers are held in memory only, for the person who asked and for supervisors.
 * LIMITS: ANSWERS_KEPT answers, each for KEPT_MS; the oldest is dropped first.
 */
import { randomBytes } from 'node:crypto';
import type { AuditDraft } from '../contract/audit.ts';
import type { TrackAnswer } from '../contract/tracks.ts';
import { record } from '../database/audit.ts';
import { iso, type Sql } from '../database/sql.ts';
import { csvOf } from '../questions/tracks/export-csv.ts';
import { mfJsonOf } from '../questions/tracks/export-mf-json.ts';
import { type Account, type Call, CallError, type Handlers } from './handler.ts';
import { onlySiteOf } from './incidents.ts';
import { caseAsked, spanAsked } from './request-params.ts';
import { actorOf } from './rows.ts';
import type { SignerClient } from './signer-client.ts';
import { type VideoSettings, videoLink } from './video.ts';
import { viewStill } from './view-stills.ts';

const ANSWERS_KEPT = 20;
const KEPT_MS = 3_600_000;

interface StoredAnswer {
  readonly owner: string;
  readonly site: string;
  /** Time of the room's clock. */
  readonly atMs: number;
  /** The answer as JSON text, because its objects would take several times as much memory. */
  readonly json: Buffer;
}

type TrackHandlers = Pick<Handlers, 'tracks' | 'trackStill' | 'tracksCsv' | 'tracksMfJson'>;

export interface TrackOptions {
  readonly client: SignerClient;
  readonly db: Sql;
  readonly video: VideoSettings;
  /** The room's clock, ms. */
  readonly clock: () => number;
}

export function trackHandlers(options: TrackOptions): TrackHandlers {
  const questions = new TrackQuestions(options);
  return {
    tracks: (call) => questions.ask(call),
    trackStill: (call) => questions.still(call),
    tracksCsv: async (call) => {
      const answer = await questions.exported(call, 'tracks.csv');
      return (async function* parts() {
        yield csvOf({ ...answer, ...answer.request });
      })();
    },
    tracksMfJson: async (call) => {
      const answer = await questions.exported(call, 'tracks.mf.json');
      return mfJsonOf({ ...answer, ...answer.request });
    },
  };
}

class TrackQuestions {
  readonly #options: TrackOptions;
  readonly #answers = new Map<string, StoredAnswer>();

  constructor(options: TrackOptions) {
    this.#options = options;
  }

  /**
   * Runs a query.
   * @throws {CallError} 409 if the box refuses, 429 while another query of this person runs, 503 without an answer
   */
  async ask({ account, body: typed, nowMs }: Call<'tracks'>): Promise<TrackAnswer> {
    const { client, db, video, clock } = this.#options;
    const body = caseAsked(typed);
    const { fromMs, toMs } = spanAsked(body.question);
    const { box, case: number, reason, approval } = body;
    const question = { ...body.question, from: iso(fromMs), to: iso(toMs) };
    if (question.where !== undefined && question.view === undefined) {
      throw new CallError(400, 'body: question.view is missing: a place is of the view that it was drawn on');
    }
    const id = randomBytes(12).toString('hex');
    const approvedBy = approval?.signatures.map(({ keyid }) => keyid);
    await this.#record(account, nowMs, {
      box,
      more: { tracks: id, case: number, reason, question, ...(approvedBy && { approvedBy }) },
    });
    const request = { box, case: number, reason, question, ...(approval && { approval }) };
    const { site, views, tracks, stopped, ...result } = await client.tracks({
      account: account.name,
      request,
    });
    const answer: TrackAnswer = {
      id,
      request: { box, case: number, reason, question },
      ...result,
      stopped,
      views: await Promise.all(
        views.map(async (view) => ({ ...view, still: await viewStill(db, { site, box }, view, nowMs) })),
      ),
      tracks: tracks.map((track) => ({ ...track, video: videoLink(video, box, track.from, track.to) })),
    };
    const { matches, order, coverage } = answer;
    const summary = {
      matches,
      trackCount: tracks.length,
      analysedRatio: coverage.seen,
      order,
      ...(stopped !== null && { stopped }),
    };
    await this.#record(account, clock(), { site, box, more: { tracks: id, case: number, ...summary } });
    this.#keep(id, { owner: account.name, site, atMs: clock(), json: Buffer.from(JSON.stringify(answer)) });
    return answer;
  }

  /**
   * Requests a still to draw on.
   * @throws {CallError} as `ask`
   */
  async still({ account, body: typed, nowMs }: Call<'trackStill'>) {
    const { client, clock } = this.#options;
    const body = caseAsked(typed);
    const { box, case: number, reason } = body;
    await this.#record(account, nowMs, { box, more: { still: true, case: number, reason } });
    const { site, still } = await client.trackStill({ account: account.name, request: body });
    const { sha256, at } = still;
    await this.#record(account, clock(), { site, box, more: { still: true, case: number, sha256, at } });
    return still;
  }

  /**
   * Returns a stored answer for an export, and first records the export and the account.
   * @throws {CallError} if it is unknown or belongs to another person
   */
  async exported(
    { account, params: { id }, nowMs }: Call<'tracksCsv' | 'tracksMfJson'>,
    format: string,
  ): Promise<TrackAnswer> {
    this.#forget(nowMs);
    const entry = this.#answers.get(id);
    if (entry === undefined) {
      throw new CallError(404, 'unknown answer; answers are stored for an hour, ask again');
    }
    if (entry.owner !== account.name && account.role !== 'supervisor') {
      throw new CallError(403, 'this answer belongs to another person; a supervisor may export it');
    }
    const answer = JSON.parse(entry.json.toString()) as TrackAnswer;
    const { box, case: number } = answer.request;
    const details = { table: format, tracks: id, case: number, count: answer.tracks.length };
    await this.#record(account, nowMs, { act: 'export', site: entry.site, box, more: details });
    return answer;
  }

  async #record(
    account: Account,
    nowMs: number,
    { act = 'ask-tracks', box, more, site }: Partial<AuditDraft> & Pick<AuditDraft, 'more'>,
  ): Promise<void> {
    const { db } = this.#options;
    // The signer has not reported the site yet.
    const of = site ?? (box === undefined ? undefined : await onlySiteOf(db, box));
    const location = { ...(of !== undefined && { site: of }), ...(box !== undefined && { box }) };
    await db.transaction((transaction) =>
      record(transaction, { ...actorOf(account), act, ...location, ...(more && { more }) }, nowMs),
    );
  }

  #keep(id: string, entry: StoredAnswer): void {
    this.#forget(entry.atMs);
    this.#answers.set(id, entry);
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= ANSWERS_KEPT) return;
      this.#answers.delete(oldest);
    }
  }

  #forget(nowMs: number): void {
    for (const [id, { atMs }] of this.#answers) if (nowMs - atMs > KEPT_MS) this.#answers.delete(id);
  }
}
