/** View of a rollout for people and programs. */
import type { BoxRow, FleetStore } from '../store.ts';
import { boxNow, rolloutOf } from './inputs.ts';
import { linkOf } from './knowledge.ts';
import { progressOf } from './progress.ts';
import { type RolloutBoxRow, type RolloutRow, Rollouts, targetOf, type WaveRow } from './rollouts.ts';
import { stalledAt } from './stall.ts';
import { BOX_STATES, type BoxState, OPEN, type Waits } from './states.ts';
import { step } from './waves.ts';

export interface WaveView {
  /** 0 is the wave of the canaries. */
  readonly wave: number;
  readonly boxes: number;
  readonly states: Readonly<Record<BoxState, number>>;
  /** Number of boxes that were ordered and are not connected. */
  readonly offline: number;
  /** Number of boxes that were ordered and are connected, and have sent nothing since. */
  readonly mute: number;
  /** Number of boxes that have begun, are not connected, and were not heard for the plan's `silentHours`. */
  readonly silent: number;
  readonly beganAt: string | null;
  /** Time at which enough boxes were confirmed. */
  readonly reachedAt: string | null;
  readonly endedAt: string | null;
  /** Downloaded bytes by type, as far as boxes have reported. */
  readonly bytes: { readonly delta: number; readonly full: number };
}

export interface RolloutView {
  readonly rollout: string;
  readonly kind: RolloutRow['kind'];
  readonly description: string;
  readonly state: RolloutRow['state'];
  readonly reason: string | null;
  readonly wave: number;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly notAfter: string;
  /** Beginning of the next wave without further events; null if it waits for boxes, or if there is none. */
  readonly nextWave: string | null;
  readonly waves: readonly WaveView[];
  /** One line about the boxes for which the wave waits, or the reason of the state; null without either. */
  readonly explanation: string | null;
  /** Null if it waits only for time to pass, or for nothing. */
  readonly stuck: Stuck | null;
  /** Limit of the plan: without progress for longer, a wave halts. */
  readonly stuckHours: number;
  readonly boxes: readonly BoxView[];
}

/** State of a wave that waits for boxes. */
export interface Stuck {
  /** Time of the last change in it. */
  readonly lastChangeAt: string;
  /** Time at which the rollout halts; days without a window are not counted. */
  readonly haltsAt: string;
  /** True if more than an ordinary night and day have passed, so that a person should check. */
  readonly isAlarm: boolean;
}

export interface BoxView {
  readonly site: string;
  readonly box: string;
  readonly wave: number;
  readonly state: BoxState;
  readonly stateSince: string;
  readonly phase: string;
  readonly reason: string | null;
  readonly online: boolean;
  readonly mute: boolean;
  readonly silent: boolean;
}

/** States of boxes that have begun or finished the download. */
const LOADED: readonly BoxState[] = ['begun', 'switched', 'confirmed', 'rolled-back', 'failed'];
const HOUR_MS = 3_600_000;
/**
 * Ratio of the limit below which the remaining time is an alarm. Of 48 h this is 19 h: more than a day has passed, and
 * with it a night's window.
 */
const ALARM_RATIO = 0.4;
const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

export function viewOf(store: FleetStore, row: RolloutRow, nowMs: number): RolloutView {
  const rollouts = new Rollouts(store);
  const boxRows = new Map(store.boxes().map((box) => [`${box.site}/${box.box}`, box]));
  const rows = rollouts.boxes(row.name);
  const skipped = rollouts.skipped(row.name);
  const now = rows.map((box) => {
    const id = `${box.site}/${box.box}`;
    const boxRow = boxRows.get(id);
    return boxNow(box, store, {
      ...linkOf(boxRow, nowMs),
      progress: progressOf(boxRow?.report, targetOf(row, box)).progress,
      isSkipped: skipped.has(id),
      nowMs,
    });
  });
  // Computes the step that `run` would take; writes and sends nothing.
  const { waits, explanation, silent } = step({ ...rolloutOf(row), request: null }, now, nowMs);
  const silence = new Set(silent);
  const boxes = rows.map((box) => {
    const id = `${box.site}/${box.box}`;
    const reason = skipped.get(id) ?? box.reason;
    return boxView({ ...box, reason }, boxRows.get(id), silence);
  });
  const waves = rollouts.waves(row.name).map((wave) => waveView(wave, rows, boxes));
  const {
    name,
    kind,
    description,
    state,
    reason,
    wave,
    created_at,
    created_by,
    not_after,
    reached_at,
    plan,
  } = row;
  const soakHours = wave === 0 ? plan.canary.hours : (plan.waves[wave - 1]?.soakHours ?? 0);
  const isNext = state === 'running' && reached_at !== null && wave < plan.waves.length;
  return {
    rollout: name,
    kind,
    description,
    state,
    reason,
    wave,
    createdBy: created_by,
    createdAt: new Date(created_at).toISOString(),
    notAfter: new Date(not_after).toISOString(),
    nextWave: isNext ? time(reached_at + soakHours * HOUR_MS) : null,
    waves,
    explanation,
    stuck: waits && stuckOf(waits, plan, nowMs),
    stuckHours: plan.thresholds.stuckHours,
    boxes,
  };
}

function stuckOf({ sinceMs }: Waits, { window, thresholds }: RolloutRow['plan'], nowMs: number): Stuck {
  const limitMs = thresholds.stuckHours * HOUR_MS;
  const haltsMs = stalledAt(window, sinceMs, limitMs);
  return {
    lastChangeAt: new Date(sinceMs).toISOString(),
    haltsAt: new Date(haltsMs).toISOString(),
    isAlarm: haltsMs - nowMs < ALARM_RATIO * limitMs,
  };
}

function boxView(row: RolloutBoxRow, boxRow: BoxRow | undefined, silence: ReadonlySet<string>): BoxView {
  const { site, box, wave, state, state_at: sinceMs, phase, reason, action } = row;
  const online = boxRow?.state === 'online';
  const saysNothing = (boxRow?.reported_at ?? 0) < sinceMs;
  const mute = online && action !== null && state === 'ordered' && saysNothing;
  const silent = silence.has(`${site}/${box}`);
  return {
    site,
    box,
    wave,
    state,
    stateSince: new Date(sinceMs).toISOString(),
    phase,
    reason,
    online,
    mute,
    silent,
  };
}

function waveView(
  { n, began_at: beganMs, reached_at: reachedMs, ended_at: endedMs }: WaveRow,
  rows: readonly RolloutBoxRow[],
  boxes: readonly BoxView[],
): WaveView {
  const waveBoxes = boxes.filter((box) => box.wave === n);
  const states = Object.fromEntries(
    BOX_STATES.map((state) => [state, waveBoxes.filter((box) => box.state === state).length]),
  ) as Record<BoxState, number>;
  const bytes = (way: 'delta' | 'full'): number =>
    rows
      .filter((row) => row.wave === n && row.way === way && LOADED.includes(row.state))
      .reduce((sum, row) => sum + (row.bytes ?? 0), 0);
  return {
    wave: n,
    boxes: waveBoxes.length,
    states,
    offline: waveBoxes.filter((box) => !box.online && OPEN.includes(box.state)).length,
    mute: waveBoxes.filter((box) => box.mute).length,
    silent: waveBoxes.filter((box) => box.silent).length,
    beganAt: time(beganMs),
    reachedAt: time(reachedMs),
    endedAt: time(endedMs),
    bytes: { delta: bytes('delta'), full: bytes('full') },
  };
}
