/**
 * Derives proposals from the room's verdicts on single spots. If a rule was wrong three times in the same place, a
 * higher threshold or a mask is proposed. A person decides; the box never applies a proposal.
 */
import type { Proposal } from '../contract/accuracy.ts';
import { iou, type XyxyNorm } from '../contract/geometry.ts';
import type { RuleConfig, RuleKind } from '../contract/rule-config.ts';

/** One may be chance and two a coincidence; three false alerts are a pattern. */
const FALSE_MIN = 3;
/**
 * Minimum overlap of one spot. Boxes of one object overlap by half or more; the box of a shadow or a sign varies more.
 */
const SAME_SPOT_IOU = 0.3;
/** Minimum number of true alerts from which a threshold is proposed; fewer do not predict the next one. */
const TRUE_MIN = 3;
/**
 * Maximum ratio of the picture for a mask. A larger one would blind the place; a person must redraw the zone instead.
 */
const MASK_AREA_MAX = 0.05;
/** Margin of a mask around the boxes, as a ratio of their sides, because they jitter by a tenth. */
const MASK_MARGIN = 0.1;

/** Alert with the verdict true or false. */
export interface ReviewedAlert {
  readonly right: boolean;
  /** Its place, if it has one. */
  readonly xyxyNorm: XyxyNorm | undefined;
  /** Value compared with the rule's threshold: the score of the object, or its area. */
  readonly measure: number | undefined;
}

/** Returns the proposals for the rule's spots, the one with most false alerts first. */
export function proposalsOf(rule: RuleConfig, alerts: readonly ReviewedAlert[]): Proposal[] {
  const wrong = alerts.flatMap(({ right, xyxyNorm, measure }) =>
    right || xyxyNorm === undefined ? [] : [{ xyxyNorm, measure }],
  );
  const right = alerts.filter((one) => one.right);
  return spotsOf(wrong)
    .filter(({ length }) => length >= FALSE_MIN)
    .sort((a, b) => b.length - a.length)
    .map((spot) => {
      const xyxyNorm = unionOf(spot.map((one) => one.xyxyNorm));
      const rightHere = right.filter((one) => one.xyxyNorm !== undefined && overlaps(one.xyxyNorm, xyxyNorm));
      return {
        rule: rule.id,
        xyxyNorm,
        falseAlarms: spot.length,
        confirmed: rightHere.length,
        remedy: thresholdOf(rule, spot, right) ??
          maskOf(xyxyNorm, rightHere.length) ?? { kind: 'redraw' as const },
      };
    });
}

/** Parameter with which the score or the area of an alert is compared; null if there is none. */
const THRESHOLDS: Readonly<Record<RuleKind, 'scoreMin' | 'minAreaNorm' | null>> = {
  'vehicle-in-pedestrian-zone': 'scoreMin',
  loitering: 'scoreMin',
  'line-crossing': 'scoreMin',
  'wrong-way': 'scoreMin',
  'crowd-gathering': null,
  'illegal-dumping': 'minAreaNorm',
  graffiti: null,
  'illegal-parking': 'scoreMin',
};

/** Returns the threshold that the rule would need, if all true alerts are above all false ones of the spot. */
function thresholdOf(
  rule: RuleConfig,
  wrong: readonly { readonly measure: number | undefined }[],
  right: readonly ReviewedAlert[],
): Proposal['remedy'] | undefined {
  const parameter = THRESHOLDS[rule.kind];
  if (parameter === null) return undefined;
  const rightMeasures = right.flatMap(({ measure }) => measure ?? []);
  const wrongMeasures = wrong.flatMap(({ measure }) => measure ?? []);
  if (
    rightMeasures.length < TRUE_MIN ||
    rightMeasures.length < right.length ||
    wrongMeasures.length < wrong.length
  )
    return undefined;
  const [lowestRight, highestWrong] = [Math.min(...rightMeasures), Math.max(...wrongMeasures)];
  // Geometric mean, because scores and areas differ by factors.
  const value = Number(Math.sqrt(lowestRight * highestWrong).toPrecision(2));
  return value > highestWrong && value < lowestRight ? { kind: 'threshold', parameter, value } : undefined;
}

/** Returns a mask, only if no true alert was ever raised there. */
function maskOf([x1, y1, x2, y2]: XyxyNorm, right: number): Proposal['remedy'] | undefined {
  if (right > 0) return undefined;
  const [dx, dy] = [MASK_MARGIN * (x2 - x1), MASK_MARGIN * (y2 - y1)];
  const within = (ratio: number): number => Math.round(1000 * Math.min(1, Math.max(0, ratio))) / 1000;
  const [left, top, end, foot] = [within(x1 - dx), within(y1 - dy), within(x2 + dx), within(y2 + dy)];
  if ((end - left) * (foot - top) > MASK_AREA_MAX) return undefined;
  return {
    kind: 'mask',
    polygon: [
      [left, top],
      [end, top],
      [end, foot],
      [left, foot],
    ],
  };
}

/** Assigns each false alert to the first spot that it overlaps (leader clustering, Hartigan 1975), in order of time. */
function spotsOf<T extends { readonly xyxyNorm: XyxyNorm }>(wrong: readonly T[]): T[][] {
  const spots: [T, ...T[]][] = [];
  for (const one of wrong) {
    const spot = spots.find(([first]) => iou(first.xyxyNorm, one.xyxyNorm) >= SAME_SPOT_IOU);
    if (spot === undefined) spots.push([one]);
    else spot.push(one);
  }
  return spots;
}

function unionOf(boxes: readonly XyxyNorm[]): XyxyNorm {
  return [
    Math.min(...boxes.map(([x1]) => x1)),
    Math.min(...boxes.map(([, y1]) => y1)),
    Math.max(...boxes.map(([, , x2]) => x2)),
    Math.max(...boxes.map(([, , , y2]) => y2)),
  ];
}

function overlaps(a: XyxyNorm, b: XyxyNorm): boolean {
  return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}
