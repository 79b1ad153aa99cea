/**
 * Objects that were seen shortly before (or after) a still and are missing in it.
 *
 * An object that is still seen needs no trail behind it, so the boxes of successive frames are chained, one to
 * one, by their overlap with the place to which the chain's velocity leads. A chain that ends before the still
 * keeps its last box. Unlike a tracker this takes every box at its word, however low its score: a chain that
 * breaks redacts more, never less. The velocity keeps apart two people of whom one passes before the other.
 */
import { iou, type XyxyNorm } from '../../contract/geometry.ts';
import type { SeenBox, SeenFrame } from './history.ts';

/**
 * Overlap (IoU) from which two boxes are taken for one object: SORT's value (Bewley et al., "Simple Online and
 * Realtime Tracking", 2016).
 */
const SAME_OBJECT_IOU_MIN = 0.3;

/** A single step is mostly the detector's jitter: a chain's velocity is half its last step's, half the former. */
const LAST_STEP_SHARE = 0.5;

interface Chain {
  /** Its last box. */
  readonly box: SeenBox;
  readonly atMs: number;
  /** Of the box's centre; absent while the chain has one box. */
  readonly velocityNormPerMs?: readonly [number, number];
}

export function sameObject(a: SeenBox, b: SeenBox): boolean {
  return a.treatment === b.treatment && iou(a.xyxyNorm, b.xyxyNorm) >= SAME_OBJECT_IOU_MIN;
}

/** The last boxes of the objects in `frames` that `own` does not show; in time, `frames` lead up to `own`. */
export function missingIn(own: SeenFrame, frames: readonly SeenFrame[]): SeenBox[] {
  let chains: readonly Chain[] = [];
  let ended: readonly Chain[] = [];
  for (const frame of [...frames, own]) {
    const continues = match(chains, frame);
    const continued = new Set(continues.values());
    ended = chains.filter((chain) => !continued.has(chain));
    chains = [...frame.detections.map((box) => extended(continues.get(box), box, frame.atMs)), ...ended];
  }
  return ended.map((chain) => chain.box);
}

/** Which chain each detection continues; the best overlap is served first, each box and chain once. */
function match(chains: readonly Chain[], { detections, atMs }: SeenFrame): Map<SeenBox, Chain> {
  const pairs: { chain: Chain; detection: SeenBox; overlap: number }[] = [];
  for (const chain of chains) {
    const expected = ahead(chain, atMs);
    for (const detection of detections) {
      if (detection.treatment !== chain.box.treatment) continue;
      const overlap = iou(expected, detection.xyxyNorm);
      if (overlap >= SAME_OBJECT_IOU_MIN) pairs.push({ chain, detection, overlap });
    }
  }
  pairs.sort((a, b) => b.overlap - a.overlap);
  const continued = new Set<Chain>();
  const continues = new Map<SeenBox, Chain>();
  for (const { chain, detection } of pairs) {
    if (continued.has(chain) || continues.has(detection)) continue;
    continued.add(chain);
    continues.set(detection, chain);
  }
  return continues;
}

/** Where a chain's box would be at a time, moving on as it did. */
function ahead({ box, atMs, velocityNormPerMs }: Chain, thenMs: number): XyxyNorm {
  const [x1, y1, x2, y2] = box.xyxyNorm;
  const [vx, vy] = velocityNormPerMs ?? [0, 0];
  const dx = vx * (thenMs - atMs);
  const dy = vy * (thenMs - atMs);
  return [x1 + dx, y1 + dy, x2 + dx, y2 + dy];
}

function extended(chain: Chain | undefined, box: SeenBox, atMs: number): Chain {
  // Two frames of one time say nothing of a velocity.
  if (chain === undefined || chain.atMs === atMs) return { box, atMs };
  const [fromX, fromY] = centre(chain.box.xyxyNorm);
  const [toX, toY] = centre(box.xyxyNorm);
  const step = [(toX - fromX) / (atMs - chain.atMs), (toY - fromY) / (atMs - chain.atMs)] as const;
  const former = chain.velocityNormPerMs ?? step;
  const mix = (last: number, before: number): number =>
    last * LAST_STEP_SHARE + before * (1 - LAST_STEP_SHARE);
  return { box, atMs, velocityNormPerMs: [mix(step[0], former[0]), mix(step[1], former[1])] };
}

function centre([x1, y1, x2, y2]: XyxyNorm): readonly [number, number] {
  return [(x1 + x2) / 2, (y1 + y2) / 2];
}
