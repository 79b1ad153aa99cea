/**
 * Signs searches and requests for sealed stills. track-requests.ts signs queries of track logs.
 *
 * INVARIANTS:
 * - Nothing is sent without a case and a reason.
 * - Each request that is sent writes a log line.
 * - No answer and no log line contains the key.
 * LIMITS:
 * - SEARCHES_MAX concurrent searches and as many sealed stills, one of each per person.
 * - MATCHES_MAX events of a search; the rest is counted.
 */

import type { KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { printable } from '../../../../agent/base/printable.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import type { VigieEvent } from '../../../../agent/contract/event.ts';
import type { Room } from '../../../lib/room-link/room-file.ts';
import {
  MATCHES_MAX,
  type SignerFile,
  type SignerMatch,
  type SignerProgress,
  type SignerSealed,
  type SignerSearch,
} from '../contract/signer.ts';
import { sealedFile, unsealArgs } from '../questions/sealed-still.ts';
import { FleetSearch } from '../questions/search/fleet-search.ts';
import { searchArgs } from '../questions/search/request.ts';
import type { AskedBox, Asking } from '../questions/search/search-progress.ts';
import { timeOfSite } from '../questions/time-of-site.ts';
import { Refusal, refusalOf } from './refusal.ts';
import { entered } from './request-limit.ts';

/** Interval of progress lines in ms; a few a second suffice for a person. */
const TELL_EVERY_MS = 400;

export interface SignerOptions {
  readonly room: Room;
  readonly key: KeyObject;
  /** Folder of the sealed files. */
  readonly sealedDir: string;
  /** Time limit for each answer of a box, in s. */
  readonly timeoutS: number;
  log(line: string): void;
}

export class SignerRequests {
  readonly #options: SignerOptions;
  readonly #searching = new Set<string>();
  readonly #unsealing = new Set<string>();

  constructor(options: SignerOptions) {
    this.#options = options;
  }

  /**
   * Runs a search. Later faults are reported in its last line.
   * @throws {Refusal} before anything is sent
   */
  search(
    { account: user, request }: SignerSearch,
    tell: (line: SignerProgress) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { room, key, timeoutS } = this.#options;
    const time = timeOfSite({}, room);
    const { kinds, zones, boxes, ...otherFields } = request;
    const args = searchArgs(
      {
        ...otherFields,
        ...listMember('kind', kinds),
        ...listMember('zone', zones),
        ...listMember('box', boxes),
      },
      time,
    );
    const leave = entered(this.#searching, user, 'search');
    this.#log(`search for ${user}, case ${request.case}: ${boxes?.length || 'all'} boxes`);
    const progress = new Progress(room.site, tell);
    const search = new FleetSearch({
      room,
      key,
      args,
      time,
      timeoutS,
      boxes: boxes?.length ? boxes : undefined,
      eventsMax: MATCHES_MAX,
      keptMax: MATCHES_MAX,
      onProgress: (asking) => progress.take(asking),
    });
    return search
      .run(signal)
      .then(
        ({ asking }) => {
          progress.end(asking, null);
          const { events, excessCount, strange } = asking;
          this.#log(
            `search for ${user}, case ${request.case}: ${events.length + excessCount} events, ${strange} messages ignored that were not replies`,
          );
        },
        (error: unknown) => {
          const { message } = refusalOf(error);
          progress.end(undefined, message);
          this.#log(`search for ${user}, case ${request.case}: ${message}`);
        },
      )
      .finally(leave);
  }

  /**
   * Requests a sealed still from the box and stores the file.
   * @throws {Refusal}
   * @throws {AgentError} one line
   */
  async sealed({ account: user, site, box, event, sha256, request }: SignerSealed): Promise<SignerFile> {
    const { room, key, sealedDir, timeoutS } = this.#options;
    if (site !== room.site) throw new Refusal(409, `this signer is for site ${room.site}, not for ${site}`);
    const args = unsealArgs({ ...request, event, box });
    const leave = entered(this.#unsealing, user, 'request for a sealed still');
    const about = `sealed still of ${event} at ${box} for ${user}, case ${request.case}`;
    this.#log(about);
    try {
      const bytes = await sealedFile(room, { args, box, key, timeoutS });
      const is = sha256Of(bytes);
      if (sha256 !== undefined && is !== sha256) {
        throw new AgentError(
          'corrupt',
          `${box}: the received file is not the sealed still that event ${event} names`,
        );
      }
      // The name contains the time, because the still may be requested again for another case.
      const file = join(
        sealedDir,
        `${box}_${event}_${new Date().toISOString().replaceAll(/[-:.]/g, '')}.age`,
      );
      writeFileSync(file, bytes, { mode: 0o600, flag: 'wx' });
      this.#log(`${about}: ${file}`);
      return { file, sha256: is };
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

function listMember<K extends string>(
  name: K,
  values: readonly string[] | undefined,
): Partial<Record<K, string[]>> {
  return values?.length ? ({ [name]: [...values] } as Partial<Record<K, string[]>>) : {};
}

/** Sends progress lines, each with the matches since the previous one. */
class Progress {
  readonly #site: string;
  readonly #tell: (line: SignerProgress) => void;
  #sentCount = 0;
  #toldAtMs = Number.NEGATIVE_INFINITY;
  #last: Omit<SignerProgress, 'isDone' | 'fault' | 'matches'>;

  constructor(site: string, tell: (line: SignerProgress) => void) {
    this.#site = site;
    this.#tell = tell;
    this.#last = { site, askedCount: 0, answeredCount: 0, missing: [], more: 0 };
  }

  take(asking: Asking): void {
    const nowMs = performance.now();
    if (nowMs - this.#toldAtMs < TELL_EVERY_MS) return;
    this.#toldAtMs = nowMs;
    this.#tell({ ...this.#line(asking), isDone: false, fault: null });
  }

  end(asking: Asking | undefined, problem: string | null): void {
    const line = asking === undefined ? { ...this.#last, matches: [] } : this.#line(asking);
    this.#tell({ ...line, isDone: true, fault: problem?.slice(0, 500) ?? null });
  }

  #line(asking: Asking): Omit<SignerProgress, 'isDone' | 'fault'> {
    const { boxes } = asking;
    const newMatches = asking.events.slice(this.#sentCount).map(foundOf);
    this.#sentCount = asking.events.length;
    const answered = boxes.filter(({ state }) => state === 'done' || state === 'cut');
    const unfetchedCount = boxes.reduce(
      (sum, { matches, receivedCount }) => sum + Math.max(0, matches - receivedCount),
      0,
    );
    this.#last = {
      site: this.#site,
      askedCount: boxes.length,
      answeredCount: answered.length,
      missing: boxes.flatMap(missingOf),
      more: unfetchedCount + asking.excessCount,
    };
    return { ...this.#last, matches: newMatches };
  }
}

function missingOf({ box, state, note }: AskedBox): string[] {
  const reasonByState: Readonly<Record<AskedBox['state'], string | undefined>> = {
    waiting: undefined,
    done: undefined,
    cut: 'has more than is fetched',
    refused: note ?? 'refused',
    silent: 'no answer',
    offline: note ?? 'not connected',
  };
  return reasonByState[state] === undefined ? [] : [short(`${box}: ${reasonByState[state]}`, 80)];
}

function foundOf({ id, source, subject, time, data }: VigieEvent): SignerMatch {
  return {
    box: source.split(':').at(-1) ?? '',
    event: id,
    episode: data.episode,
    time,
    kind: short(data.rule.kind, 40),
    place: short(subject, 80),
    phase: data.phase,
    sealed: data.evidence.sealed !== undefined,
  };
}

const short = (text: string, charsMax: number): string => printable(text, charsMax).slice(0, charsMax);
