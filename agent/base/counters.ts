/** Counters of the agent's parts, under their names in the health report. */

/** Value that can also fall. A bare number only grows from the start of the process. */
export interface Gauge {
  readonly gauge: number;
}

export type Counters = Readonly<Record<string, number | Gauge>>;

/** Part with counters. */
export interface Counting {
  readonly counters: Counters;
}

export const gauge = (value: number): Gauge => ({ gauge: value });
