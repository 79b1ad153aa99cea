/**
 * Finds objects that were detected shortly before (or after) a still and are missing in it.
 *
 * Boxes of successive frames are linked one to one into box trajectories, by their overlap with the predicted place. So
 * an object that is still detected leaves no trail behind it. A trajectory that ends before the still keeps its last
 * box. Unlike a tracker, this uses every box, however low its score: a broken trajectory redacts more, never less. The
 * velocity separates two people who pass each other.
 */
import { iou, type XyxyNorm } from '../../contract/geometry.ts';
import type { SeenBox, SeenFrame } from './history.ts';

/**
 * Minimum overlap (IoU) of two boxes of one object: SORT's value (Bewley et al., "Simple Online and Realtime Tracking",
 * 2016).
 */
const SAME_OBJECT_IOU_MIN = 0.3;

/**
 * Weight of the last step in a trajectory's velocity; the previous velocity has the other half. A single step is mostly
 * the detector's jitter.
 */
const LAST_STEP_RATIO = 0.5;

const STILL: readonly [number, number] = [0, 0];

interface BoxTrajectory {
  /** The last box. */
  readonly box: SeenBox;
  readonly atMs: number;
  /** Velocity of the box's centre; absent while the trajectory has one box. */
  readonly velocityNormPerMs?: readonly [number, number];
}

export function sameObject(a: SeenBox, b: SeenBox): boolean {
  return a.treatment === b.treatment && iou(a.xyxyNorm, b.xyxyNorm) >= SAME_OBJECT_IOU_MIN;
}

/** Returns the last boxes of the objects in `frames` that `own` does not show. In time, `frames` lead up to `own`. */
export function missingIn(own: SeenFrame, frames: readonly SeenFrame[]): SeenBox[] {
  let trajectories: BoxTrajectory[] = [];
  let endedTrajectories: BoxTrajectory[] = [];
  for (const frame of [...frames, own]) {
    const continues = match(trajectories, frame);
    const continued = new Set(continues.values());
    endedTrajectories = [];
    for (const trajectory of trajectories) if (!continued.has(trajectory)) endedTrajectories.push(trajectory);
    trajectories = [];
    for (const box of frame.detections) trajectories.push(extended(continues.get(box), box, frame.atMs));
    for (const trajectory of endedTrajectories) trajectories.push(trajectory);
  }
  const missing: SeenBox[] = [];
  for (const { box } of endedTrajectories) missing.push(box);
  return missing;
}

interface Pair {
  readonly trajectory: BoxTrajectory;
  readonly detection: SeenBox;
  readonly overlap: number;
}

function byOverlap(a: Pair, b: Pair): number {
  return b.overlap - a.overlap;
}

/**
 * Returns the trajectory that each detection continues. The best overlap is served first, each box and trajectory once.
 */
function match(
  trajectories: readonly BoxTrajectory[],
  { detections, atMs }: SeenFrame,
): Map<SeenBox, BoxTrajectory> {
  const pairs: Pair[] = [];
  for (const trajectory of trajectories) {
    const expected = predictBox(trajectory, atMs);
    for (const detection of detections) {
      if (detection.treatment !== trajectory.box.treatment) continue;
      const overlap = iou(expected, detection.xyxyNorm);
      if (overlap >= SAME_OBJECT_IOU_MIN) pairs.push({ trajectory, detection, overlap });
    }
  }
  pairs.sort(byOverlap);
  const continued = new Set<BoxTrajectory>();
  const continues = new Map<SeenBox, BoxTrajectory>();
  for (const { trajectory, detection } of pairs) {
    if (continued.has(trajectory) || continues.has(detection)) continue;
    continued.add(trajectory);
    continues.set(detection, trajectory);
  }
  return continues;
}

/** Returns the predicted box of a trajectory at a time, at constant velocity. */
function predictBox(
  { box: { xyxyNorm: norm }, atMs, velocityNormPerMs = STILL }: BoxTrajectory,
  thenMs: number,
): XyxyNorm {
  const dx = velocityNormPerMs[0] * (thenMs - atMs);
  const dy = velocityNormPerMs[1] * (thenMs - atMs);
  return [norm[0] + dx, norm[1] + dy, norm[2] + dx, norm[3] + dy];
}

function extended(trajectory: BoxTrajectory | undefined, box: SeenBox, atMs: number): BoxTrajectory {
  // Two frames of the same time give no velocity.
  if (trajectory === undefined || trajectory.atMs === atMs) return { box, atMs };
  const from = trajectory.box.xyxyNorm;
  const to = box.xyxyNorm;
  const stepX = ((to[0] + to[2]) / 2 - (from[0] + from[2]) / 2) / (atMs - trajectory.atMs);
  const stepY = ((to[1] + to[3]) / 2 - (from[1] + from[3]) / 2) / (atMs - trajectory.atMs);
  const previous = trajectory.velocityNormPerMs;
  const velocityNormPerMs = [
    mixed(stepX, previous?.[0] ?? stepX),
    mixed(stepY, previous?.[1] ?? stepY),
  ] as const;
  return { box, atMs, velocityNormPerMs };
}

function mixed(last: number, before: number): number {
  return last * LAST_STEP_RATIO + before * (1 - LAST_STEP_RATIO);
}
