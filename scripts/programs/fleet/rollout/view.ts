/** A rollout as people and programs look at it. */
import type { BoxRow, FleetStore } from '../store.ts';
import { type RolloutBoxRow, type RolloutRow, Rollouts, type WaveRow } from './rollouts.ts';
import { BOX_STATES, type BoxState, OPEN } from './waves.ts';

export interface WaveView {
  /** 0: the canaries. */
  readonly wave: number;
  readonly boxes: number;
  readonly states: Readonly<Record<BoxState, number>>;
  /** Sent for, and not connected. */
  readonly offline: number;
  /** Sent for and connected, and has said nothing since. */
  readonly mute: number;
  readonly began: string | null;
  /** When enough were confirmed. */
  readonly reached: string | null;
  readonly ended: string | null;
  /** What was loaded, as far as boxes have said so; by the way. */
  readonly bytes: { readonly delta: number; readonly full: number };
}

export interface RolloutView {
  readonly rollout: string;
  readonly kind: RolloutRow['kind'];
  readonly what: string;
  readonly state: RolloutRow['state'];
  readonly reason: string | null;
  readonly wave: number;
  readonly made: string;
  readonly who: string;
  readonly notAfter: string;
  /** When the next wave begins if nothing else happens; null: it waits for boxes, or there is none. */
  readonly nextWave: string | null;
  readonly waves: readonly WaveView[];
  /** Boxes of the present wave that are connected and not there yet. */
  readonly waitsFor: readonly string[];
  readonly boxes: readonly BoxView[];
}

export interface BoxView {
  readonly site: string;
  readonly box: string;
  readonly wave: number;
  readonly state: BoxState;
  readonly since: string;
  readonly phase: string;
  readonly reason: string | null;
  readonly online: boolean;
  readonly mute: boolean;
}

/** It has begun to load, or has. */
const LOADED: readonly BoxState[] = ['begun', 'switched', 'confirmed', 'rolled-back', 'failed'];
const HOUR_MS = 3_600_000;
const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

export function viewOf(store: FleetStore, row: RolloutRow): RolloutView {
  const rollouts = new Rollouts(store);
  const known = new Map(store.boxes().map((box) => [`${box.site}/${box.box}`, box]));
  const rows = rollouts.boxes(row.name);
  const boxes = rows.map((box) => boxView(box, known.get(`${box.site}/${box.box}`)));
  const waves = rollouts.waves(row.name).map((wave) => waveView(wave, rows, boxes));
  const { name, kind, what, state, reason, wave, made, who, not_after, reached, plan } = row;
  const soakHours = wave === 0 ? plan.canary.hours : (plan.waves[wave - 1]?.soakHours ?? 0);
  const isNext = state === 'running' && reached !== null && wave < plan.waves.length;
  return {
    ...{ rollout: name, kind, what, state, reason, wave, who },
    made: new Date(made).toISOString(),
    notAfter: new Date(not_after).toISOString(),
    nextWave: isNext ? time(reached + soakHours * HOUR_MS) : null,
    waves,
    waitsFor: boxes
      .filter((box) => box.wave === wave && box.online && OPEN.includes(box.state))
      .map((box) => `${box.site}/${box.box}`),
    boxes,
  };
}

function boxView(row: RolloutBoxRow, known: BoxRow | undefined): BoxView {
  const { site, box, wave, state, since, phase, reason, action } = row;
  const online = known?.state === 'online';
  const silent = (known?.reported ?? 0) < since;
  const mute = online && action !== null && state === 'ordered' && silent;
  return { site, box, wave, state, since: new Date(since).toISOString(), phase, reason, online, mute };
}

function waveView(
  { n, began, reached, ended }: WaveRow,
  rows: readonly RolloutBoxRow[],
  boxes: readonly BoxView[],
): WaveView {
  const mine = boxes.filter((box) => box.wave === n);
  const states = Object.fromEntries(
    BOX_STATES.map((state) => [state, mine.filter((box) => box.state === state).length]),
  ) as Record<BoxState, number>;
  const bytes = (way: 'delta' | 'full'): number =>
    rows
      .filter((row) => row.wave === n && row.way === way && LOADED.includes(row.state))
      .reduce((sum, row) => sum + (row.bytes ?? 0), 0);
  return {
    wave: n,
    boxes: mine.length,
    states,
    offline: mine.filter((box) => !box.online && OPEN.includes(box.state)).length,
    mute: mine.filter((box) => box.mute).length,
    began: time(began),
    reached: time(reached),
    ended: time(ended),
    bytes: { delta: bytes('delta'), full: bytes('full') },
  };
}
