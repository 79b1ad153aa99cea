/**
 * Events that wait for their pictures, in the order in which they arose.
 *
 * INVARIANTS: events reach the sink in order; one waits for its pictures at most `EVIDENCE_WAIT_MS`, then goes without
 * and says why. One that waits is durable before a picture is asked for, and is told after a restart without them; an
 * event leaves only when the sink has it.
 * LIMITS: 256 events wait; when there are more the oldest goes without its pictures.
 */
import type { Clock } from '../base/clock.ts';
import type { Counters } from '../base/counters.ts';
import type { Logger } from '../base/log.ts';
import type { Evidence, Moment } from '../contract/event.ts';
import type { EventPicture, EventSink, UnnumberedEvent } from '../contract/event-sink.ts';
import type { EvidenceRequest, Focus } from '../contract/link.ts';
import type { ObservedTrack } from '../contract/observation.ts';
import type { Notes, Outbox } from '../contract/outbox.ts';
import type { RedactedJpeg } from '../contract/redacted-jpeg.ts';
import type { SealedEvidence } from '../contract/sealed-evidence.ts';
import { type Circumstances, type EventSubject, eventOf } from './event.ts';
import type { Transition } from './lifecycle.ts';
import {
  STANDING,
  type StandingByOwner,
  standingNote,
  standingOf,
  WAITING,
  waitingKey,
  waitingOf,
} from './notes.ts';

/** A snapshot takes about 0.1 s; an alert must not wait long for one that does not come. */
const EVIDENCE_WAIT_MS = 3000;
const WAITING_MAX = 256;

interface AskedPicture {
  readonly moment: Moment;
  readonly request: EvidenceRequest;
}

/** What has happened to an incident, and what it is about. */
export interface Happening {
  readonly about: EventSubject;
  readonly transition: Transition;
  /** What else is durable with it. */
  readonly notes?: Notes;
}

interface Waiting {
  /** Its evidence is still to come. */
  readonly event: UnnumberedEvent;
  /** Of its note. */
  readonly key: string;
  readonly sinceMs: number;
  /** Pictures that are still to come, by request. */
  readonly pending: Map<number, Moment>;
  readonly pictures: EventPicture[];
  sealed?: SealedEvidence;
  evidence: Evidence;
  wallAtMs(atMs: number): number;
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
  readonly keepSealed: ((event: string, sealed: SealedEvidence) => string | undefined) | undefined;
}

export class EvidenceQueue {
  readonly #options: EvidenceQueueOptions;
  readonly #waiting: Waiting[] = [];
  #made = 0;
  #accepted = 0;
  #requests = 0;
  #evidenceMissed = 0;

  constructor(options: EvidenceQueueOptions) {
    this.#options = options;
  }

