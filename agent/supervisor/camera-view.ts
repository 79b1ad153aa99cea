/**
 * Keeps the camera's view over restarts, and handles a technician's confirmation of a new one.
 *
 * A moved camera suspends every rule, because the zones may no longer fit. The rules continue when the old view is back
 * or `vigie camera confirm` was run on the box. For the technician, two redacted stills are in the state folder, from
 * before and after the move. For vision there is a signature by which it recognises the view; no picture can be made
 * from it.
 *
 * INVARIANTS:
 * - Only redacted pictures and signatures are written.
 * - The file holds `movedSince` before vision may forget it, and drops it before vision learns of the confirmation,
 *   which is an entry of the journal.
 * LIMITS: two stills, stored as long as snapshots. A damaged file loses the stored view but never prevents a start.
 */
import { existsSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../base/atomic-file.ts';
import type { Clock } from '../base/clock.ts';
import type { Counters } from '../base/counters.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import {
  CAMERA_FILES,
  type CameraRecord,
  type Confirmation,
  parseCameraRecord,
  parseConfirmation,
} from '../contract/camera-record.ts';
import type { JournalEntry } from '../contract/journal.ts';
import {
  type EvidenceRequest,
  type FromVision,
  type KnownView,
  type Received,
  receivedSnapshot,
  type ToVision,
  type VisionSettings,
} from '../contract/link.ts';
import type { Observation } from '../contract/observation.ts';

/** First request number for pictures of the view; those of events count from 1. */
const REQUESTS_FROM = 2 ** 48;
/** Interval between pictures of the view. */
const PICTURE_EVERY_MS = 600_000;
/**
 * Time without a camera condition after which a picture shows the view before a move. `moved` is reported after half of
 * it.
 */
const SOUND_AFTER_MS = 60_000;
/** Delay before a missing picture is requested again. */
const ASK_AGAIN_MS = 10_000;
const DAY_MS = 86_400_000;
const EXPIRE_EVERY_MS = 3_600_000;

export interface CameraViewOptions {
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Retention of snapshots, in days. */
  snapshotsDays(): number;
  send(message: ToVision): boolean;
  /** Marks that later tracks are seen in another view. */
  readonly trackLog: { viewConfirmed(): void };
  /** Adds an entry to the journal. */
  enter(entry: JournalEntry): void;
}

