/** What goes wrong with a simulated box. */

/** Phases in which a release may take a box off the network. */
export const VANISHING = ['downloading', 'switching', 'probation', 'confirmed'] as const;

export interface Fate {
  /** `mute`: connected, and says nothing more after its first report. */
  readonly ends: 'confirmed' | 'rolled-back' | 'failed' | 'mute';
  /** ms after the start; null: it is there all the time, or never comes back (`away`). */
  readonly backAfterMs: number | null;
  /** Not connected from the start on. */
  readonly away: boolean;
  /** It is lost for good, that long after it has reported the phase. */
  readonly vanishes?: { readonly at: (typeof VANISHING)[number]; readonly afterMs: number } | undefined;
  /** Hours of the day, UTC, between which it has no power. */
  readonly dark?: { readonly fromHour: number; readonly toHour: number } | undefined;
}
