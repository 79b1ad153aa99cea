/**
 * Queue of events that wait for their pictures, in the order in which they arose.
 *
 * INVARIANTS:
 * - Events reach the sink in order.
 * - An event waits for its pictures at most `EVIDENCE_WAIT_MS`. It is then sent without them and states the reason.
 * - A waiting event is durable before its pictures are requested, and is sent after a restart without them.
 * - An event leaves the queue only when the sink has accepted it.
 *
 * LIMITS: 256 waiting events; beyond that, the oldest is sent without its pictures.
 */
import type { Clock } from '../base/clock.ts';
import type { Counters } from '../base/counters.ts';
import type { Logger } from '../base/log.ts';
import { CONDITIONS, isConditionKind } from '../contract/condition.ts';
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
  ACTIVE,
  type IncidentsByOwner,
  incidentNote,
  incidentsOf,
  WAITING,
  waitingKey,
  waitingOf,
} from './notes.ts';

/** Maximum wait in ms. A snapshot takes about 0.1 s; an alert must not wait long for a missing one. */
const EVIDENCE_WAIT_MS = 3000;
const WAITING_MAX = 256;

interface AskedPicture {
  readonly moment: Moment;
  readonly request: EvidenceRequest;
}

/** Transition of an incident, with its subject. */
export interface Happening {
  readonly about: EventSubject;
  readonly transition: Transition;
  /** Notes that become durable in the same transaction. */
  readonly notes?: Notes;
}

interface Waiting {
  /** The event without its evidence, which is still pending. */
  readonly event: UnnumberedEvent;
  /** Key of its note. */
  readonly key: string;
  readonly sinceMs: number;
  /** Pending pictures, by request. */
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
  /** Stores the sealed still of an event and returns the reason of a failure; absent in replay. */
  readonly keepSealed: ((event: string, sealed: SealedEvidence) => string | undefined) | undefined;
}

export class EvidenceQueue {
  readonly #options: EvidenceQueueOptions;
  readonly #waiting: Waiting[] = [];
  #eventCount = 0;
  #accepted = 0;
  #requests = 0;
  #evidenceMissed = 0;

  constructor(options: EvidenceQueueOptions) {
    this.#options = options;
  }

