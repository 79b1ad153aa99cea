/**
 * Warnings about settings that are valid but cannot work, or not as intended. Reported by `vigie check` and at the
 * start of the agent.
 */
import { statSync } from 'node:fs';
import type { Config, ZoneConfig } from '../contract/config.ts';
import { wantedElement } from '../contract/detector-backend.ts';
import type { PointNorm } from '../contract/geometry.ts';
import { GroundPlane } from '../contract/ground-plane.ts';
import { areaNorm, covers } from '../contract/polygon.ts';
import type { RuleConfig, RuleKind } from '../contract/rule-config.ts';
import { onlySizeOf } from './files.ts';
import type { ValidationError } from './shape.ts';

/** Minimum number of analysed frames in a dwell. With fewer, one missed detection decides. */
const DWELL_FRAMES_MIN = 3;
const DWELL_KEYS = ['afterS', 'dwellS'] as const;

/** Area of one cell of the detector's finest grid, in px² of the input: NanoDet's stride is 8. */
const ZONE_AREA_INPUT_PX_MIN = 8 * 8;

/**
 * Minimum height of a person in input pixels: two of those cells. Smaller people are rarely detected (the head alone is
 * a quarter of the height), and no rule works without a detection.
 */
const PERSON_INPUT_PX_MIN = 2 * 8;

type Warning = Omit<ValidationError, 'at'>;

/**
 * Returns all warnings. `file` is the path of the configuration, or undefined if its mode is irrelevant. `modelDir` is
 * the folder of the cards.
 */
export function findWarnings(config: Config, file: string | undefined, modelDir: string): ValidationError[] {
  const warnings: Warning[] = [
    ...noRules(config),
    ...shortDwells(config),
    ...tinyZones(config),
    ...farZones(config),
    ...blindPlaces(config),
    ...unusedPlaces(config),
    ...absentHolidays(config),
    ...otherSizes(config, modelDir),
    ...idleCertificates(config),
    ...openPassword(config, file),
  ];
  return warnings.map((warning) => ({ ...warning, at: 'value' }));
}

/** Warns of an empty list of rules for a run. A replay without rules still detects and tracks. */
function noRules({ camera, mqtt, rules }: Config): Warning[] {
  if (camera === undefined || mqtt === undefined || rules.length > 0) return [];
  const message = 'is empty: the box would watch nothing; name at least one rule';
  return [{ path: ['rules'], found: null, message }];
}

function shortDwells({ camera, rules }: Config): Warning[] {
  if (camera === undefined) return [];
  const leastS = DWELL_FRAMES_MIN / camera.fps;
  return rules.flatMap((rule, index) =>
    DWELL_KEYS.flatMap((key) => {
      const dwellS: unknown = Reflect.get(rule, key);
      if (typeof dwellS !== 'number' || dwellS >= leastS) return [];
      const message = `shorter than ${DWELL_FRAMES_MIN} analysed frames at ${camera.fps} fps; use ${round(leastS)} or more, or raise camera.fps`;
      return [{ path: ['rules', index, key], found: String(dwellS), message }];
    }),
  );
}

function tinyZones({ zones, detector }: Config): Warning[] {
  const [widthPx, heightPx] = detector.input;
  return zones.flatMap(({ polygon }, index) => {
    const areaPx = areaNorm(polygon) * widthPx * heightPx;
    if (areaPx >= ZONE_AREA_INPUT_PX_MIN) return [];
    const message = `only ${round(areaPx)} px² of the detector's ${widthPx}×${heightPx} input, less than one of its cells (8×8); draw it larger or raise detector.input`;
    return [{ path: ['zones', index, 'polygon'], found: null, message }];
  });
}

/**
 * Surface on which the place of a rule is drawn. The corners of a wall contain no information about the ground on which
 * people are.
 */
const LIES_ON: Readonly<Record<RuleKind, 'ground' | 'wall'>> = {
  'vehicle-in-pedestrian-zone': 'ground',
  loitering: 'ground',
  'line-crossing': 'ground',
  'wrong-way': 'ground',
  'crowd-gathering': 'ground',
  'illegal-dumping': 'ground',
  graffiti: 'wall',
  'illegal-parking': 'ground',
};

