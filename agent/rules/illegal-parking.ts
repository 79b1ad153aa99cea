/**
 * A vehicle stands in the zone for too long. The situation belongs to the place where it stands, which
 * vision follows through occlusion and changes of light, so that one parked car is one incident.
 */

import type { Observation } from '../contract/observation.ts';
import type { IllegalParking } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import type { Rule } from './rule.ts';

export class IllegalParkingRule implements Rule {
  readonly config: IllegalParking;

  constructor(config: IllegalParking) {
    this.config = config;
  }

  observe({ standing, atMs }: Observation): Situation[] {
    const { zone, classes, afterS } = this.config;
    const labels: readonly string[] = classes;
    return standing.flatMap(({ place, presence, vehicle }) => {
      const stoodMs = atMs - vehicle.firstMs;
      const inZone = vehicle.zones.some((z) => z.zone === zone);
      if (!inZone || !labels.includes(vehicle.label) || stoodMs < afterS * 1000) return [];
      const cause = { stoodS: Math.round(stoodMs / 100) / 10, presence };
      return [{ key: `place-${place}`, objects: [vehicle], cause, momentary: false }];
    });
  }
}
