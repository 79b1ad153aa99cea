/** What parts of the agent count, each where it counts, by the name under which the health report has it. */

/** A figure that also falls; a bare number only grows, from the start of the process on. */
export interface Gauge {
  readonly gauge: number;
}

export type Counters = Readonly<Record<string, number | Gauge>>;

/** Who counts. */
export interface Counting {
  readonly counters: Counters;
}

export const gauge = (value: number): Gauge => ({ gauge: value });
