/**
 * Events that wait for their pictures, in the order in which they arose.
 *
 * INVARIANTS: events reach the sink in order; one waits for its pictures at most `EVIDENCE_WAIT_MS`, then goes without
 * and says why; an event leaves only when the sink has it.
 * LIMITS: 256 events wait; when there are more the oldest goes without its pictures.
 */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Evidence, Moment } from '../contract/event.ts';
import type { EventPicture, EventSink } from '../contract/event-sink.ts';
import type { EvidenceRequest, Focus } from '../contract/link.ts';
import type { Mode } from '../contract/mode.ts';
import type { DegradingCondition, ObservedTrack } from '../contract/observation.ts';
import type { RedactedJpeg } from '../contract/redacted-jpeg.ts';
import type { SealedEvidence } from '../contract/sealed-evidence.ts';
import type { Situation } from '../contract/situation.ts';
import { type EventSubject, eventOf } from './event.ts';
import type { Transition } from './incidents.ts';

/** A snapshot takes about 0.1 s; an alert must not wait long for one that does not come. */
const EVIDENCE_WAIT_MS = 3000;
const WAITING_MAX = 256;

/** How things were when the event arose. */
interface Circumstances {
  readonly clockSynced: boolean;
  readonly degraded: readonly DegradingCondition[];
  readonly mode: Mode;
  wallAtMs(atMs: number): number;
}

interface Waiting extends Circumstances {
  readonly about: EventSubject;
  readonly transition: Transition;
  readonly sinceMs: number;
  /** Pictures that are still to come, by request. */
  readonly pending: Map<number, Moment>;
  readonly pictures: EventPicture[];
  sealed?: SealedEvidence;
  evidence: Evidence;
}

export interface AskedPicture {
  readonly moment: Moment;
  readonly request: EvidenceRequest;
}

export interface EvidenceQueueOptions {
  readonly site: string;
  readonly box: string;
  /** Prefix of message ids. */
  readonly boot: string;
  readonly sink: EventSink;
  readonly clock: Clock;
  readonly log: Logger;
  /** Keeps the sealed still of an event and returns why it could not; absent in replay. */
  keepSealed?: ((event: string, sealed: SealedEvidence) => string | undefined) | undefined;
}

export class EvidenceQueue {
  readonly #options: EvidenceQueueOptions;
  readonly #waiting: Waiting[] = [];
  #events = 0;
  #requests = 0;
  #evidenceMissed = 0;

  constructor(options: EvidenceQueueOptions) {
    this.#options = options;
  }

  get counters(): { events: number; evidenceMissed: number } {
    return { events: this.#events, evidenceMissed: this.#evidenceMissed };
  }

  /** One request for the event's own moment and one for each earlier moment that belongs to it. */
  ask(situation: Situation, atMs: number): AskedPicture[] {
    const still = { velocityNormPerS: [0, 0] as [number, number] };
    const focus =
      situation.focus?.map((xyxyNorm) => ({ xyxyNorm, ...still })) ?? situation.objects.map(focusOf);
    const moments = [{ moment: 'snapshot' as const, atMs }, ...(situation.moments ?? [])];
    return moments.map(({ moment, atMs }) => {
      this.#requests += 1;
      const seal = moment === 'snapshot';
      return { moment, request: { request: this.#requests, atMs, focus, seal } };
    });
  }

  add(
    about: EventSubject,
    transition: Transition,
    asked: readonly AskedPicture[],
    circumstances: Circumstances,
  ): void {
    this.#waiting.push({
      ...circumstances,
      about,
      transition,
      sinceMs: this.#options.clock.nowMs(),
      pending: new Map(asked.map(({ moment, request }) => [request.request, moment])),
      pictures: [],
      evidence: {},
    });
  }

  snapshot(request: number, picture: RedactedJpeg): void {
    const { sha256, bytes, redaction, atMs } = picture;
    const found = this.#settle(request);
    if (found === undefined) return;
    const { waiting, moment } = found;
    const time = new Date(waiting.wallAtMs(atMs)).toISOString();
    waiting.evidence = { ...waiting.evidence, [moment]: { sha256, bytes: bytes.length, time, redaction } };
    waiting.pictures.push({ moment, picture });
    this.flush();
  }

  noSnapshot(request: number, reason: string): void {
    this.#evidenceMissed += 1;
    const found = this.#settle(request);
    if (found === undefined) return;
    found.waiting.evidence = { ...found.waiting.evidence, absent: reason.slice(0, 200) };
    this.flush();
  }

  /** Hands finished events to the sink, in order; called again by a timer so that none waits for ever. */
  flush(): void {
    const { site, box, boot, sink, clock } = this.#options;
    for (let head = this.#waiting[0]; head !== undefined; head = this.#waiting[0]) {
      const late = clock.nowMs() - head.sinceMs > EVIDENCE_WAIT_MS || this.#waiting.length > WAITING_MAX;
      if (late) this.#giveUp(head, 'it was not made in time');
      if (head.pending.size > 0) return;
      const { clockSynced, degraded, wallAtMs } = head;
      const id = `${boot}-${this.#events + 1}`;
      const evidence = this.#keepSealed(id, head);
      const context = { id, site, box, evidence, clockSynced, degraded, mode: head.mode, wallAtMs };
      // Out of the queue only when the sink has it: should it throw, the event is still here.
      sink.accept(eventOf(head.about, head.transition, context), head.pictures);
      this.#events += 1;
      this.#waiting.shift();
    }
  }

  /** Comes before the snapshot that was asked for with it. */
  sealed(request: number, sealed: SealedEvidence): void {
    const waiting = this.#waiting.find(({ pending }) => pending.has(request));
    if (waiting === undefined) this.#options.log.warn({ request }, 'a sealed still came too late');
    else waiting.sealed = sealed;
  }

  notSealed(request: number, reason: string): void {
    this.#evidenceMissed += 1;
    const waiting = this.#waiting.find(({ pending }) => pending.has(request));
    if (waiting !== undefined) waiting.evidence = { ...waiting.evidence, absent: reason.slice(0, 200) };
  }

  /** What is said of a sealed still is true: it is on disk before the event is accepted. */
  #keepSealed(id: string, { sealed, evidence }: Waiting): Evidence {
    if (sealed === undefined) return evidence;
    const { keepSealed = () => 'sealed stills are not kept here' } = this.#options;
    const absent = keepSealed(id, sealed);
    if (absent !== undefined) return { ...evidence, absent };
    return { ...evidence, sealed: { sha256: sealed.sha256, recipients: [...sealed.recipients] } };
  }

  /** Everything goes, with what it has. */
  handOver(reason: string): void {
    for (const waiting of this.#waiting) this.#giveUp(waiting, reason);
    this.flush();
  }

  /** The event that this answer belongs to. */
  #settle(request: number): { waiting: Waiting; moment: Moment } | undefined {
    for (const waiting of this.#waiting) {
      const moment = waiting.pending.get(request);
      if (moment === undefined) continue;
      waiting.pending.delete(request);
      return { waiting, moment };
    }
    this.#options.log.warn({ request }, 'a snapshot came too late; its event went without');
    return undefined;
  }

  #giveUp(waiting: Waiting, reason: string): void {
    if (waiting.pending.size === 0) return;
    this.#evidenceMissed += waiting.pending.size;
    waiting.pending.clear();
    waiting.evidence = { ...waiting.evidence, absent: reason };
  }
}

function focusOf({ xyxyNorm, velocityNormPerS }: ObservedTrack): Focus {
  return { xyxyNorm, velocityNormPerS };
}
