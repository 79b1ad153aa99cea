/**
 * How long the agent's own stages take, and how old an incident's start is when the broker has it. (Its end is told
 * seconds later by design: an absence must last to be one.)
 *
 * LIMITS: ASKED_MAX pictures and COMMITTED_MAX events are waited for; beyond them the oldest is forgotten,
 * which costs a measurement and nothing else.
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
  /** When the frame of an event was captured, monotonic, by lane and number. */
  readonly #capturedMs = new Map<string, number>();
  /** Of all stages so far. */
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

  /** Starts to measure a stage; what stages within it take is not booked to it. */
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

  /** Vision was asked for this picture. */
  asked(request: number): void {
    keep(this.#askedMs, request, this.#clock.nowMs(), ASKED_MAX);
  }

  /** The picture is there, or the reason why there is none. */
  answered(request: number): void {
    const sinceMs = this.#askedMs.get(request);
    if (sinceMs === undefined) return;
    this.#askedMs.delete(request);
    this.#stages.snapshot.observe(this.#clock.nowMs() - sinceMs);
  }

  /** The outbox has the event. The age of a start is taken by the wall clock now, and grows by the monotonic one. */
  committed({ time, sequence, data }: VigieEvent): void {
    if (data.phase !== 'start') return;
    const ageMs = this.#clock.wallMs() - Date.parse(time);
    const lane: Lane = data.severity === 'alert' ? 'alert' : 'bulk';
    keep(this.#capturedMs, `${lane}/${Number(sequence)}`, this.#clock.nowMs() - ageMs, COMMITTED_MAX);
  }

  /** The broker has the message with this number. */
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
