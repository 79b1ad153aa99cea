/**
 * What is judged of the picture by one learnt view, in one record that a view gets anew and whole: a camera that was
 * turned, or sends another size of picture, is judged as if nothing had been before.
 */
import type { CameraCondition } from '../../contract/condition.ts';
import type { View } from './condition-view.ts';

/** Five frames: enough for a mean, and three windows within the 10 s of `covered`. */
export const WINDOW_MS = 2400;
/** The least that the picture has had when it was well is remembered for so long: a cover leaves far less than that too. */
const LEAST_MS = 600_000;
/** How long each must hold to begin. The windows before and at the change come on top. */
export const BEGINS_MS: Readonly<Record<CameraCondition, number>> = {
  // Encoders that save leave a quiet night scene untouched until the next key frame, 10 s and more.
  frozen: 24_000,
  covered: WINDOW_MS,
  'too-dark': 30_000,
  moved: 30_000,
  // As for blur: a lorry that stops before the lens has driven on.
  'cannot-see': 20_000,
  defocused: 20_000,
};
/** How long it must not hold to end. */
const ENDS_MS: Readonly<Record<CameraCondition, number>> = {
  frozen: 0,
  covered: WINDOW_MS,
  'too-dark': 10_000,
  moved: WINDOW_MS,
  'cannot-see': 10_000,
  defocused: 10_000,
};

/** What blinds more comes first. */
const RANK: Readonly<Record<CameraCondition, number>> = {
  covered: 0,
  frozen: 1,
  'too-dark': 2,
  moved: 3,
  'cannot-see': 4,
  defocused: 5,
};

/** What is judged of the picture by one learnt view. A view that begins has a new one: nothing of another is left in it. */
export interface Judgement {
  readonly view: View;
  /** What the picture looks like since it is another. */
  readonly other: View;
  otherSinceMs: number;
  /** The picture is another at once, and since when. */
  upset: boolean;
  upsetMs: number;
  /** The least energy of edges of the sound pictures, and that of the last one: the next may show that it was none. */
  least: number;
  lastSound: number | undefined;
  soundMs: number;
  active: CameraCondition | undefined;
  /** Since when each condition holds (or, of the active one, does not hold). */
  readonly sinceMs: Map<CameraCondition, number>;
}

/** `view` may be learnt already; `soundMs`: when the picture was last seen to be it. */
export function judgementBy(view: View, other: View, soundMs: number): Judgement {
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

/** Takes note of the edges of a picture that is the view. */
export function noteSound(judged: Judgement, edges: number): void {
  const sound = judged.lastSound;
  judged.lastSound = edges;
  if (sound === undefined) return;
  const risen = judged.least + (sound - judged.least) * (WINDOW_MS / LEAST_MS);
  judged.least = Number.isFinite(judged.least) ? Math.min(sound, risen) : sound;
}

/** `holds` for long enough begins a condition, unless one stands that says more; `over` for long enough ends it. */
export function judge(
  judged: Judgement,
  condition: CameraCondition,
  holds: boolean,
  over: boolean,
  atMs: number,
  beginsMs = BEGINS_MS[condition],
): void {
  const stands = judged.active === condition;
  if (stands ? !over : !holds) {
    judged.sinceMs.delete(condition);
    return;
  }
  const sinceMs = judged.sinceMs.get(condition) ?? atMs;
  judged.sinceMs.set(condition, sinceMs);
  if (atMs - sinceMs < (stands ? ENDS_MS[condition] : beginsMs)) return;
  if (stands) judged.active = undefined;
  else if (judged.active === undefined || RANK[condition] < RANK[judged.active]) judged.active = condition;
  else return;
  judged.sinceMs.delete(condition);
}
