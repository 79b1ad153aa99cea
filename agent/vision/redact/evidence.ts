/**
 * Makes the pictures that the agent asks for, redacted and sealed, and keeps those that it may ask for later.
 *
 * A thing that was dumped is noticed when it has stood for a while; what the place looked like before,
 * and the moment of the deposit, must have been kept by then. They are kept redacted, so that no older
 * picture of a street exists unredacted than the camera's short ring. Sealed are stills of that ring only.
 *
 * INVARIANTS: one picture is made at a time, in the order of asking; a preview only while nothing else is to be made,
 * by the redaction of all others, and none is kept.
 * LIMITS: 16 requests wait, a further one is refused with a reason; 40 pictures are kept; one preview waits, of the
 * newest still when its turn comes.
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
import type { Foreground, Frame, Look, Still } from '../../contract/picture.ts';
import type { RedactedJpeg } from '../../contract/redacted-jpeg.ts';
import type { Place } from './marks.ts';
import { RecentLooks } from './recent-looks.ts';
import { PREVIEW, Redactor } from './redactor.ts';
import { Sealer } from './sealer.ts';

const WAITING_MAX = 16;
const KEPT_MAX = 40;
/** Redaction looks at boxes up to 2 s after a still; a kept one can wait for them. */
const SETTLE_MS = 2000;
/** A kept picture is of the moment asked for when it is no further away than the spacing of stills. */
const SAME_MOMENT_MS = 500;
/** A preview shows what was two seconds ago at most, in steps of that spacing. */
const PREVIEW_STILLS_BACK = 4;

export interface EvidenceOptions {
  stillNear(atMs: number): Still | undefined;
  /** Public keys; none: nothing is sealed. */
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
  readonly #recent = new RecentLooks();
  readonly #tasks: (() => Promise<void>)[] = [];
  /** Number of the request for a preview that waits. */
  #preview: number | undefined;
  /** By the moment asked for; undefined while it is being made or when it could not be. */
  readonly #kept = new Map<number, RedactedJpeg | undefined>();
  #running: Promise<void> | undefined;

  constructor(options: EvidenceOptions) {
    this.#options = options;
    this.#redactor = new Redactor(options.timeZone);
    this.#sealer = options.sealTo.length === 0 ? undefined : new Sealer(options.sealTo);
  }

  /** Takes note of every analysed frame, in their order: what must be hidden in its still. */
  remember(frame: Frame, { looked, found, tracks }: Look, foreground: Foreground | undefined): void {
    if (looked) this.#recent.add(found);
    this.#redactor.remember(frame, looked ? found : this.#recent.places, tracks, foreground);
  }

  /** Learns what the place looks like from the frame that was remembered last. */
  learnPlace({ planes }: Frame): void {
    this.#redactor.learnPlace(planes);
  }

  /** The camera shows another view than before. */
  forgetPlace(): void {
    this.#redactor.forgetPlace();
  }

  /** Frames whose boxes were forgotten before their time. */
  get forgotten(): number {
    return this.#redactor.forgotten;
  }

  /** Answers with a snapshot or with the reason why there is none. */
  request(request: EvidenceRequest): void {
    if (this.#tasks.length >= WAITING_MAX) {
      this.#refuse(request.request, 'too many requests at once');
      return;
    }
    this.#do(() => this.#answer(request));
  }

  /** Answers with a picture of now, or with the reason why there is none. */
  preview(request: number): void {
    if (this.#preview !== undefined) {
      this.#refusePreview(request, 'another preview waits already');
      return;
    }
    this.#preview = request;
    this.#running ??= this.#work();
  }

  /** Keeps pictures of these moments until they are no longer named. */
  keep(momentsMs: readonly number[], nowMs: number): void {
    for (const kept of this.#kept.keys()) if (!momentsMs.includes(kept)) this.#kept.delete(kept);
    for (const moment of momentsMs) {
      if (this.#kept.has(moment) || this.#kept.size >= KEPT_MAX || nowMs - moment < SETTLE_MS) continue;
      this.#kept.set(moment, undefined);
      this.#do(() => this.#keepOne(moment));
    }
  }

  /** Resolves when nothing waits, what is asked for meanwhile included. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  #do(task: () => Promise<void>): void {
    this.#tasks.push(task);
    this.#running ??= this.#work();
  }

  /** Is over in the very step in which it finds nothing to do: what is asked for a step later begins anew. */
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

  /** Of those whose own frame the detector has seen: one may be ahead of it, or belong to a frame that was left out. */
  #newestStill(): Still {
    const { newestMs } = this.#redactor;
    for (let back = 0; newestMs !== undefined && back <= PREVIEW_STILLS_BACK; back += 1) {
      const still = this.#options.stillNear(newestMs - back * SAME_MOMENT_MS);
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
      if (this.#kept.has(moment)) this.#kept.set(moment, picture);
    } catch (error) {
      this.#note(error);
    }
  }

  async #answer(asked: EvidenceRequest): Promise<void> {
    const { request, atMs, seal } = asked;
    if (seal) await this.#seal(request, atMs);
    const kept = [...this.#kept].find(([moment]) => Math.abs(moment - atMs) <= SAME_MOMENT_MS)?.[1];
    try {
      const picture = kept ?? (await this.#make(asked));
      this.#options.send(encodeSnapshot(request, picture));
    } catch (error) {
      this.#note(error);
      this.#refuse(request, messageOf(error));
    }
  }

  /** That a still cannot be sealed keeps no snapshot back. */
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

  async #make(asked: EvidenceRequest): Promise<RedactedJpeg> {
    const still = this.#still(asked.atMs);
    const thenS = (still.atMs - asked.atMs) / 1000;
    const focus = asked.focus.map((one) => movedBy(one, thenS));
    return this.#redactor.redact(still, { focus, place: this.#placeOf(asked) });
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

  /** That there is no picture is said in the event; only what should not happen is logged. */
  #note(error: unknown): void {
    if (error instanceof AgentError && error.kind === 'unavailable') return;
    this.#options.log.error({ err: error }, 'a picture could not be made');
  }

  #refuse(request: number, reason: string): void {
    this.#options.send(encodeMessage({ kind: 'no-snapshot', request, reason: reason.slice(0, 1000) }));
  }
}

/** As it was `seconds` later (or earlier), as far as that lies in the picture. */
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
