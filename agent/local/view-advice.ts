/** Recommends an input size and a rate for the objects that pass the camera. */
import { type Finding, failed, ok } from '../contract/finding.ts';
import { placementOf } from '../contract/letterbox.ts';
import type { ViewReport } from '../contract/view-report.ts';
import type { FindingTexts } from './finding-texts.ts';
import { TERMINAL_FIXES } from './terminal-fixes.ts';

/** Minimum number of sightings; fewer contain no information about the view. */
const SIGHTINGS_MIN = 20;
/**
 * Height of a person in input pixels below which a larger input is recommended. Below a tenth of a 416×256 input's
 * height, recall was 0.31 at precision 0.9. It was 0.83 with 640×384, where the same people are 38 px tall
 * (docs/guide/hardware.md).
 */
const SMALL_PERSON_PX = 26;
/** Ratio of the frame's height above which people are missed more often with a larger input (model card). */
const TALL_PERSON_NORM = 0.25;
/** Default input, at which tall people were detected well. */
const NEAR_INPUT = [416, 256] as const;
const NEAR_INPUT_AREA_PX = 416 * 256;
const WIDE_INPUT = [640, 384] as const;
/**
 * Maximum movement between two detector runs, in lengths of the object. A larger one leaves no overlap with the
 * previous position, and the track is lost.
 */
const STEP_MAX = 0.5;
/** Maximum useful rate in frames per second: a car at 90 km/h then moves by a third of its length. */
const FPS_MAX = 15;

/**
 * Maximum ratio of the frame interval that one stage may take. The other stages and the board's other work need the
 * other half.
 */
export const INTERVAL_RATIO_MAX = 0.5;

/**
 * Returns the findings; none while there are too few observations. `settings`: the configuration to evaluate, if it is
 * not the running one.
 */
export function viewFindings(
  view: ViewReport,
  texts: FindingTexts,
  settings: Pick<ViewReport, 'input' | 'fps'> = view,
): Finding[] {
  const { heightTenthNorm, heightHalfNorm, moving, stepNineTenths } = view;
  const details: string[] = [];
  const fixes: string[] = [];
  const tenthPx = tenthHeightPx(view, settings.input);
  if (tenthPx !== undefined) {
    const percent = (norm: number): number => Math.round(100 * norm);
    details.push(texts.viewHeights(percent(heightTenthNorm), percent(heightHalfNorm), Math.round(tenthPx)));
    const better = betterInput(view, settings.input);
    if (better === WIDE_INPUT) fixes.push(TERMINAL_FIXES.smallPeople(...WIDE_INPUT));
    else if (better !== undefined) fixes.push(TERMINAL_FIXES.tallPeople);
  }
  if (moving >= SIGHTINGS_MIN && view.fps !== null && settings.fps !== null) {
    const step = (stepNineTenths * view.fps) / settings.fps;
    details.push(texts.viewSteps(Number(step.toPrecision(2))));
    const fps = Math.min(FPS_MAX, Math.ceil((settings.fps * step) / STEP_MAX));
    if (step > STEP_MAX && settings.fps < FPS_MAX) fixes.push(TERMINAL_FIXES.fastObjects(fps));
  }
  if (details.length === 0) return [];
  const detail = details.join('; ');
  return [fixes.length === 0 ? ok('view', detail) : failed('view', detail, fixes.join('; '))];
}

/**
 * Returns an input size that suits the observed people better than `input`. Undefined if that suits, or if there are
 * too few observations.
 */
export function betterInput(
  view: ViewReport,
  input: ViewReport['input'],
): readonly [number, number] | undefined {
  const tenthPx = tenthHeightPx(view, input);
  if (tenthPx === undefined) return undefined;
  const areaPx = input[0] * input[1];
  if (tenthPx < SMALL_PERSON_PX && areaPx < WIDE_INPUT[0] * WIDE_INPUT[1]) return WIDE_INPUT;
  return arePeopleClose(view) && areaPx > NEAR_INPUT_AREA_PX ? NEAR_INPUT : undefined;
}

/** True if half of the people are so tall that a larger input misses more of them. */
function arePeopleClose({ people, heightHalfNorm }: ViewReport): boolean {
  return people >= SIGHTINGS_MIN && heightHalfNorm > TALL_PERSON_NORM;
}

/**
 * Estimates the time of a detector run at another size by its number of pixels. From 416×256 to 640×384 this gives 2.3
 * ×, measured was about 2 × (docs/guide/hardware.md); the larger value is the careful one.
 */
export function costAt(ms: number, from: readonly [number, number], to: readonly [number, number]): number {
  return (ms * to[0] * to[1]) / (from[0] * from[1]);
}

/**
 * Returns the larger input for which an accelerator has time at the present rate, unless the people are so close that it
 * would miss more of them. Undefined on the CPU, whose time the larger picture by night needs as well.
 */
export function largerInput({
  provider,
  inferenceMs,
  input,
  fps,
  view,
}: {
  readonly provider: string;
  readonly inferenceMs: number;
  readonly input: readonly [number, number];
  readonly fps: number | null;
  readonly view: ViewReport | undefined;
}): readonly [number, number] | undefined {
  if (provider === 'cpu' || fps === null) return undefined;
  if (input[0] * input[1] >= WIDE_INPUT[0] * WIDE_INPUT[1]) return undefined;
  if (view !== undefined && arePeopleClose(view)) return undefined;
  const hasTime = costAt(inferenceMs, input, WIDE_INPUT) <= (1000 / fps) * INTERVAL_RATIO_MAX;
  return hasTime ? WIDE_INPUT : undefined;
}

/**
 * Returns the height below which a tenth of the people stay, in pixels of the detector's input. Undefined while there
 * are too few observations.
 */
function tenthHeightPx(view: ViewReport, [widthPx, heightPx]: ViewReport['input']): number | undefined {
  const { people, source, heightTenthNorm } = view;
  if (people < SIGHTINGS_MIN || source === null) return undefined;
  return heightTenthNorm * placementOf(source, { widthPx, heightPx }).heightPx;
}