  get counters(): Counters {
    return { evidence_missed: this.#evidenceMissed };
  }

  /** Events accepted by the sink since the start. */
  get events(): number {
    return this.#accepted;
  }

  /**
   * Adds the transitions of one moment, in order; durable on return. Start events that show a picture wait for it. Returns the requests for these.
   */
  add(happenings: readonly Happening[], circumstances: Circumstances): EvidenceRequest[] {
    const { site, box, boot } = this.#options;
    const { wallAtMs } = circumstances;
    const requests: EvidenceRequest[] = [];
    let notes: Notes = {};
    for (const { about, transition, notes: extraNotes = {} } of happenings) {
      this.#eventCount += 1;
      const id = `${boot}-${this.#eventCount}`;
      const event = eventOf(about, transition, { ...circumstances, id, site, box, evidence: {} });
      const incidentNotes = { ...incidentNote(about, transition, wallAtMs), ...extraNotes };
      const pictureRequests = isShown(about, transition) ? this.#ask(about, transition) : [];
      if (this.#waiting.length === 0 && pictureRequests.length === 0) {
        this.#accept(event, [], incidentNotes);
        continue;
      }
      const key = waitingKey(this.#eventCount);
      notes = { ...notes, ...incidentNotes, [key]: JSON.stringify(event) };
      const pending = new Map(pictureRequests.map(({ moment, request }) => [request.request, moment]));
      const sinceMs = this.#options.clock.nowMs();
      this.#waiting.push({ event, key, sinceMs, pending, pictures: [], evidence: {}, wallAtMs });
      requests.push(...pictureRequests.map(({ request }) => request));
    }
    if (Object.keys(notes).length > 0) this.#options.sink.remember(notes);
    this.flush();
    return requests;
  }

  /**
   * Sends the events of an earlier run whose pictures will no longer arrive. Returns the incidents that were active in
   * it.
   */
  recover(outbox: Pick<Outbox, 'notes'>): IncidentsByOwner {
    const { log } = this.#options;
    const absent = 'the agent ended before it was made';
    for (const { key, event } of waitingOf(outbox.notes(WAITING), log)) {
      this.#accept({ ...event, data: { ...event.data, evidence: { absent } } }, [], { [key]: null });
    }
    return incidentsOf(outbox.notes(ACTIVE), log);
  }

  snapshot(request: number, picture: RedactedJpeg): void {
    const { sha256, bytes, redaction, atMs } = picture;
    const match = this.#settle(request);
    if (match === undefined) return;
    const { waiting, moment } = match;
    const time = new Date(waiting.wallAtMs(atMs)).toISOString();
    waiting.evidence = { ...waiting.evidence, [moment]: { sha256, bytes: bytes.length, time, redaction } };
    waiting.pictures.push({ moment, picture });
    this.flush();
  }

  noSnapshot(request: number, reason: string): void {
    const match = this.#settle(request);
    if (match === undefined) return;
    this.#miss(match.waiting, reason);
    this.flush();
  }

  /** Stores a sealed still, which arrives before the snapshot of the same request. */
  sealed(request: number, sealed: SealedEvidence): void {
    const waiting = this.#waitingFor(request);
    if (waiting === undefined) this.#options.log.warn({ request }, 'a sealed still came too late');
    else waiting.sealed = sealed;
  }

  notSealed(request: number, reason: string): void {
    const waiting = this.#waitingFor(request);
    if (waiting !== undefined) this.#miss(waiting, reason);
  }

  /** Passes finished events to the sink, in order. A timer calls it again, so that none waits indefinitely. */
  flush(): void {
    const { clock } = this.#options;
    for (let head = this.#waiting[0]; head !== undefined; head = this.#waiting[0]) {
      const late = clock.nowMs() - head.sinceMs > EVIDENCE_WAIT_MS || this.#waiting.length > WAITING_MAX;
      if (late) this.#giveUp(head, 'it was not made in time');
      if (head.pending.size > 0) return;
      const { event, key, pictures } = head;
      const evidence = this.#keepSealed(head);
      // Removed only when the sink has accepted it: if the sink throws, the event is still in the queue.
      this.#accept({ ...event, data: { ...event.data, evidence } }, pictures, { [key]: null });
      this.#waiting.shift();
    }
  }

  /** Sends all events with the pictures they have. */
  handOver(reason: string): void {
    for (const waiting of this.#waiting) this.#giveUp(waiting, reason);
    this.flush();
  }

  /** Builds one request for the event's own moment, and one for each earlier moment that belongs to it. */
  #ask({ zone, line, severity }: EventSubject, { situation, atMs }: Transition): AskedPicture[] {
    const still = { velocityNormPerS: [0, 0] as [number, number] };
    const focus =
      situation.focus?.map((xyxyNorm) => ({ xyxyNorm, ...still })) ?? situation.objects.map(focusOf);
    const moments = [{ moment: 'snapshot' as const, atMs }, ...(situation.moments ?? [])];
    return moments.map(({ moment, atMs }) => {
      this.#requests += 1;
      // A sealed still is evidence of the street, not of an installation.
      const seal = moment === 'snapshot' && severity !== 'system';
      const place = { ...(zone && { zone: zone.id }), ...(line && { line: line.id }) };
      return { moment, request: { request: this.#requests, atMs, focus, ...place, seal } };
    });
  }

  #accept(event: UnnumberedEvent, pictures: readonly EventPicture[], notes: Notes): void {
    this.#options.sink.accept(event, pictures, notes);
    this.#accepted += 1;
  }

  /** Stores the sealed still, so that it is on disk before an event that refers to it is accepted. */
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

  /** Returns the event to which this reply belongs. */
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

  /** Counts a missing picture once: a reply for an event already sent without it is not counted again. */
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

/** Reports whether the event shows a picture: starts in the street, and conditions of the box that have one. */
function isShown({ severity, rule: { kind } }: EventSubject, { phase }: Transition): boolean {
  if (phase !== 'start') return false;
  return severity !== 'system' || (isConditionKind(kind) && CONDITIONS[kind].hasPicture);
}

function focusOf({ xyxyNorm, velocityNormPerS, id: track, group, label }: ObservedTrack): Focus {
  return { xyxyNorm, velocityNormPerS, object: { track, group, label } };
}
