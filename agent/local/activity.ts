/** What is measured on the way of a frame and of an event through the agent, for a person at the box. */
import type { Clock } from '../base/clock.ts';
import type { VigieEvent } from '../contract/event.ts';
import type { Stopwatch } from '../contract/latency.ts';
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

  /** The rules begin to judge a frame. */
  judging(): Stopwatch {
    this.recent.frame();
    return this.latencies.begin('rules');
  }

  /** Vision was asked for these pictures. */
  asked(requests: readonly EvidenceRequest[]): void {
    for (const { request } of requests) this.latencies.asked(request);
  }

  /** The picture is there, or the reason why there is none. */
  answered(request: number): void {
    this.latencies.answered(request);
  }

  /** An acceptance begins. */
  committing(): Stopwatch {
    return this.latencies.begin('commit');
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
