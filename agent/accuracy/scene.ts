/** What a technician must do in the street to set a rule off, how long that takes, and how to clear up. */
import type { RuleConfig } from '../contract/rule-config.ts';

export interface Scene {
  /** "stay in zone x …", without a full stop. */
  readonly act: string;
  /** What ends the incident, so that the next pass raises a new one; absent where it ends by itself. */
  readonly clear?: string;
  /** Seconds from the start of the scene to the alert, at least. */
  readonly needS: number;
}

/** Way back that wrong-way.ts judges a drive by, s. */
const DRIVE_S = 5;
/** Three time constants of the count's smoothing in crowd-gathering.ts, s. */
const CROWD_SETTLES_S = 12;

export function sceneOf(rule: RuleConfig): Scene {
  switch (rule.kind) {
    case 'vehicle-in-pedestrian-zone':
      return {
        act: `drive ${oneOf(rule.classes)} into zone ${rule.zone} and stay in it for at least ${seconds(rule.afterS)}`,
        clear: `leave zone ${rule.zone}`,
        needS: rule.afterS,
      };
    case 'illegal-parking':
      return {
        act: `park ${oneOf(rule.classes)} in zone ${rule.zone} and do not move it for at least ${seconds(rule.afterS)}`,
        clear: `drive out of zone ${rule.zone}`,
        needS: rule.afterS,
      };
    case 'wrong-way':
      return {
        act: `drive ${oneOf(rule.classes)} through zone ${rule.zone} the wrong way, in the picture ${heading(rule.directionDeg + 180)}, over at least ${Math.round(rule.minTravel * 100)} % of the picture’s height`,
        clear: `leave zone ${rule.zone}`,
        needS: DRIVE_S,
      };
    case 'line-crossing':
      return {
        act: `cross line ${rule.line} as ${oneOf(rule.classes)}${side(rule.direction)}`,
        needS: 0,
      };
    case 'loitering':
      return {
        act: `stay in zone ${rule.zone} as ${oneOf(rule.classes)} for at least ${seconds(rule.afterS)}`,
        clear: `leave zone ${rule.zone}`,
        needS: rule.afterS,
      };
    case 'crowd-gathering':
      return {
        act: `stand in zone ${rule.zone} with ${rule.minCount} people, without walking about, for at least ${seconds(rule.afterS + CROWD_SETTLES_S)}`,
        clear: `walk apart, out of zone ${rule.zone}`,
        needS: rule.afterS + CROWD_SETTLES_S,
      };
    case 'illegal-dumping':
      return {
        act: `put a thing of at least ${percent(rule.minAreaNorm)} of the picture down in zone ${rule.zone}, walk away and leave it for at least ${seconds(rule.afterS)}`,
        clear: 'take the thing away',
        needS: rule.afterS,
      };
    case 'graffiti':
      return {
        act: `stand beside wall ${rule.zone} for at least ${seconds(rule.dwellS)}, stick a large sheet of paper on it, walk away and leave it for at least ${seconds(rule.persistS)}`,
        clear: 'take the paper off the wall',
        needS: rule.dwellS + rule.persistS,
      };
  }
}

function seconds(s: number): string {
  return `${s} s`;
}

/** 0.0005 → "0.05 %". */
function percent(share: number): string {
  return `${Number((share * 100).toPrecision(2))} %`;
}

function oneOf(labels: readonly string[]): string {
  const last = labels.at(-1) ?? '';
  const all = labels.length > 1 ? `${labels.slice(0, -1).join(', ')} or ${last}` : last;
  return `a ${all}`;
}

function side(direction: 'both' | 'left' | 'right'): string {
  return direction === 'both'
    ? ', either way'
    : `, from its ${direction === 'left' ? 'right' : 'left'} to its ${direction} (looking from the end \`from\` to the end \`to\`)`;
}

/** Counter-clockwise from the right, as the configuration counts. */
function heading(deg: number): string {
  const words = [
    'to the right',
    'up to the right',
    'up',
    'up to the left',
    'to the left',
    'down to the left',
    'down',
    'down to the right',
  ];
  return words[Math.round((((deg % 360) + 360) % 360) / 45) % 8] ?? '';
}
