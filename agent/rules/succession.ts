/**
 * Links track numbers to objects after the tracker has lost an object and detected it again under a new number. A new
 * track at the place of one that is out of sight continues it. So does a person who appears within reach of one who has
 * just vanished, since people neither appear nor vanish in the middle of a picture.
 *
 * LIMITS: 512 ended tracks (the maximum of an observation), for 10 s each.
 */
import { iou, type XyxyNorm } from '../contract/geometry.ts';
import type { ObjectGroup } from '../contract/label.ts';
import type { Observation, ObservedTrack } from '../contract/observation.ts';

/** Two boxes of one standing object overlap by at least 0.6; neighbours in a crowd by less than this. */
const SAME_PLACE_IOU_MIN = 0.4;
/** A detector's lapse on a standing object lasts for seconds. */
const REMEMBERED_MS = 10_000;
const REMEMBERED_MAX = 512;
/** A small detector loses a person for a second or two, and the tracker follows for 2 s more. */
const VANISHED_MS = 3000;
/** Reach in heights of the box: a step of a hidden person before and after, plus walking pace (1.4 m/s) in between. */
const REACH_HEIGHTS = 0.4;
const REACH_HEIGHTS_PER_S = 0.8;
/**
 * Distance from the frame's edge, as a ratio of the frame, within which a box is an entry. An entering person is new.
 */
const EDGE_NORM = 0.02;

interface ObjectEntry {
  /** First number of the object. */
  root: number;
  readonly group: ObjectGroup;
  box: XyxyNorm;
  lastMs: number;
}

export class Succession {
  #entries = new Map<number, ObjectEntry>();

  update({ tracks, source, atMs }: Observation): void {
    const aspect = source.widthPx / source.heightPx;
    const all = this.#entries;
    const inSight = new Set<number>();
    const present = new Set<number>();
    for (let i = 0; i < tracks.length; i++) {
      const { id, seen: isSeen } = tracks[i] as ObservedTrack;
      present.add(id);
      if (isSeen) inSight.add(id);
    }
    for (let i = 0; i < tracks.length; i++) {
      const { id, group, xyxyNorm, seen: isSeen } = tracks[i] as ObservedTrack;
      const entry = all.get(id);
      if (entry === undefined) {
        const root = this.#predecessor(group, xyxyNorm, inSight, atMs, aspect) ?? id;
        all.set(id, { root, group, box: xyxyNorm, lastMs: atMs });
      } else if (isSeen) {
        entry.box = xyxyNorm;
        entry.lastMs = atMs;
      }
    }
    this.#part(inSight);
    all.forEach(({ lastMs }, id) => {
      const old = atMs - lastMs > REMEMBERED_MS || all.size > REMEMBERED_MAX;
      if (old && !present.has(id)) all.delete(id);
    });
  }

  /** Returns the root number of the object of this track, or its own for an unknown track. */
  rootOf(track: number): number {
    return this.#entries.get(track)?.root ?? track;
  }

  /** All stored root numbers. */
  roots(): ReadonlySet<number> {
    const roots = new Set<number>();
    for (const { root } of this.#entries.values()) roots.add(root);
    return roots;
  }

  /**
   * Separates tracks that are in sight together under one root: the lost one is back, and the other gets its own
   * number.
   */
  #part(inSight: ReadonlySet<number>): void {
    const takenRoots = new Set<number>();
    for (const id of [...inSight].sort((a, b) => a - b)) {
      const entry = this.#entries.get(id);
      if (entry === undefined) continue;
      if (takenRoots.has(entry.root)) entry.root = id;
      takenRoots.add(entry.root);
    }
  }

  #predecessor(
    group: ObjectGroup,
    box: XyxyNorm,
    inSight: ReadonlySet<number>,
    atMs: number,
    aspect: number,
  ): number | undefined {
    let best: { root: number; worth: number } | undefined;
    for (const [id, entry] of this.#entries) {
      if (inSight.has(id) || entry.group !== group) continue;
      const overlap = iou(entry.box, box);
      const near = group === 'person' && !atEdge(box) && reaches(entry.box, box, atMs - entry.lastMs, aspect);
      if (overlap < SAME_PLACE_IOU_MIN && !near) continue;
      const worth = overlap - distance(entry.box, box, aspect);
      if (best === undefined || worth > best.worth) best = { root: entry.root, worth };
    }
    return best?.root;
  }
}

function atEdge([x1, , x2, y2]: XyxyNorm): boolean {
  return x1 < EDGE_NORM || x2 > 1 - EDGE_NORM || y2 > 1 - EDGE_NORM;
}

/** True if a person could have walked from one box to the other in this time. */
function reaches(from: XyxyNorm, to: XyxyNorm, gapMs: number, aspect: number): boolean {
  if (gapMs > VANISHED_MS) return false;
  const heights = distance(from, to, aspect) / (from[3] - from[1]);
  return heights <= REACH_HEIGHTS + (REACH_HEIGHTS_PER_S * gapMs) / 1000;
}

/** Distance of the ground points, in frame heights. */
function distance(a: XyxyNorm, b: XyxyNorm, aspect: number): number {
  return Math.hypot(((a[0] + a[2] - b[0] - b[2]) / 2) * aspect, a[3] - b[3]);
}
