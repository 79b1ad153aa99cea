/** Latency histogram, small enough to travel with every report and to be summed. */
import { type Static, Type } from '@sinclair/typebox';

/** Upper bounds of the buckets in ms, from one stage of a frame to an alert that waited for the broker. */
export const LATENCY_BOUNDS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000] as const;

export const LatencyCounts = Type.Object(
  {
    /** One count for each bucket, not cumulative. The last one is for values above all bounds. */
    counts: Type.Array(Type.Integer({ minimum: 0 }), {
      minItems: LATENCY_BOUNDS_MS.length + 1,
      maxItems: LATENCY_BOUNDS_MS.length + 1,
    }),
    sumMs: Type.Number({ minimum: 0 }),
  },
  { additionalProperties: false },
);
export type LatencyCounts = Static<typeof LatencyCounts>;

/** Histogram since its construction. */
export class Latency {
  readonly #counts: number[] = Array.from({ length: LATENCY_BOUNDS_MS.length + 1 }, () => 0);
  #sumMs = 0;

  get counts(): LatencyCounts {
    return { counts: [...this.#counts], sumMs: this.#sumMs };
  }

  observe(ms: number): void {
    const boundIndex = LATENCY_BOUNDS_MS.findIndex((bound) => ms <= bound);
    const index = boundIndex === -1 ? LATENCY_BOUNDS_MS.length : boundIndex;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sumMs += Math.max(0, ms);
  }
}

/** Measures one run of a stage, until `stop`. */
export interface Stopwatch {
  stop(): void;
}
