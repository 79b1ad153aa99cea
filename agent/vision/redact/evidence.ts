/**
 * Makes the redacted and sealed pictures that the agent requests, and stores those that it may request later.
 *
 * Dumped objects are reported only after they have stayed for a while. Pictures of the place before and at the moment
 * of the deposit must be stored by then. They are stored redacted, so unredacted pictures exist only in the camera's
 * short ring buffer. Only stills of that buffer are sealed.
 *
 * INVARIANTS:
 * - One picture is made at a time, in the sequence of the requests.
 * - A preview is made only when no other task waits, with the same redaction, and is not stored.
 * LIMITS: 16 waiting requests, further ones are refused with a reason. 40 stored pictures. One waiting preview, made
 * from the newest still.
 */
import { AgentError, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { LineConfig, ZoneConfig } from '../../contract/config.ts';
import type { XyxyNorm } from '../../contract/geometry.ts';
import {
  type EvidenceRequest,
  encodeMessage,
  encodePreview,
  encodeSealed,
  encodeSnapshot,
  type Focus,
} from '../../contract/link.ts';
import type { Foreground, Frame, FrameAnalysis, Still } from '../../contract/picture.ts';
import type { RedactedJpeg } from '../../contract/redacted-jpeg.ts';
import type { Place } from './marks.ts';
import { RecentDetections } from './recent-detections.ts';
import { PREVIEW, Redactor } from './redactor.ts';
import { Sealer } from './sealer.ts';

const WAITING_MAX = 16;
const KEPT_MAX = 40;
/** Age from which a still is redacted for storage, in ms. Redaction uses boxes up to 2 s after a still. */
const SETTLE_MS = 2000;
/** Largest distance of a stored picture from the requested moment, in ms: the spacing of stills. */
const SAME_MOMENT_MS = 500;
/** Number of such steps that a preview may reach into the past: at most two seconds. */
const PREVIEW_STILLS_BACK = 4;

export interface EvidenceOptions {
  stillNear(atMs: number): Still | undefined;
  /** Public keys; none means that no still gets sealed. */
  readonly sealTo: readonly string[];
  readonly zones: readonly ZoneConfig[];
  readonly lines: readonly LineConfig[];
  /** IANA name. */
  readonly timeZone: string;
  send(encoded: Buffer): boolean;
  readonly log: Logger;
}

export class Evidence {
  readonly #options: EvidenceOptions;
  readonly #redactor: Redactor;
  readonly #sealer: Sealer | undefined;
  readonly #recent = new RecentDetections();
  readonly #tasks: (() => Promise<void>)[] = [];
  /** Number of the waiting preview request. */
  #preview: number | undefined;
  /** Stored pictures by requested moment; undefined while being made, or if making it failed. */
  readonly #storedPictures = new Map<number, RedactedJpeg | undefined>();
  #running: Promise<void> | undefined;

  constructor(options: EvidenceOptions) {
    this.#options = options;
    this.#redactor = new Redactor(options.timeZone);
    this.#sealer = options.sealTo.length === 0 ? undefined : new Sealer(options.sealTo);
  }

  /** Records each analysed frame in sequence: the objects to hide in its still. */
  remember(
    frame: Frame,
    { detectorRan, detections, tracks }: FrameAnalysis,
    foreground: Foreground | undefined,
  ): void {
    if (detectorRan) this.#recent.add(detections);
    this.#redactor.remember(frame, detectorRan ? detections : this.#recent.places, tracks, foreground);
  }

  /** Learns the empty scene from the last recorded frame. */
  learnPlace({ planes }: Frame): void {
    this.#redactor.learnPlace(planes);
  }

  /** Forgets the scene, because the camera shows another view. */
  forgetPlace(): void {
    this.#redactor.forgetPlace();
  }

  /** Frames whose boxes were dropped before their time. */
  get forgotten(): number {
    return this.#redactor.forgotten;
  }

  /** Answers with a snapshot, or with the reason why there is none. */
  request(request: EvidenceRequest): void {
    if (this.#tasks.length >= WAITING_MAX) {
      this.#refuse(request.request, 'too many requests at once');
      return;
    }
    this.#do(() => this.#answer(request));
  }

  /** Answers with a present picture, or with the reason why there is none. */
  preview(request: number): void {
    if (this.#preview !== undefined) {
      this.#refusePreview(request, 'another preview waits already');
      return;
    }
    this.#preview = request;
    this.#running ??= this.#work();
  }

  /** Stores pictures of these moments until they are no longer listed. */
  keep(momentsMs: readonly number[], nowMs: number): void {
    for (const storedMoment of this.#storedPictures.keys())
      if (!momentsMs.includes(storedMoment)) this.#storedPictures.delete(storedMoment);
    for (const moment of momentsMs) {
      if (
        this.#storedPictures.has(moment) ||
        this.#storedPictures.size >= KEPT_MAX ||
        nowMs - moment < SETTLE_MS
      )
        continue;
      this.#storedPictures.set(moment, undefined);
      this.#do(() => this.#keepOne(moment));
    }
  }

  /** Resolves when no task is left, including those requested meanwhile. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  #do(task: () => Promise<void>): void {
    this.#tasks.push(task);
    this.#running ??= this.#work();
  }

  /**
   * Runs tasks until none is left. It ends in the same step in which it finds none, so a later request starts it again.
   */
  async #work(): Promise<void> {
    try {
      for (let task = this.#next(); task !== undefined; task = this.#next()) await task();
    } finally {
      this.#running = undefined;
    }
  }

  #next(): (() => Promise<void>) | undefined {
    const task = this.#tasks.shift();
    const request = this.#preview;
    if (task !== undefined || request === undefined) return task;
    this.#preview = undefined;
    return () => this.#makePreview(request);
  }

  async #makePreview(request: number): Promise<void> {
    const beganMs = performance.now();
    try {
      const picture = await this.#redactor.redact(this.#newestStill(), { focus: [] }, PREVIEW);
      this.#options.send(encodePreview(request, picture, performance.now() - beganMs));
    } catch (error) {
      this.#note(error);
      this.#refusePreview(request, messageOf(error));
    }
  }

  /**
   * Returns the newest still of an analysed frame. A newer still may be ahead of the detector, or of a skipped frame.
   */
  #newestStill(): Still {
    const { newestMs } = this.#redactor;
    for (let stillsBack = 0; newestMs !== undefined && stillsBack <= PREVIEW_STILLS_BACK; stillsBack += 1) {
      const still = this.#options.stillNear(newestMs - stillsBack * SAME_MOMENT_MS);
      if (still !== undefined && this.#redactor.hasSeen(still.atMs)) return still;
    }
    throw new AgentError('unavailable', 'no still is held of a frame that the detector has seen');
  }

  #refusePreview(request: number, reason: string): void {
    this.#options.send(encodeMessage({ kind: 'no-preview', request, reason: reason.slice(0, 1000) }));
  }

  async #keepOne(moment: number): Promise<void> {
    const still = this.#options.stillNear(moment);
    if (still === undefined) return;
    try {
      const picture = await this.#redactor.redact(still, { focus: [] });
      if (this.#storedPictures.has(moment)) this.#storedPictures.set(moment, picture);
    } catch (error) {
      this.#note(error);
    }
  }

  async #answer(evidenceRequest: EvidenceRequest): Promise<void> {
    const { request, atMs, seal } = evidenceRequest;
    if (seal) await this.#seal(request, atMs);
    const storedPicture = [...this.#storedPictures].find(
      ([moment]) => Math.abs(moment - atMs) <= SAME_MOMENT_MS,
    )?.[1];
    try {
      const picture = storedPicture ?? (await this.#make(evidenceRequest));
      this.#options.send(encodeSnapshot(request, picture));
    } catch (error) {
      this.#note(error);
      this.#refuse(request, messageOf(error));
    }
  }

  /** Seals the still. A failure does not hold back the snapshot. */
  async #seal(request: number, atMs: number): Promise<void> {
    if (this.#sealer === undefined) return;
    try {
      this.#options.send(encodeSealed(request, await this.#sealer.seal(this.#still(atMs))));
    } catch (error) {
      this.#note(error);
      const reason = messageOf(error).slice(0, 1000);
      this.#options.send(encodeMessage({ kind: 'not-sealed', request, reason }));
    }
  }

  async #make(evidenceRequest: EvidenceRequest): Promise<RedactedJpeg> {
    const still = this.#still(evidenceRequest.atMs);
    const thenS = (still.atMs - evidenceRequest.atMs) / 1000;
    const focus = evidenceRequest.focus.map((one) => movedBy(one, thenS));
    return this.#redactor.redact(still, { focus, place: this.#placeOf(evidenceRequest) });
  }

  #placeOf({ zone, line }: EvidenceRequest): Place | undefined {
    const { zones, lines } = this.#options;
    const polygon = zones.find(({ id }) => id === zone)?.polygon;
    if (polygon !== undefined) return { kind: 'zone', points: polygon };
    const ends = lines.find(({ id }) => id === line);
    return ends && { kind: 'line', points: [ends.from, ends.to] };
  }

  #still(atMs: number): Still {
    const still = this.#options.stillNear(atMs);
    if (still === undefined) throw new AgentError('unavailable', 'no still of that moment is held');
    return still;
  }

  /** Logs unexpected errors only; the event itself states that there is no picture. */
  #note(error: unknown): void {
    if (error instanceof AgentError && error.kind === 'unavailable') return;
    this.#options.log.error({ err: error }, 'a picture could not be made');
  }

  #refuse(request: number, reason: string): void {
    this.#options.send(encodeMessage({ kind: 'no-snapshot', request, reason: reason.slice(0, 1000) }));
  }
}

/** Returns the focus moved to its place `seconds` later (or earlier), clipped to the picture. */
function movedBy(focus: Focus, seconds: number): Focus {
  const [x1, y1, x2, y2] = focus.xyxyNorm;
  const [vx, vy] = focus.velocityNormPerS;
  const clip = (v: number): number => Math.min(1, Math.max(0, v));
  const xyxyNorm: XyxyNorm = [
    clip(x1 + vx * seconds),
    clip(y1 + vy * seconds),
    clip(x2 + vx * seconds),
    clip(y2 + vy * seconds),
  ];
  return { ...focus, xyxyNorm };
}
