/** What is measured on the way of a frame and of an event through the agent, for a person at the box. */
import type { Clock } from '../base/clock.ts';
import type { VigieEvent } from '../contract/event.ts';
import type { EvidenceRequest } from '../contract/link.ts';
import type { Lane } from '../contract/outbox.ts';
import { Latencies } from './latencies.ts';
import { RecentEvents } from './recent-events.ts';

export class Activity {
  readonly latencies: Latencies;
  readonly recent: RecentEvents;

  constructor(clock: Clock) {
    this.latencies = new Latencies(clock);
    this.recent = new RecentEvents(clock);
  }

  /** Takes the time of what the rules make of a frame. */
  judging<T>(judge: () => T): T {
    this.recent.frame();
    return this.latencies.timed('rules', judge);
  }

  /** Vision was asked for these pictures. */
  asked(requests: readonly EvidenceRequest[]): void {
    for (const { request } of requests) this.latencies.asked(request);
  }

  /** The picture is there, or the reason why there is none. */
  answered(request: number): void {
    this.latencies.answered(request);
  }

  /** Takes the time of an acceptance. */
  committing<T>(commit: () => T): T {
    return this.latencies.timed('commit', commit);
  }

  /** The event has been accepted. */
  accepted(event: VigieEvent): void {
    this.latencies.committed(event);
    this.recent.add(event);
  }

  /** The broker has the message. */
  acknowledged(lane: Lane, seq: number): void {
    this.latencies.acknowledged(lane, seq);
  }
}
