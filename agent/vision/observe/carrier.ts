/**
 * Who was beside a place when it changed, and is he still there?
 *
 * Keeps where the tracks have been for the last minute. It holds boxes and track numbers, nothing of
 * what anybody looks like.
 *
 * LIMITS: `SLOTS` moments of `TRACKS_MAX` tracks; of more tracks the first are kept, the others counted.
 */
import { iou, type SizePx, shareInside, type XyxyPx } from '../../contract/geometry.ts';
import { type Group, groupOf, type Label } from '../../contract/label.ts';
import type { Frame, Track } from '../../contract/picture.ts';

const SLOTS = 300;
const TRACKS_MAX = 48;
/** id, x1, y1, x2, y2 */
const FIELDS = 5;

/**
 * Within reach, in heights of a person's box: an arm with what it carries (0.7 m of 1.7 m) and a step.
 * For a vehicle the same share of its box's shorter side: a door or a tail-lift.
 */
const REACH = 0.5;
/** Gone: further away than this, 1.7 m for a person. */
const GONE = 1;
/** Whoever was there so shortly before may have left it: the thing is seen only when he has stepped aside. */
const LEAD_MS = 5000;
/** A track that was lost beside the place may go on under a new number for so long: the tracker's memory and a second. */
const SUCCESSOR_MS = 3000;

/**
 * A track that began with the change or after it, at the changed place, and has been nowhere else: that is
 * the thing itself, which the detector takes for somebody.
 */
const BEGAN_MS = 2000;
const THING_INSIDE = 0.5;
/** Who has left and comes near again only passes by, unless he stays for so long. */
const BACK_MS = 3000;
/**
 * Seen to move, in own sizes between the middles of two boxes: a step is 0.5 of a person's height. A parked car's box
 * jumps by half of its shorter side when the one beside it is joined to it or not, a car that came or went by all of it.
 */
const MOVED_PERSON = 0.5;
const MOVED_VEHICLE = 1;
/** Sides this close to the frame's edge, of its size, are cut off by it. */
const EDGE_NORM = 0.02;
/** A cell that comes to rest is noticed so late, at 3 frames a second: who had left before that brought nothing. */
const DEPOSIT_SLACK_MS = 1000;
/** A track that is not seen may still cover its place for so long (half of the tracker's memory). */
export const COVERS_MS = 1000;
/** What is seen again for so long in the spot where it was lost has not left, or is a thing that looks like somebody. */
const AGAIN_MS = 1500;
const AGAIN_IOU = 0.5;
/** Distances that differ by less, in heights, are the same: a box jitters by so much. */
const SAME_DISTANCE = 0.05;

/** … where it overlaps so much with where that was lost: who stays, stands in the same spot. */
const SUCCESSOR_IOU = 0.2;

/** Somebody who was beside the place when it changed. */
export interface Attendant {
  readonly track: number;
  readonly label: Label;
  readonly group: Group;
  besideMs: number;
  lastBesideMs: number;
  /** Distance at the moment nearest to the change, in heights. */
  nearest: number;
  /** Seen beyond `GONE` since. */
  left: boolean;
  /** Its box has been seen in another place: it is no parked car, and nothing that only looks like somebody. */
  moved: boolean;
  /** For how long something has been seen in the spot where its track was lost, ms. */
  againMs: number;
  /** Near again since, after he had left. */
  backMs: number | undefined;
  /** Where and since when its track is remembered. */
  readonly firstBox: XyxyPx;
  readonly firstSeenMs: number;
  lastBox: XyxyPx;
  lastSeenMs: number;
}

export class Presence {
  #source: SizePx | undefined;
  readonly #boxes = new Float64Array(SLOTS * TRACKS_MAX * FIELDS);
  readonly #counts = new Uint8Array(SLOTS);
  readonly #times = new Float64Array(SLOTS);
  readonly #labels = new Map<number, { label: Label; lastMs: number }>();
  #slot = -1;
  #filled = 0;
  #dropped = 0;

