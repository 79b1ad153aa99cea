/** Faults of a simulated box. */

/** Phases in which a release may take a box off the network. */
export const VANISHING = ['downloading', 'switching', 'probation', 'confirmed'] as const;

export interface Fate {
  /** `mute`: connected, but silent after its first report. */
  readonly ends: 'confirmed' | 'rolled-back' | 'failed' | 'mute';
  /** Delay until it returns, ms after the start. Null: it is always connected, or with `startsOffline` never returns. */
  readonly backAfterMs: number | null;
  /** True if it is offline from the start. */
  readonly startsOffline: boolean;
  /** Lost for good, with this delay after it has reported the phase. */
  readonly vanishes?: { readonly at: (typeof VANISHING)[number]; readonly afterMs: number } | undefined;
  /** Hours of the day, UTC, without power. */
  readonly dark?: { readonly fromHour: number; readonly toHour: number } | undefined;
}
