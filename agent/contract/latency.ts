/** How long things took, counted by size: small enough to travel with every report, and to be added up. */
import { type Static, Type } from '@sinclair/typebox';

/** Upper ends of the classes, ms: from a stage of a frame to an alert that waited for the broker. */
export const LATENCY_BOUNDS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000] as const;

export const LatencyCounts = Type.Object(
  {
    /** One count for each bound, each without the smaller ones, and last what is beyond all bounds. */
    counts: Type.Array(Type.Integer({ minimum: 0 }), {
      minItems: LATENCY_BOUNDS_MS.length + 1,
      maxItems: LATENCY_BOUNDS_MS.length + 1,
    }),
    sumMs: Type.Number({ minimum: 0 }),
  },
  { additionalProperties: false },
);
export type LatencyCounts = Static<typeof LatencyCounts>;

/** Counts since it was made. */
export class Latency {
  readonly #counts: number[] = Array.from({ length: LATENCY_BOUNDS_MS.length + 1 }, () => 0);
  #sumMs = 0;

  get counts(): LatencyCounts {
    return { counts: [...this.#counts], sumMs: this.#sumMs };
  }

  observe(ms: number): void {
    const found = LATENCY_BOUNDS_MS.findIndex((bound) => ms <= bound);
    const index = found === -1 ? LATENCY_BOUNDS_MS.length : found;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sumMs += Math.max(0, ms);
  }
}

/** Measures one run of a stage, through `stop`. */
export interface Stopwatch {
  stop(): void;
}
