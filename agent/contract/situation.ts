/** Situation that a rule reports for one frame. */
import type { Moment } from './event.ts';
import type { XyxyNorm } from './geometry.ts';
import type { ObservedTrack } from './observation.ts';

export interface Situation {
  /** Stable from frame to frame for the same subject. */
  readonly key: string;
  readonly objects: readonly ObservedTrack[];
  /** Values that explain the alert (seconds stayed, direction …); plain JSON. */
  readonly cause: Readonly<Record<string, unknown>>;
  /** Ends as soon as it has happened (a line was crossed), so start and end are sent together. */
  readonly momentary: boolean;
  /** Already present when analysis began or resumed. Its beginning was not observed, so it is not an alert. */
  readonly presentAtStart?: boolean;
  /** Boxes to outline in the snapshot, if they are not those of the objects. */
  readonly focus?: readonly XyxyNorm[];
  /** Earlier moments whose pictures belong to the start event. */
  readonly moments?: readonly { readonly moment: Exclude<Moment, 'snapshot'>; readonly atMs: number }[];
}
