/** Measurements of frames and events on their way through the agent, for a person at the box. */
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

  /** Starts measuring the rules for a frame. */
  evaluating(): Stopwatch {
    this.recent.frame();
    return this.latencies.begin('rules');
  }

  /** Records that vision was asked for these pictures. */
  recordRequests(requests: readonly EvidenceRequest[]): void {
    for (const { request } of requests) this.latencies.recordRequest(request);
  }

  /** Records that the picture, or the reason for its absence, has arrived. */
  answered(request: number): void {
    this.latencies.answered(request);
  }

  /** Starts measuring the acceptance of an event. */
  committing(): Stopwatch {
    return this.latencies.begin('commit');
  }

  /** Records that the event has been accepted. */
  accepted(event: VigieEvent): void {
    this.latencies.committed(event);
    this.recent.add(event);
  }

  /** Records that the broker has the message. */
  acknowledged(lane: Lane, seq: number): void {
    this.latencies.acknowledged(lane, seq);
  }
}
