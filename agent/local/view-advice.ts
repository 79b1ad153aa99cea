/** Which input size and rate suit what passes before the camera. */
import { type Finding, failed, ok } from '../contract/finding.ts';
import { placementOf } from '../contract/letterbox.ts';
import type { ViewReport } from '../contract/view-report.ts';
import type { FindingTexts } from './finding-texts.ts';

/** Fewer sightings say nothing of the view. */
const SIGHTINGS_MIN = 20;
/**
 * Below a tenth of a 416×256 input's height recall was 0.31 at precision 0.9, and 0.83 with 640×384, where the same people
 * are 38 px tall (docs/guide/hardware.md).
 */
const SMALL_PERSON_PX = 26;
/** Above this share of the frame's height, people are missed more often with a larger input (model card). */
const TALL_PERSON_NORM = 0.25;
/** The default input, at which tall people were measured well. */
const NEAR_INPUT = [416, 256] as const;
const NEAR_INPUT_AREA_PX = 416 * 256;
const WIDE_INPUT = [640, 384] as const;
/** What moves by more than half of its length between two looks does not overlap with where it was: it is lost. */
const STEP_MAX = 0.5;
/** More frames a second than this no street needs: a car at 90 km/h then moves by a third of its length. */
const FPS_MAX = 15;

/**
 * Nothing while too little was seen to say anything. `meant`: the configuration that is asked about, where it is not the
 * one that runs.
 */
export function viewFindings(
  view: ViewReport,
  texts: FindingTexts,
  meant: Pick<ViewReport, 'input' | 'fps'> = view,
): Finding[] {
  const { heightTenthNorm, heightHalfNorm, moving, stepNineTenths } = view;
  const details: string[] = [];
  const fixes: string[] = [];
  const tenthPx = tenthHeightPx(view, meant.input);
  if (tenthPx !== undefined) {
    const percent = (norm: number): number => Math.round(100 * norm);
    details.push(texts.viewHeights(percent(heightTenthNorm), percent(heightHalfNorm), Math.round(tenthPx)));
    const better = betterInput(view, meant.input);
    if (better === WIDE_INPUT) fixes.push(texts.viewSmall(...WIDE_INPUT));
    else if (better !== undefined) fixes.push(texts.viewTall);
  }
  if (moving >= SIGHTINGS_MIN && view.fps !== null && meant.fps !== null) {
    const step = (stepNineTenths * view.fps) / meant.fps;
    details.push(texts.viewSteps(Number(step.toPrecision(2))));
    const fps = Math.min(FPS_MAX, Math.ceil((meant.fps * step) / STEP_MAX));
    if (step > STEP_MAX && meant.fps < FPS_MAX) fixes.push(texts.viewFast(fps));
  }
  if (details.length === 0) return [];
  const detail = details.join('; ');
  return [fixes.length === 0 ? ok('view', detail) : failed('view', detail, fixes.join('; '))];
}

/** Width and height that suit the people seen better than `input`; undefined where it suits, or too few were seen to say. */
export function betterInput(
  view: ViewReport,
  input: ViewReport['input'],
): readonly [number, number] | undefined {
  const tenthPx = tenthHeightPx(view, input);
  if (tenthPx === undefined) return undefined;
  const areaPx = input[0] * input[1];
  if (tenthPx < SMALL_PERSON_PX && areaPx < WIDE_INPUT[0] * WIDE_INPUT[1]) return WIDE_INPUT;
  return view.heightHalfNorm > TALL_PERSON_NORM && areaPx > NEAR_INPUT_AREA_PX ? NEAR_INPUT : undefined;
}

/** What a tenth of the people stay below, in pixels of the detector's input; undefined while too few were seen. */
function tenthHeightPx(view: ViewReport, [widthPx, heightPx]: ViewReport['input']): number | undefined {
  const { people, source, heightTenthNorm } = view;
  if (people < SIGHTINGS_MIN || source === null) return undefined;
  return heightTenthNorm * placementOf(source, { widthPx, heightPx }).heightPx;
}
