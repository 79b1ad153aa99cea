/**
 * Fitness of the camera, from vision's reports on its condition. Determines which conditions begin and end, whether the
 * rules may use the picture, and how long they could not. This time includes a lost stream and unavailable vision.
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

/** Start or end of a period without visibility in a zone. */
export interface ZoneChange {
  readonly zone: string;
  readonly blind: boolean;
}

export class CameraFitness {
  #blindZones: readonly string[] = [];
  readonly #zonesMs = new Map<string, number>();
  readonly #activeKinds = new Set<CameraCondition>();
  readonly #beginCounts = new Map<CameraCondition, number>();
  readonly #activeMs = new Map<CameraCondition, number>();
  #atMs: number | undefined;
  #blindMs = 0;
  #blindSinceMs: number | undefined;

  /**
   * Reports whether the picture contains no information about the zones, so that no rule may use it. A blurred picture
   * is still usable.
   */
  get blind(): boolean {
    for (const kind of this.#activeKinds) if (isBlinding(kind)) return true;
    return false;
  }

  /** Zones without visibility while the camera is not blind. */
  get blindZones(): readonly string[] {
    return this.#blindZones;
  }

  /** Active conditions that degrade the picture. */
  get degraded(): DegradingCondition[] {
    return DEGRADING.filter((kind) => this.#activeKinds.has(kind));
  }

  /** Sets whether the zones are visible from a monotonic time on. */
  sees(seeing: boolean, nowMs: number): void {
    if (this.#blindSinceMs !== undefined) this.#blindMs += nowMs - this.#blindSinceMs;
    this.#blindSinceMs = seeing ? undefined : nowMs;
  }

  /** Returns the seconds without sight of the zones, up to `nowMs`. */
  blindS(nowMs: number): number {
    return Math.round((this.#blindMs + nowMs - (this.#blindSinceMs ?? nowMs)) / 1000);
  }

  /**
   * Number of times each condition began, and its total duration in seconds. Each zone that was blind on its own has
   * its duration in seconds.
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
          [name, this.#beginCounts.get(kind) ?? 0],
          [`${name}_s`, Math.round((this.#activeMs.get(kind) ?? 0) / 1000)],
        ];
      }),
    ]);
  }

  /** Processes the zones of the next observation, before `update`. Returns which become blind or visible. */
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

  /** Processes the next observation. Returns the conditions that begin and end with it, ends first. */
  update({ camera = [], atMs }: Pick<Observation, 'camera' | 'atMs'>): CameraChange[] {
    // A larger gap between two observations means a lost stream, which is another condition.
    const stepMs = Math.min(HOLD_MS, atMs - (this.#atMs ?? atMs));
    this.#atMs = atMs;
    if (this.#activeKinds.size === 0 && camera.length === 0) return [];
    for (const kind of this.#activeKinds) this.#activeMs.set(kind, (this.#activeMs.get(kind) ?? 0) + stepMs);
    const endedKinds = [...this.#activeKinds].filter((kind) => !camera.includes(kind));
    const newKinds = camera.filter((kind) => !this.#activeKinds.has(kind));
    for (const kind of endedKinds) this.#activeKinds.delete(kind);
    for (const kind of newKinds) {
      this.#activeKinds.add(kind);
      this.#beginCounts.set(kind, (this.#beginCounts.get(kind) ?? 0) + 1);
    }
    return [
      ...endedKinds.map((kind) => ({ kind, active: false })),
      ...newKinds.map((kind) => ({ kind, active: true })),
    ];
  }
}