  get counters(): Counters {
    return { evidence_missed: this.#evidenceMissed };
  }

  /** Events that the sink has taken since the start. */
  get events(): number {
    return this.#accepted;
  }

  /**
   * What arose at one moment, in its order: durable on return. Alerts that start wait for their pictures; the requests
   * for these are returned.
   */
  add(happenings: readonly Happening[], circumstances: Circumstances): EvidenceRequest[] {
    const { site, box, boot } = this.#options;
    const { wallAtMs } = circumstances;
    const requests: EvidenceRequest[] = [];
    let notes: Notes = {};
    for (const { about, transition, notes: more = {} } of happenings) {
      this.#made += 1;
      const id = `${boot}-${this.#made}`;
      const event = eventOf(about, transition, { ...circumstances, id, site, box, evidence: {} });
      const standing = { ...standingNote(about, transition, wallAtMs), ...more };
      const asked = isShown(about, transition) ? this.#ask(about, transition) : [];
      if (this.#waiting.length === 0 && asked.length === 0) {
        this.#accept(event, [], standing);
        continue;
      }
      const key = waitingKey(this.#made);
      notes = { ...notes, ...standing, [key]: JSON.stringify(event) };
      const pending = new Map(asked.map(({ moment, request }) => [request.request, moment]));
      const sinceMs = this.#options.clock.nowMs();
      this.#waiting.push({ event, key, sinceMs, pending, pictures: [], evidence: {}, wallAtMs });
      requests.push(...asked.map(({ request }) => request));
    }
    if (Object.keys(notes).length > 0) this.#options.sink.remember(notes);
    this.flush();
    return requests;
  }

  /** Tells the events of an earlier life whose pictures will not come any more, and returns what stood in it. */
  recover(kept: Pick<Outbox, 'notes'>): StandingByOwner {
    const { log } = this.#options;
    const absent = 'the agent ended before it was made';
    for (const { key, event } of waitingOf(kept.notes(WAITING), log)) {
      this.#accept({ ...event, data: { ...event.data, evidence: { absent } } }, [], { [key]: null });
    }
    return standingOf(kept.notes(STANDING), log);
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
    const found = this.#settle(request);
    if (found === undefined) return;
    this.#miss(found.waiting, reason);
    this.flush();
  }

  /** Comes before the snapshot that was asked for with it. */
  sealed(request: number, sealed: SealedEvidence): void {
    const waiting = this.#waitingFor(request);
    if (waiting === undefined) this.#options.log.warn({ request }, 'a sealed still came too late');
    else waiting.sealed = sealed;
  }

  notSealed(request: number, reason: string): void {
    const waiting = this.#waitingFor(request);
    if (waiting !== undefined) this.#miss(waiting, reason);
  }

  /** Hands finished events to the sink, in order; called again by a timer so that none waits for ever. */
  flush(): void {
    const { clock } = this.#options;
    for (let head = this.#waiting[0]; head !== undefined; head = this.#waiting[0]) {
      const late = clock.nowMs() - head.sinceMs > EVIDENCE_WAIT_MS || this.#waiting.length > WAITING_MAX;
      if (late) this.#giveUp(head, 'it was not made in time');
      if (head.pending.size > 0) return;
      const { event, key, pictures } = head;
      const evidence = this.#keepSealed(head);
      // Out of the queue only when the sink has it: should it throw, the event is still here.
      this.#accept({ ...event, data: { ...event.data, evidence } }, pictures, { [key]: null });
      this.#waiting.shift();
    }
  }

  /** Everything goes, with what it has. */
  handOver(reason: string): void {
    for (const waiting of this.#waiting) this.#giveUp(waiting, reason);
    this.flush();
  }

  /** One request for the event's own moment and one for each earlier moment that belongs to it. */
  #ask({ zone, line }: EventSubject, { situation, atMs }: Transition): AskedPicture[] {
    const still = { velocityNormPerS: [0, 0] as [number, number] };
    const focus =
      situation.focus?.map((xyxyNorm) => ({ xyxyNorm, ...still })) ?? situation.objects.map(focusOf);
    const moments = [{ moment: 'snapshot' as const, atMs }, ...(situation.moments ?? [])];
    return moments.map(({ moment, atMs }) => {
      this.#requests += 1;
      const seal = moment === 'snapshot';
      const place = { ...(zone && { zone: zone.id }), ...(line && { line: line.id }) };
      return { moment, request: { request: this.#requests, atMs, focus, ...place, seal } };
    });
  }

  #accept(event: UnnumberedEvent, pictures: readonly EventPicture[], notes: Notes): void {
    this.#options.sink.accept(event, pictures, notes);
    this.#accepted += 1;
  }

  /** What is said of a sealed still is true: it is on disk before the event is accepted. */
  #keepSealed({ event, sealed, evidence }: Waiting): Evidence {
    if (sealed === undefined) return evidence;
    const { keepSealed = () => 'sealed stills are not kept here' } = this.#options;
    const absent = keepSealed(event.id, sealed);
    if (absent !== undefined) return { ...evidence, absent };
    return { ...evidence, sealed: { sha256: sealed.sha256, recipients: [...sealed.recipients] } };
  }

  #waitingFor(request: number): Waiting | undefined {
    return this.#waiting.find(({ pending }) => pending.has(request));
  }

  /** The event that this answer belongs to. */
  #settle(request: number): { waiting: Waiting; moment: Moment } | undefined {
    const waiting = this.#waitingFor(request);
    const moment = waiting?.pending.get(request);
    if (waiting === undefined || moment === undefined) {
      this.#options.log.warn({ request }, 'a snapshot came too late; its event went without');
      return undefined;
    }
    waiting.pending.delete(request);
    return { waiting, moment };
  }

  /** Counted once a picture: what comes for an event that has gone without it is no second one. */
  #miss(waiting: Waiting, reason: string): void {
    this.#evidenceMissed += 1;
    waiting.evidence = { ...waiting.evidence, absent: reason.slice(0, 200) };
  }

  #giveUp(waiting: Waiting, reason: string): void {
    for (const request of [...waiting.pending.keys()]) {
      waiting.pending.delete(request);
      this.#miss(waiting, reason);
    }
  }
}

/** What begins in the street is shown; what the box says of itself is not. */
function isShown({ severity }: EventSubject, { phase }: Transition): boolean {
  return phase === 'start' && severity !== 'system';
}

function focusOf({ xyxyNorm, velocityNormPerS, id: track, group, label }: ObservedTrack): Focus {
  return { xyxyNorm, velocityNormPerS, object: { track, group, label } };
}
