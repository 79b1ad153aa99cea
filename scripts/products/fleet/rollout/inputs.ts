/** Builds the input of a step of the waves from the stored rows. */
import type { FleetStore } from '../store.ts';
import type { RolloutBoxRow, RolloutRow } from './rollouts.ts';
import type { Rollout, RolloutBox } from './states.ts';

const HOUR_MS = 3_600_000;

/** Returns a box as a step of the rollout needs it. */
export function boxNow(
  { site, box, wave, state, state_at: sinceMs, action, silence_ms }: RolloutBoxRow,
  store: FleetStore,
  now: Pick<RolloutBox, 'online' | 'heardMs' | 'goneMs' | 'progress' | 'isSkipped'> & {
    readonly nowMs: number;
  },
): RolloutBox {
  const { nowMs, ...rest } = now;
  // Read for few boxes only: a large fleet has thousands that are connected and not ordered yet.
  const silenceMs = silence_ms ?? (now.online ? 0 : store.links.longestSilenceMs(site, box, nowMs));
  return { id: `${site}/${box}`, wave, state, action, sinceMs, silenceMs, ...rest };
}

export function rolloutOf(row: RolloutRow): Rollout {
  const { state, wave, accepted, request, reason, plan } = row;
  const hours = [plan.canary.hours, ...plan.waves.map(({ soakHours }) => soakHours)];
  return {
    state,
    sinceMs: row.state_at,
    madeMs: row.created_at,
    window: plan.window,
    wave,
    reachedMs: row.reached_at,
    soakMs: hours.map((hour) => hour * HOUR_MS),
    notAfterMs: row.not_after,
    thresholds: plan.thresholds,
    accepted,
    request,
    reason,
  };
}
