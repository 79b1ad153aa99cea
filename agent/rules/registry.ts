/** Creates the rule object for a configured rule, active as its schedule says. */

import type { Config } from '../contract/config.ts';
import { GroundPlane } from '../contract/ground-plane.ts';
import type { Observation } from '../contract/observation.ts';
import type { RuleConfig } from '../contract/rule-config.ts';
import { Schedule, type ScheduleOptions } from '../contract/schedule.ts';
import type { Situation } from '../contract/situation.ts';
import { CrowdGatheringRule, type MeasureZone } from './crowd-gathering.ts';
import { GraffitiRule } from './graffiti.ts';
import { IllegalDumpingRule } from './illegal-dumping.ts';
import { IllegalParkingRule } from './illegal-parking.ts';
import { LineCrossingRule } from './line-crossing.ts';
import { LoiteringRule } from './loitering.ts';
import type { Rule } from './rule.ts';
import { VehicleInPedestrianZoneRule } from './vehicle-in-pedestrian-zone.ts';
import { WrongWayRule } from './wrong-way.ts';

/** Data that rules share: the site's calendar and, if known, its zones and ground. */
export type RuleSite = ScheduleOptions & Partial<Pick<Config, 'zones' | 'groundPlane'>>;

export function makeRule(config: RuleConfig, site: RuleSite): Rule {
  const rule = always(config, site);
  const schedule =
    'schedule' in config && config.schedule !== undefined ? new Schedule(config.schedule, site) : undefined;
  const scoreMin = 'scoreMin' in config ? (config.scoreMin ?? 0) : 0;
  const isSureEnough = ({ objects }: Situation): boolean =>
    objects.some(({ bestScore }) => bestScore >= scoreMin);
  return {
    config,
    get dwells() {
      return rule.dwells ?? [];
    },
    resume: (dwells) => rule.resume?.(dwells),
    // The rule keeps observing while it is off, so that an object present since the night already has its age in the
    // morning.
    observe: (observation) => {
      const all = rule.observe(withoutFalsePositives(observation));
      const situations = scoreMin === 0 ? all : all.filter(isSureEnough);
      return schedule === undefined || schedule.isOn(observation.wallMs) ? situations : [];
    },
  };
}

/** Removes static false positives from an observation; no rule uses them. */
function withoutFalsePositives(observation: Observation): Observation {
  const { tracks } = observation;
  if (!tracks.some(({ furniture: isFalsePositive }) => isFalsePositive)) return observation;
  return { ...observation, tracks: tracks.filter(({ furniture: isFalsePositive }) => !isFalsePositive) };
}

function always(config: RuleConfig, site: RuleSite): Rule {
  switch (config.kind) {
    case 'vehicle-in-pedestrian-zone':
      return new VehicleInPedestrianZoneRule(config);
    case 'loitering':
      return new LoiteringRule(config);
    case 'line-crossing':
      return new LineCrossingRule(config);
    case 'wrong-way':
      return new WrongWayRule(config);
    case 'illegal-parking':
      return new IllegalParkingRule(config);
    case 'crowd-gathering':
      return new CrowdGatheringRule(config, measureOf(config.zone, site));
    case 'illegal-dumping':
      return new IllegalDumpingRule(config);
    case 'graffiti':
      return new GraffitiRule(config);
  }
}

/** Returns a function for the size of a zone on the ground, if the site's ground is known. */
function measureOf(zone: string, { zones, groundPlane }: RuleSite): MeasureZone | undefined {
  const polygon = zones?.find(({ id }) => id === zone)?.polygon;
  if (polygon === undefined || groundPlane === undefined) return undefined;
  const ground = new GroundPlane(groundPlane);
  return (source) => ground.areaM2(polygon, source);
}