export class CameraView {
  readonly #options: CameraViewOptions;
  #record: CameraRecord = { signature: null, aspect: 1, movedSince: null };
  #isMoved = false;
  #requests = REQUESTS_FROM;
  #pendingRequest:
    | { readonly request: number; readonly kind: 'view' | 'after'; readonly atMs: number }
    | undefined;
  #afterWanted = false;
  #pictureDueMs = Number.NEGATIVE_INFINITY;
  /** Newest picture of the view. It counts as before a move only if no move is reported for a while. */
  #candidate: { readonly bytes: Uint8Array; readonly atMs: number } | undefined;
  #failures = 0;
  #confirmations = 0;
  #expired = 0;
  #expireAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: CameraViewOptions) {
    this.#options = options;
  }

  get counters(): Counters {
    return {
      camera_confirmed: this.#confirmations,
      camera_files_failed: this.#failures,
      camera_pictures_expired: this.#expired,
    };
  }

  start(): void {
    const file = this.#path('record');
    if (!existsSync(file)) return;
    try {
      this.#record = parseCameraRecord(readFileSync(file, 'utf8'));
    } catch (error) {
      this.#options.log.warn({ file, why: messageOf(error) }, 'record of the camera’s view moved aside');
      renameSync(file, `${file}.damaged`);
    }
    this.#isMoved = this.#record.movedSince !== null;
  }

  /** Settings for a vision process that starts. */
  get settings(): Pick<VisionSettings, 'knownView'> {
    const { signature, aspect, movedSince } = this.#record;
    if (signature === null && movedSince === null) return {};
    return { knownView: { signature, aspect, moved: movedSince !== null } };
  }

  /** Stores the view that vision has learnt. */
  learn({ signature, aspect }: KnownView): void {
    this.#write({ ...this.#record, signature, aspect });
  }

  /**
   * Takes a picture or the answer that there is none. Returns true if the request was made here and not for an event.
   */
  answer({ message, binary }: Received<FromVision>): boolean {
    if (message.kind !== 'snapshot' && message.kind !== 'no-snapshot') return false;
    if (message.request < REQUESTS_FROM) return false;
    const pending = this.#pendingRequest;
    this.#pendingRequest = undefined;
    if (pending?.request !== message.request || message.kind === 'no-snapshot') return true;
    this.#keep(pending.kind, receivedSnapshot(message, binary).bytes);
    return true;
  }

  /** Takes the camera's conditions, and returns requests for pictures of the view. */
  observe({ camera = [], atMs }: Observation): EvidenceRequest[] {
    const nowMs = this.#options.clock.nowMs();
    const isMoved = camera.includes('moved');
    if (isMoved !== this.#isMoved) this.#turn(isMoved);
    if (camera.length > 0) this.#candidate = undefined;
    else if (this.#candidate !== undefined && nowMs - this.#candidate.atMs >= SOUND_AFTER_MS) {
      this.#store('before', this.#candidate.bytes);
      this.#candidate = undefined;
    }
    if (this.#pendingRequest !== undefined && nowMs - this.#pendingRequest.atMs < ASK_AGAIN_MS) return [];
    const kind = this.#afterWanted
      ? 'after'
      : camera.length === 0 && nowMs >= this.#pictureDueMs
        ? 'view'
        : null;
    if (kind === null) return [];
    if (kind === 'view') this.#pictureDueMs = nowMs + PICTURE_EVERY_MS;
    this.#requests += 1;
    this.#pendingRequest = { request: this.#requests, kind, atMs: nowMs };
    return [{ request: this.#requests, atMs, focus: [], seal: false }];
  }

  /** Checks for a confirmation and for expired pictures. Called about twice a second. */
  tick(): void {
    this.#expire();
    const file = this.#path('confirmed');
    if (!existsSync(file)) return;
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      this.#failed('confirmed', error);
      return;
    }
    const confirmation = parseConfirmation(text);
    if (this.#record.movedSince === confirmation.movedSince && !this.#confirmed(confirmation)) return;
    rmSync(file, { force: true });
  }

  /**
   * Confirms the view for a technician who is not at a terminal. Returns the reason for a refusal; undefined on
   * success.
   */
  confirm(by: string): string | undefined {
    const { movedSince } = this.#record;
    if (movedSince === null) return 'the camera has not moved, or was confirmed already';
    return this.#confirmed({ movedSince, by }) ? undefined : 'the disk refuses writes';
  }

  #confirmed({ movedSince, by }: Confirmation): boolean {
    const { log, send, enter, trackLog } = this.#options;
    // Vision learns the new view from the start, and its signature is stored then.
    if (!this.#write({ ...this.#record, signature: null, movedSince: null })) return false;
    this.#isMoved = false;
    this.#confirmations += 1;
    log.warn({ movedSince }, 'the camera’s new view was confirmed; the rules go on');
    enter({ type: 'view-confirmed', movedSince, by });
    trackLog.viewConfirmed();
    send({ kind: 'confirm-view' });
    return true;
  }

  #expire(): void {
    const { clock, snapshotsDays } = this.#options;
    if (clock.nowMs() < this.#expireAtMs) return;
    this.#expireAtMs = clock.nowMs() + EXPIRE_EVERY_MS;
    for (const name of ['before', 'after'] as const) {
      try {
        const written = statSync(this.#path(name), { throwIfNoEntry: false })?.mtimeMs;
        if (written === undefined || clock.wallMs() - written < snapshotsDays() * DAY_MS) continue;
        rmSync(this.#path(name));
        this.#expired += 1;
      } catch (error) {
        this.#failed(name, error);
      }
    }
  }

  #turn(isMoved: boolean): void {
    this.#isMoved = isMoved;
    this.#afterWanted = isMoved;
    const { wallMs } = this.#options.clock;
    this.#write({ ...this.#record, movedSince: isMoved ? new Date(wallMs()).toISOString() : null });
    if (isMoved) {
      const hint = 'check the zones, then run vigie camera confirm';
      this.#options.log.error(
        { confirm: hint },
        'the camera has moved: no rule goes on until that is confirmed',
      );
    }
  }

  #keep(kind: 'view' | 'after', bytes: Uint8Array): void {
    if (kind === 'view') {
      this.#candidate = { bytes, atMs: this.#options.clock.nowMs() };
      return;
    }
    this.#afterWanted = false;
    this.#store('after', bytes);
  }

  #store(name: 'before' | 'after', bytes: Uint8Array): void {
    try {
      writeAtomically(this.#path(name), bytes);
    } catch (error) {
      this.#failed(name, error);
    }
  }

  #write(record: CameraRecord): boolean {
    this.#record = record;
    try {
      writeAtomically(this.#path('record'), JSON.stringify(record));
      return true;
    } catch (error) {
      this.#failed('record', error);
      return false;
    }
  }

  #failed(name: keyof typeof CAMERA_FILES, error: unknown): void {
    this.#failures += 1;
    if (this.#failures > 1) return;
    this.#options.log.warn(
      { file: this.#path(name), why: messageOf(error) },
      'file of the camera’s view failed',
    );
  }

  #path(name: keyof typeof CAMERA_FILES): string {
    return join(this.#options.stateDir, CAMERA_FILES[name]);
  }
}
