/**
 * State of the evaluation of one learnt view. A new view gets a new record, so a camera that was turned, or sends
 * another picture size, starts without any history.
 */
import type { CameraCondition } from '../../contract/condition.ts';
import type { View } from './condition-view.ts';

/** Length of a window in ms: five frames, enough for a mean, and three windows within the 10 s of `covered`. */
export const WINDOW_MS = 2400;
/** Time constant in ms of the lowest edge energy of good pictures; a covered lens leaves far less than that. */
const LEAST_MS = 600_000;
/** Time that each condition must hold to begin, in ms, in addition to the windows before and at the change. */
export const BEGINS_MS: Readonly<Record<CameraCondition, number>> = {
  // Low-bitrate encoders leave a quiet night scene untouched until the next key frame, 10 s and more.
  frozen: 24_000,
  covered: WINDOW_MS,
  'too-dark': 30_000,
  moved: 30_000,
  // As for blur: a lorry that stops in front of the lens has driven on by then.
  'cannot-see': 20_000,
  defocused: 20_000,
};
/** Time that it must not hold to end, in ms. */
const ENDS_MS: Readonly<Record<CameraCondition, number>> = {
  frozen: 0,
  covered: WINDOW_MS,
  'too-dark': 10_000,
  moved: WINDOW_MS,
  'cannot-see': 10_000,
  defocused: 10_000,
};

/** Rank of the conditions; a more severe one comes first. */
const RANK: Readonly<Record<CameraCondition, number>> = {
  covered: 0,
  frozen: 1,
  'too-dark': 2,
  moved: 3,
  'cannot-see': 4,
  defocused: 5,
};

/** State of the evaluation of one learnt view. A new view gets a new record without any state of another. */
export interface Assessment {
  readonly view: View;
  /** Appearance of the picture since it differs. */
  readonly other: View;
  otherSinceMs: number;
  /** True if the picture differs suddenly, and the start of that. */
  upset: boolean;
  upsetMs: number;
  /** Lowest edge energy of the good pictures, and that of the last one, which the next may prove not to be good. */
  least: number;
  lastSound: number | undefined;
  soundMs: number;
  active: CameraCondition | undefined;
  /** Time since which each condition holds (the active one: does not hold). */
  readonly sinceMs: Map<CameraCondition, number>;
}

/** Creates the state. `view` may be learnt already; `soundMs` is when the picture last matched it. */
export function newAssessment(view: View, other: View, soundMs: number): Assessment {
  return {
    view,
    other,
    otherSinceMs: 0,
    upset: false,
    upsetMs: 0,
    least: Number.POSITIVE_INFINITY,
    lastSound: undefined,
    soundMs,
    active: undefined,
    sinceMs: new Map(),
  };
}

/** Records the edge energy of a picture that matches the view. */
export function noteSound(assessment: Assessment, edges: number): void {
  const sound = assessment.lastSound;
  assessment.lastSound = edges;
  if (sound === undefined) return;
  const risen = assessment.least + (sound - assessment.least) * (WINDOW_MS / LEAST_MS);
  assessment.least = Number.isFinite(assessment.least) ? Math.min(sound, risen) : sound;
}

/**
 * Begins a condition after `holds` has lasted long enough, unless a more severe one is active. Ends it after `over` has
 * lasted long enough.
 */
export function assess(
  assessment: Assessment,
  condition: CameraCondition,
  holds: boolean,
  over: boolean,
  atMs: number,
  beginsMs = BEGINS_MS[condition],
): void {
  const isActive = assessment.active === condition;
  if (isActive ? !over : !holds) {
    assessment.sinceMs.delete(condition);
    return;
  }
  const sinceMs = assessment.sinceMs.get(condition) ?? atMs;
  assessment.sinceMs.set(condition, sinceMs);
  if (atMs - sinceMs < (isActive ? ENDS_MS[condition] : beginsMs)) return;
  if (isActive) assessment.active = undefined;
  else if (assessment.active === undefined || RANK[condition] < RANK[assessment.active])
    assessment.active = condition;
  else return;
  assessment.sinceMs.delete(condition);
}
