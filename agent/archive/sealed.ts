/**
 * Store of the sealed stills: one age file per event that has one, named by the event's id, for at most `days`. No one
 * on the box can open them. They leave it only as a reply to a signed command (unseal.ts).
 *
 * INVARIANTS:
 * - A file is complete and on disk when `keep` returns.
 * - While the wall clock is trusted (steady-clock.ts), a file is deleted `days` after its creation by that clock.
 * - It is also deleted by the monotonic clock, whatever the wall clock says. For a file of an earlier start, this time
 *   counts from the current start.
 * - Deletions are reported to `onPurged`, repeatedly until it accepts them.
 *
 * LIMITS: `limitMiB` (the oldest are dropped first). A still that the disk refuses is not stored, and its event says
 * so.
 */

import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../base/atomic-file.ts';
import type { Clock } from '../base/clock.ts';
import { type Counters, gauge } from '../base/counters.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { sha256Of } from '../base/sha256.ts';
import type { TrustedClock } from '../base/trusted-clock.ts';
import { isAgeFile, SEALED_BYTES_MAX, type SealedEvidence } from '../contract/sealed-evidence.ts';
import type { PurgeRecord } from '../contract/search.ts';

const NAME = /^([a-z0-9-]{1,64})\.age$/;
const UPKEEP_EVERY_MS = 60_000;
/** Difference in ms from which the time of a file is corrected. */
const DATED_MS = 60_000;

export interface SealedStoreOptions {
  /** Created if missing; accessible to no other user. */
  readonly dir: string;
  readonly limitMiB: number;
  days(): number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly steady: Pick<TrustedClock, 'trusted'>;
  /**
   * Records deletions.
   * @throws AgentError on failure
   */
  onPurged(record: PurgeRecord): void;
}

interface SealedFile {
  readonly bytes: number;
  /** Wall time of creation, as stored in the file. */
  madeMs: number;
  /** Monotonic time of creation; for an earlier start, the time at which it was found. */
  readonly sinceMs: number;
  readonly own: boolean;
}