/** Finds zones in which people appear too small for the detector's input, if the ground plane is known. */
function farZones({ zones, rules, detector, groundPlane }: Config): Warning[] {
  if (groundPlane === undefined) return [];
  const grounds = new Set(rules.flatMap((rule) => (LIES_ON[rule.kind] === 'wall' ? [] : placesOf(rule))));
  const ground = new GroundPlane(groundPlane);
  // The letterboxed picture fills at most the input's height.
  const tallPx = (y: number): number => ground.personHeightNorm(y) * detector.input[1];
  return zones.flatMap(({ id, polygon }, index) => {
    if (!grounds.has(`zones/${id}`)) return [];
    const depths = polygon.map(([, y]) => y);
    const [farPx, nearPx] = [tallPx(Math.min(...depths)), tallPx(Math.max(...depths))];
    if (farPx >= PERSON_INPUT_PX_MIN) return [];
    const [side, px] = nearPx < PERSON_INPUT_PX_MIN ? ['near', nearPx] : ['far', farPx];
    const message = `too far for the detector's ${detector.input.join('×')} input: at its ${side} side a person is ${round(px)} px tall, and ${PERSON_INPUT_PX_MIN} px are needed; raise detector.input or draw it nearer`;
    return [{ path: ['zones', index, 'polygon'], found: null, message }];
  });
}

/** Finds zones and lines under a privacy mask. A mask is black before detection, so they observe nothing. */
function blindPlaces({ zones, lines, masks }: Config): Warning[] {
  const places: { path: ValidationError['path']; points: readonly PointNorm[] }[] = [
    ...zones.map(({ polygon }, index) => ({ path: ['zones', index], points: polygon })),
    ...lines.map(({ from, to }, index) => ({ path: ['lines', index], points: [from, to] })),
  ];
  return places.flatMap(({ path, points }) => {
    const mask = masks.find(({ polygon }) => covers(polygon, points));
    if (mask === undefined) return [];
    return [
      { path, found: null, message: `lies entirely under the mask "${mask.id}", so it can never match` },
    ];
  });
}

function unusedPlaces({ zones, lines, rules }: Config): Warning[] {
  const usedPlaces = new Set(rules.flatMap(placesOf));
  const unused = (list: 'zones' | 'lines', items: readonly Pick<ZoneConfig, 'id'>[]): Warning[] =>
    items.flatMap(({ id }, index) =>
      usedPlaces.has(`${list}/${id}`)
        ? []
        : [{ path: [list, index], found: null, message: `no rule uses "${id}"` }],
    );
  return [...unused('zones', zones), ...unused('lines', lines)];
}

function placesOf(rule: RuleConfig): string[] {
  return 'zone' in rule ? [`zones/${rule.zone}`] : [`lines/${rule.line}`];
}

function absentHolidays({ holidays, rules }: Config): Warning[] {
  if (holidays.length > 0) return [];
  return rules.flatMap((rule, index) => {
    const spans = 'schedule' in rule ? (rule.schedule ?? []) : [];
    const span = spans.findIndex(({ days }) => days.includes('holiday'));
    if (span < 0) return [];
    const message = 'names `holiday`, but the list `holidays` is empty: it never comes';
    return [{ path: ['rules', index, 'schedule', span, 'days'], found: null, message }];
  });
}

/** Finds models made for another picture size, with which they do not run. */
function otherSizes({ detector }: Config, modelDir: string): Warning[] {
  const { model, input } = detector;
  const element = wantedElement(detector);
  const usedModels = [
    { name: model, result: 'the detector does not start' },
    ...(element === undefined
      ? []
      : [{ name: element.model, result: `it runs on the CPU, not on ${element.name}` }]),
  ];
  return usedModels.flatMap(({ name, result }) => {
    const only = onlySizeOf(modelDir, name);
    if (only === undefined || only.join() === input.join()) return [];
    const message = `model ${name} takes [${only.join(', ')}] only: ${result}`;
    return [{ path: ['detector', 'input'], found: input.join('×'), message }];
  });
}

function idleCertificates({ mqtt }: Config): Warning[] {
  if (mqtt === undefined || mqtt.url.startsWith('mqtts:')) return [];
  return (['ca', 'cert', 'key'] as const)
    .filter((name) => mqtt[name] !== undefined)
    .map((name) => ({
      path: ['mqtt', name],
      found: null,
      message: 'is not used: mqtt.url is plain mqtt://',
    }));
}

function openPassword({ camera }: Config, file: string | undefined): Warning[] {
  const exposedStream = (['source', 'substream'] as const).find((stream) =>
    /^[a-z0-9]+:\/\/[^/]*:[^/]*@/i.test(camera?.[stream] ?? ''),
  );
  if (exposedStream === undefined || file === undefined || (statSync(file).mode & 0o004) === 0) return [];
  const message = `the camera's password is in a file that every user can read; run chmod 0640 ${file}`;
  return [{ path: ['camera', exposedStream], found: null, message }];
}

function round(value: number): number {
  return Number(value.toPrecision(2));
}