  /** Places that were not remembered, since there were too many tracks at once. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Remembers where the seen tracks are. */
  remember({ atMs, source }: Pick<Frame, 'atMs' | 'source'>, tracks: readonly Track[]): void {
    this.#source = source;
    this.#slot = (this.#slot + 1) % SLOTS;
    this.#filled = Math.min(SLOTS, this.#filled + 1);
    this.#times[this.#slot] = atMs;
    let count = 0;
    for (const { id, label, xyxyPx, seen, group } of tracks) {
      if (!seen || group === 'bag') continue;
      if (count >= TRACKS_MAX) {
        this.#dropped += 1;
        continue;
      }
      const at = (this.#slot * TRACKS_MAX + count) * FIELDS;
      this.#boxes[at] = id;
      for (let side = 0; side < 4; side += 1) this.#boxes[at + 1 + side] = xyxyPx[side] as number;
      count += 1;
      this.#labels.set(id, { label, lastMs: atMs });
    }
    this.#counts[this.#slot] = count;
    if (this.#slot === 0) this.#forget(this.#times[(this.#slot + 1) % SLOTS] as number);
  }

  /**
   * Those who were within reach of a place between `LEAD_MS` before `firstMs` and `untilMs`; how long they
   * had been there is counted until `grownMs`.
   */
  beside(placePx: XyxyPx, firstMs: number, grownMs: number, untilMs: number): Attendant[] {
    const found = new Map<number, Attendant>();
    const totals = new Map<number, number>();
    const firsts = new Map<number, { atMs: number; box: XyxyPx }>();
    let lastMs: number | undefined;
    for (let back = this.#filled - 1; back >= 0; back -= 1) {
      const slot = (this.#slot - back + SLOTS) % SLOTS;
      const atMs = this.#times[slot] as number;
      const stepMs = Math.min(1000, atMs - (lastMs ?? atMs));
      lastMs = atMs;
      for (let k = 0; k < (this.#counts[slot] as number); k += 1) {
        const at = (slot * TRACKS_MAX + k) * FIELDS;
        const id = this.#boxes[at] as number;
        const box = boxAt(this.#boxes, at + 1);
        const first = firsts.get(id) ?? { atMs, box };
        firsts.set(id, first);
        const known = found.get(id);
        if (known !== undefined) {
          known.lastBox = box;
          known.lastSeenMs = atMs;
          known.moved ||= hasMoved(known.group, first.box, box, this.#source);
        }
        const away = distance(placePx, box);
        if (known !== undefined && away <= GONE) known.lastBesideMs = atMs;
        if (known !== undefined && atMs > firstMs) known.left = away > GONE;
        if (away > REACH) continue;
        totals.set(id, (totals.get(id) ?? 0) + (atMs <= grownMs ? stepMs : 0));
        if (known !== undefined) {
          if (Math.abs(atMs - firstMs) <= 1000) known.nearest = Math.min(known.nearest, away);
        } else if (atMs >= firstMs - LEAD_MS && atMs <= untilMs) {
          const label = this.#labels.get(id)?.label ?? 'person';
          const group = groupOf(label);
          const nearest = away + Math.max(0, firstMs - 1000 - atMs) / LEAD_MS;
          found.set(id, {
            track: id,
            label,
            group,
            besideMs: 0,
            lastBesideMs: atMs,
            nearest,
            left: false,
            moved: hasMoved(group, first.box, box, this.#source),
            againMs: 0,
            backMs: undefined,
            firstBox: first.box,
            firstSeenMs: first.atMs,
            lastBox: box,
            lastSeenMs: atMs,
          });
        }
      }
    }
    for (const attendant of found.values()) attendant.besideMs = totals.get(attendant.track) ?? 0;
    return [...found.values()];
  }

  #forget(beforeMs: number): void {
    for (const [id, { lastMs }] of this.#labels) if (lastMs < beforeMs) this.#labels.delete(id);
  }
}

/** Follows those who were beside a place; a track that takes up where another was lost takes its part. */
export function follow(
  attendants: Attendant[],
  placePx: XyxyPx,
  tracks: readonly Track[],
  { atMs, source }: Pick<Frame, 'atMs' | 'source'>,
  elapsedMs: number,
): void {
  for (const attendant of attendants) {
    const track = tracks.find(({ id }) => id === attendant.track);
    if (track?.seen !== true) {
      const again = tracks.some(
        ({ seen, group, xyxyPx }) =>
          seen && group === attendant.group && iou(xyxyPx, attendant.lastBox) >= AGAIN_IOU,
      );
      if (again && atMs - attendant.lastSeenMs > SUCCESSOR_MS) attendant.againMs += elapsedMs;
      continue;
    }
    attendant.lastBox = track.xyxyPx;
    attendant.lastSeenMs = atMs;
    attendant.moved ||= hasMoved(attendant.group, attendant.firstBox, track.xyxyPx, source);
    const away = distance(placePx, track.xyxyPx);
    if (away > GONE) {
      attendant.left = true;
      attendant.backMs = undefined;
      continue;
    }
    attendant.backMs ??= atMs;
    if (attendant.left && atMs - attendant.backMs < BACK_MS) continue;
    attendant.left = false;
    attendant.lastBesideMs = atMs;
  }
  for (const track of tracks) {
    if (!track.seen || track.group === 'bag' || attendants.some(({ track: id }) => id === track.id)) continue;
    if (distance(placePx, track.xyxyPx) > GONE) continue;
    const lost = attendants.find(
      ({ left, lastSeenMs, lastBox }) =>
        !left &&
        track.firstMs >= lastSeenMs - 500 &&
        track.firstMs <= lastSeenMs + SUCCESSOR_MS &&
        iou(lastBox, track.xyxyPx) >= SUCCESSOR_IOU,
    );
    if (lost === undefined) continue;
    lost.left = true;
    attendants.push({
      ...lost,
      track: track.id,
      label: track.label,
      group: track.group,
      lastBesideMs: atMs,
      left: false,
      backMs: undefined,
      lastBox: track.xyxyPx,
      lastSeenMs: atMs,
    });
  }
}

/** Two regions are one: each of the part's attendants was beside the whole. */
export function mergeAttendants(whole: Attendant[], part: readonly Attendant[]): void {
  for (const attendant of part) {
    const known = whole.find(({ track }) => track === attendant.track);
    if (known === undefined) whole.push(attendant);
    else known.besideMs = Math.max(known.besideMs, attendant.besideMs);
  }
}

/** Those who are not the thing itself, taken for somebody. */
export function people(attendants: readonly Attendant[], placePx: XyxyPx, firstMs: number): Attendant[] {
  return attendants.filter(
    ({ firstSeenMs, firstBox, lastBox }) =>
      firstSeenMs < firstMs - BEGAN_MS ||
      shareInside(firstBox, placePx) < THING_INSIDE ||
      shareInside(lastBox, placePx) < THING_INSIDE,
  );
}

/** One of the people is still there, or was lost from sight there a moment ago. A standing vehicle attends to nothing. */
export function isAttended(attendants: readonly Attendant[], atMs: number): boolean {
  return attendants.some(
    ({ left, lastSeenMs, group }) => group !== 'vehicle' && !left && atMs - lastSeenMs <= SUCCESSOR_MS,
  );
}

/** Media time at which the last of them was still there; a vehicle that stands there anyway does not count. */
export function lastLeftMs(attendants: readonly Attendant[]): number {
  const counted = attendants.filter(({ group, left }) => group !== 'vehicle' || left);
  return Math.max(0, ...counted.map(({ lastBesideMs }) => lastBesideMs));
}

/**
 * Those who can have brought it: they had not left when it was put down, and they moved. Of a vehicle both must have
 * been seen; a person whose track broke where he stood has gone when nothing is seen in the spot any more.
 */
export function carriers(attendants: readonly Attendant[], firstMs: number): Attendant[] {
  return attendants.filter(({ moved, left, lastBesideMs, againMs, group }) => {
    const slackMs = DEPOSIT_SLACK_MS + (left ? 0 : COVERS_MS);
    if (lastBesideMs < firstMs - slackMs) return false;
    return group === 'vehicle' ? moved && left : moved || againMs < AGAIN_MS;
  });
}

/** The carrier who was nearest when the place changed, of those who have gone if there are any. */
export function carrierOf(
  attendants: readonly Attendant[],
  firstMs: number,
  atMs: number,
): Attendant | undefined {
  const possible = carriers(attendants, firstMs);
  const gone = possible.filter(({ left, lastSeenMs }) => left || atMs - lastSeenMs > SUCCESSOR_MS);
  let best: Attendant | undefined;
  for (const attendant of gone.length > 0 ? gone : possible) {
    if (best === undefined || attendant.nearest < best.nearest - SAME_DISTANCE) best = attendant;
    else if (attendant.nearest < best.nearest + SAME_DISTANCE && attendant.besideMs > best.besideMs)
      best = attendant;
  }
  return best;
}

function hasMoved(group: Group, from: XyxyPx, to: XyxyPx, source: SizePx | undefined): boolean {
  const across = wayOf([from[0], from[2]], [to[0], to[2]], source?.widthPx);
  const down = wayOf([from[1], from[3]], [to[1], to[3]], source?.heightPx);
  const way = Math.hypot(across, down);
  if (group !== 'vehicle') return way >= MOVED_PERSON * Math.max(sizeOf(from), sizeOf(to));
  return way >= MOVED_VEHICLE * Math.max(shorterOf(from), shorterOf(to));
}

/** Along one axis, of the middle; of the side that is free where the frame's edge cuts the other off. */
function wayOf(from: readonly [number, number], to: readonly [number, number], sidePx = 0): number {
  const slack = EDGE_NORM * sidePx;
  const low = Math.min(from[0], to[0]) <= slack;
  const high = Math.max(from[1], to[1]) >= sidePx - slack;
  const [first, second] = [to[0] - from[0], to[1] - from[1]];
  if (sidePx === 0 || low === high) return (first + second) / 2;
  return low ? second : first;
}

function shorterOf([x1, y1, x2, y2]: XyxyPx): number {
  return Math.min(x2 - x1, y2 - y1);
}

/** Distance between a place and a track's box, in heights of a person (0 where they overlap). */
function distance(place: XyxyPx, box: XyxyPx): number {
  const dx = Math.max(0, place[0] - box[2], box[0] - place[2]);
  const dy = Math.max(0, place[1] - box[3], box[1] - place[3]);
  return Math.hypot(dx, dy) / sizeOf(box);
}

/** A person is higher than wide; of anything wider the shorter side is its size. */
function sizeOf(box: XyxyPx): number {
  const height = box[3] - box[1];
  return Math.max(1, height > box[2] - box[0] ? height : shorterOf(box));
}

function boxAt(boxes: Float64Array, at: number): XyxyPx {
  return [boxes[at] as number, boxes[at + 1] as number, boxes[at + 2] as number, boxes[at + 3] as number];
}