export class SealedStore {
  readonly #options: SealedStoreOptions;
  /** Stored files by event, oldest first. */
  readonly #files = new Map<string, SealedFile>();
  readonly #untold = new Map<PurgeRecord['why'], PurgeRecord>();
  readonly #counts = { stored: 0, purged: 0, evicted: 0, missed: 0 };
  #bytes = 0;
  #isOpen = false;
  #upkeepAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: SealedStoreOptions) {
    this.#options = options;
  }

  /** Stores the sealed still of an event; returns the reason of a failure, or undefined. */
  keep(event: string, { bytes, sha256 }: SealedEvidence): string | undefined {
    const { dir, limitMiB, clock, log } = this.#options;
    try {
      if (!isAgeFile(bytes) || bytes.length > SEALED_BYTES_MAX || sha256Of(bytes) !== sha256) {
        throw new AgentError('corrupt', 'vision sent something other than a sealed still');
      }
      this.#open();
      this.#forget(event);
      this.#evict(limitMiB * 1_048_576 - bytes.length);
      writeAtomically(join(dir, `${event}.age`), bytes);
      const now = { madeMs: clock.wallMs(), sinceMs: clock.nowMs(), own: true };
      this.#files.set(event, { bytes: bytes.length, ...now });
      this.#bytes += bytes.length;
      this.#counts.stored += 1;
      return undefined;
    } catch (error) {
      this.#counts.missed += 1;
      log.error({ event, reason: messageOf(error) }, 'a sealed still could not be kept');
      return `the sealed still could not be kept (${messageOf(error)})`.slice(0, 200);
    }
  }

  /**
   * Returns the sealed still of an event, or undefined if there is none.
   * @throws AgentError `unavailable`, `corrupt`
   */
  read(event: string): SealedEvidence | undefined {
    try {
      this.#open();
      if (!this.#files.has(event)) return undefined;
      const bytes = readFileSync(join(this.#options.dir, `${event}.age`));
      if (!isAgeFile(bytes)) throw new AgentError('corrupt', `${event}.age is not an age file`);
      return { bytes, sha256: sha256Of(bytes), recipients: [] as string[] } as unknown as SealedEvidence;
    } catch (error) {
      if (error instanceof AgentError) throw error;
      throw new AgentError('unavailable', `${event}.age cannot be read (${messageOf(error)})`, error);
    }
  }

  /** Deletes expired files, once a minute; must be called often. */
  upkeep(): void {
    const { clock, days, log } = this.#options;
    const nowMs = clock.nowMs();
    if (nowMs < this.#upkeepAtMs) return;
    this.#upkeepAtMs = nowMs + UPKEEP_EVERY_MS;
    const trusted = this.#options.steady.trusted();
    try {
      this.#open();
      if (trusted) this.#date();
      const daysMs = days() * 86_400_000;
      const old = [...this.#files].filter(
        ([, { madeMs, sinceMs }]) =>
          nowMs - sinceMs >= daysMs || (trusted && clock.wallMs() - madeMs >= daysMs),
      );
      this.#delete(old, 'retention');
      this.#counts.purged += old.length;
      if (old.length > 0) log.info({ count: old.length }, 'sealed stills past their retention were deleted');
      this.#tell();
    } catch (error) {
      log.error({ reason: messageOf(error) }, 'sealed stills could not be tidied; this is tried again');
    }
  }

  get counters(): Counters {
    const { stored, purged, evicted, missed } = this.#counts;
    return {
      sealed_files: gauge(this.#files.size),
      sealed_bytes: gauge(this.#bytes),
      sealed_kept: stored,
      sealed_purged: purged,
      sealed_evicted: evicted,
      sealed_missed: missed,
    };
  }

  /** Finds the files of earlier starts. */
  #open(): void {
    if (this.#isOpen) return;
    const { dir, clock } = this.#options;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    chmodSync(dir, 0o700);
    const entries: [string, SealedFile][] = [];
    for (const name of readdirSync(dir)) {
      const event = NAME.exec(name)?.[1];
      const file = join(dir, name);
      if (event === undefined) {
        // Incomplete file from before a power cut.
        rmSync(file, { recursive: true, force: true });
        continue;
      }
      const { size, mtimeMs } = statSync(file);
      entries.push([event, { bytes: size, madeMs: mtimeMs, sinceMs: clock.nowMs(), own: false }]);
    }
    entries.sort(([, a], [, b]) => a.madeMs - b.madeMs);
    for (const [event, entry] of entries) {
      this.#files.set(event, entry);
      this.#bytes += entry.bytes;
    }
    this.#isOpen = true;
  }

  /** Corrects the times of files created while the clock was wrong; called when it is trusted. */
  #date(): void {
    const { dir, clock } = this.#options;
    const wallMs = clock.wallMs();
    for (const [event, entry] of this.#files) {
      const trueMs = entry.own ? wallMs - (clock.nowMs() - entry.sinceMs) : Math.min(entry.madeMs, wallMs);
      if (Math.abs(trueMs - entry.madeMs) <= DATED_MS) continue;
      utimesSync(join(dir, `${event}.age`), trueMs / 1000, trueMs / 1000);
      entry.madeMs = trueMs;
    }
  }

  #evict(roomBytes: number): void {
    const going: [string, SealedFile][] = [];
    let bytes = this.#bytes;
    for (const one of this.#files) {
      if (bytes <= roomBytes) break;
      going.push(one);
      bytes -= one[1].bytes;
    }
    this.#delete(going, 'limit');
    this.#counts.evicted += going.length;
  }

  #delete(going: readonly (readonly [string, SealedFile])[], reason: PurgeRecord['why']): void {
    const { dir, clock, days } = this.#options;
    for (const [event, { madeMs }] of going) {
      rmSync(join(dir, `${event}.age`), { force: true });
      this.#forget(event);
      const before = this.#untold.get(reason);
      const fromMs = Math.min(madeMs, before === undefined ? madeMs : Date.parse(before.from));
      const toMs = Math.max(madeMs, before === undefined ? madeMs : Date.parse(before.to));
      this.#untold.set(reason, {
        record: 'purge',
        at: new Date(clock.wallMs()).toISOString(),
        what: 'sealed',
        count: (before?.count ?? 0) + 1,
        from: new Date(fromMs).toISOString(),
        to: new Date(toMs).toISOString(),
        why: reason,
        days: days(),
      });
    }
  }

  #forget(event: string): void {
    this.#bytes -= this.#files.get(event)?.bytes ?? 0;
    this.#files.delete(event);
  }

  /** Reports deletions. Unrecorded ones remain and are added to. */
  #tell(): void {
    for (const [reason, record] of this.#untold) {
      this.#options.onPurged(record);
      this.#untold.delete(reason);
    }
  }
}
