/**
 * What the agent makes of vision's word on the camera's condition: which begin and end, whether the rules may
 * judge by the picture, and for how long they could not: with the stream lost or vision away as well.
 */

import type { Counters } from '../base/counters.ts';
import {
  CAMERA_CONDITIONS,
  type CameraCondition,
  DEGRADING,
  type DegradingCondition,
  isBlinding,
} from '../contract/condition.ts';
import type { Observation } from '../contract/observation.ts';
import { HOLD_MS } from './lifecycle.ts';

export interface CameraChange {
  readonly kind: CameraCondition;
  readonly active: boolean;
}

/** A zone in which nothing can be seen from now on, or again. */
export interface ZoneChange {
  readonly zone: string;
  readonly blind: boolean;
}

export class CameraFitness {
  #blindZones: readonly string[] = [];
  readonly #zonesMs = new Map<string, number>();
  readonly #standing = new Set<CameraCondition>();
  readonly #begun = new Map<CameraCondition, number>();
  readonly #stoodMs = new Map<CameraCondition, number>();
  #atMs: number | undefined;
  #blindMs = 0;
  #blindSinceMs: number | undefined;

  /** No rule may judge by what is seen: the picture says nothing of the zones. A blurred one still does. */
  get blind(): boolean {
    for (const kind of this.#standing) if (isBlinding(kind)) return true;
    return false;
  }

  /** Zones in which nothing can be seen, though the camera is not blind. */
  get blindZones(): readonly string[] {
    return this.#blindZones;
  }

  /** What is seen is seen badly. */
  get degraded(): DegradingCondition[] {
    return DEGRADING.filter((kind) => this.#standing.has(kind));
  }

  /** The zones can be seen from now on, or not; at a monotonic time. */
  sees(seeing: boolean, nowMs: number): void {
    if (this.#blindSinceMs !== undefined) this.#blindMs += nowMs - this.#blindSinceMs;
    this.#blindSinceMs = seeing ? undefined : nowMs;
  }

  /** Seconds without sight of the zones, up to `nowMs`. */
  blindS(nowMs: number): number {
    return Math.round((this.#blindMs + nowMs - (this.#blindSinceMs ?? nowMs)) / 1000);
  }

  /**
   * For each condition: how often it began, and for how many seconds it stood; for each zone that was blind by itself,
   * how many seconds.
   */
  get counters(): Counters {
    const zones = [...this.#zonesMs].map(([zone, ms]) => [
      `blind_s_${zone.replaceAll('-', '_')}`,
      Math.round(ms / 1000),
    ]);
    return Object.fromEntries([
      ...zones,
      ...CAMERA_CONDITIONS.flatMap((kind) => {
        const name = `camera_${kind.replaceAll('-', '_')}`;
        return [
          [name, this.#begun.get(kind) ?? 0],
          [`${name}_s`, Math.round((this.#stoodMs.get(kind) ?? 0) / 1000)],
        ];
      }),
    ]);
  }

  /** Takes the zones of the next observation before `update` does; returns which are blind from now on, or see again. */
  updateZones({ blindZones = [], atMs }: Pick<Observation, 'blindZones' | 'atMs'>): ZoneChange[] {
    const before = this.#blindZones;
    if (before.length === 0 && blindZones.length === 0) return [];
    const stepMs = Math.min(HOLD_MS, atMs - (this.#atMs ?? atMs));
    for (const zone of before) this.#zonesMs.set(zone, (this.#zonesMs.get(zone) ?? 0) + stepMs);
    this.#blindZones = blindZones;
    return [
      ...before.filter((zone) => !blindZones.includes(zone)).map((zone) => ({ zone, blind: false })),
      ...blindZones.filter((zone) => !before.includes(zone)).map((zone) => ({ zone, blind: true })),
    ];
  }

  /** Takes the next observation; returns what begins and ends with it, ends first. */
  update({ camera = [], atMs }: Pick<Observation, 'camera' | 'atMs'>): CameraChange[] {
    // Between two observations further apart the stream was away, which is another condition.
    const stepMs = Math.min(HOLD_MS, atMs - (this.#atMs ?? atMs));
    this.#atMs = atMs;
    if (this.#standing.size === 0 && camera.length === 0) return [];
    for (const kind of this.#standing) this.#stoodMs.set(kind, (this.#stoodMs.get(kind) ?? 0) + stepMs);
    const ended = [...this.#standing].filter((kind) => !camera.includes(kind));
    const begun = camera.filter((kind) => !this.#standing.has(kind));
    for (const kind of ended) this.#standing.delete(kind);
    for (const kind of begun) {
      this.#standing.add(kind);
      this.#begun.set(kind, (this.#begun.get(kind) ?? 0) + 1);
    }
    return [
      ...ended.map((kind) => ({ kind, active: false })),
      ...begun.map((kind) => ({ kind, active: true })),
    ];
  }
}
