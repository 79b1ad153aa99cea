/** What a rule says of one frame: what is going on now, as far as it is concerned. */
import type { Moment } from './event.ts';
import type { XyxyNorm } from './geometry.ts';
import type { ObservedTrack } from './observation.ts';

export interface Situation {
  /** The same from frame to frame while it is the same thing. */
  readonly key: string;
  readonly objects: readonly ObservedTrack[];
  /** Figures that explain the alert (seconds stayed, direction …); plain JSON. */
  readonly cause: Readonly<Record<string, unknown>>;
  /** Over as soon as it has happened (a line was crossed): start and end come together. */
  readonly momentary: boolean;
  /** It stood there when the box began to look, or to look again: nobody saw how it began, and it is no alert. */
  readonly presentAtStart?: boolean;
  /** What to outline in the snapshot, where that is not the objects. */
  readonly focus?: readonly XyxyNorm[];
  /** Earlier moments of which a picture belongs to the start. */
  readonly moments?: readonly { readonly moment: Exclude<Moment, 'snapshot'>; readonly atMs: number }[];
}
