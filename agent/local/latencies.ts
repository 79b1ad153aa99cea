/**
 * Measures the duration of the agent's own stages, and the age of an incident's start when the broker has it. Ends are
 * not measured: they are sent seconds later by design, because an absence must last.
 *
 * LIMITS: ASKED_MAX pending pictures and COMMITTED_MAX pending events; beyond them the oldest is forgotten, which only
 * costs a measurement.
 */
import type { Clock } from '../base/clock.ts';
import type { VigieEvent } from '../contract/event.ts';
import { Latency, type LatencyCounts, type Stopwatch } from '../contract/latency.ts';
import type { Lane } from '../contract/outbox.ts';

export const AGENT_STAGES = ['rules', 'snapshot', 'commit'] as const;
export type AgentStage = (typeof AGENT_STAGES)[number];

const ASKED_MAX = 256;
const COMMITTED_MAX = 4096;

export class Latencies {
  readonly #clock: Clock;
  readonly #stages: Readonly<Record<AgentStage, Latency>> = {
    rules: new Latency(),
    snapshot: new Latency(),
    commit: new Latency(),
  };
  readonly #puback = new Latency();
  readonly #askedMs = new Map<number, number>();
  /** Monotonic capture time of the frame of an event, by lane and number. */
  readonly #capturedMs = new Map<string, number>();
  /** Total of all stages so far. */
  #bookedMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get stages(): Record<AgentStage, LatencyCounts> {
    const { rules, snapshot, commit } = this.#stages;
    return { rules: rules.counts, snapshot: snapshot.counts, commit: commit.counts };
  }

  get puback(): LatencyCounts {
    return this.#puback.counts;
  }

  /** Starts to measure a stage; the time of nested stages is not counted in it. */
  begin(stage: AgentStage): Stopwatch {
    const beganMs = performance.now();
    const bookedMs = this.#bookedMs;
    return {
      stop: () => {
        const tookMs = performance.now() - beganMs;
        this.#stages[stage].observe(tookMs - (this.#bookedMs - bookedMs));
        this.#bookedMs = bookedMs + tookMs;
      },
    };
  }

  /** Records that vision was asked for this picture. */
  recordRequest(request: number): void {
    keep(this.#askedMs, request, this.#clock.nowMs(), ASKED_MAX);
  }

  /** Records that the picture, or the reason for its absence, has arrived. */
  answered(request: number): void {
    const sinceMs = this.#askedMs.get(request);
    if (sinceMs === undefined) return;
    this.#askedMs.delete(request);
    this.#stages.snapshot.observe(this.#clock.nowMs() - sinceMs);
  }

  /**
   * Records that the outbox has the event. The age of a start is taken from the wall clock now, and grows with the
   * monotonic clock.
   */
  committed({ time, sequence, data }: VigieEvent): void {
    if (data.phase !== 'start') return;
    const ageMs = this.#clock.wallMs() - Date.parse(time);
    const lane: Lane = data.severity === 'alert' ? 'alert' : 'bulk';
    keep(this.#capturedMs, `${lane}/${Number(sequence)}`, this.#clock.nowMs() - ageMs, COMMITTED_MAX);
  }

  /** Records that the broker has the message with this number. */
  acknowledged(lane: Lane, seq: number): void {
    const key = `${lane}/${seq}`;
    const capturedMs = this.#capturedMs.get(key);
    if (capturedMs === undefined) return;
    this.#capturedMs.delete(key);
    this.#puback.observe(this.#clock.nowMs() - capturedMs);
  }
}

function keep<K, V>(map: Map<K, V>, key: K, value: V, max: number): void {
  map.set(key, value);
  if (map.size <= max) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
