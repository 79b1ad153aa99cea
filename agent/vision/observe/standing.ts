/**
 * Vehicles that stand: remembered by place, not by track number, so that one parked car stays one parked
 * car through a lost track, a passer-by in front of it and a change of light.
 *
 * A place begins as a candidate where a vehicle is detected. It is confirmed when a vehicle has come to
 * stand there: detected at first, its picture unchanged since, and unlike the place of the last minute. It
 * is given up when its picture has changed and nothing stands in front of it. A small detector loses a car
 * for many seconds at a time; the picture of its place does not lie. What nobody saw arrive belongs to the
 * scene: a kiosk that the detector takes for a lorry, or a car that stood there before the box started,
 * except where the agent knows it from before.
 *
 * INVARIANTS: `sinceMs` of a confirmed place never moves; a confirmed place is reported in every frame until given up.
 * LIMITS: 64 places, the youngest candidate goes first (counted); hidden for 10 minutes at most; twelve
 * luma pictures of the last minute, in memory only, and as long the boxes of vehicles that have driven off.
 */
import type { ZoneConfig } from '../../contract/config.ts';
import { iou, type SizePx, shareInside, type XyxyNorm, type XyxyPx } from '../../contract/geometry.ts';
import type { Label } from '../../contract/label.ts';
import type { StandingVehicle } from '../../contract/observation.ts';
import type { Detection, Frame, Track } from '../../contract/picture.ts';
import { blend, keptLuma, type LumaPicture, likeness, lumaPicture, type Patch, patchOf } from './patch.ts';
import { newVisit, type Visit, Zone } from './zone.ts';

const PLACES_MAX = 64;
/** Two boxes of the same standing car differ by jitter only: half overlap leaves room for a cut-off corner. */
const SAME_BOX_IOU_MIN = 0.4;
/** A candidate whose picture changes for so long has driven on. */
const CANDIDATE_ABSENT_MAX_MS = 1500;
/** A candidate that is no longer detected and was never sure is forgotten. */
const CANDIDATE_UNSEEN_MAX_MS = 15_000;
/** A stop at a crossing's kerb or a manoeuvre is shorter; every parking rule's own time is longer. */
const CONFIRM_AFTER_MS = 3000;
/**
 * … and it must have been found there for so long: one that rolls on is found within the tolerance for a third of
 * that, and the picture that it leaves behind may be its own, a length further.
 */
const FOUND_FOR_MS = 1000;
/** Pictures of places are compared five times a second: nothing that is judged here is over sooner. */
const JUDGE_EVERY_MS = 190;
/** A candidate that was turned down is looked at again after so long: comparing it with the last minute costs. */
const LOOK_AGAIN_MS = 1000;
/** A single box is a flicker, two may be; the tracker asks for no more. */
const HITS_MIN = 3;
/** The detector's start threshold for vehicles (its model card): below it a box alone proves nothing. */
const SURE_SCORE_MIN = 0.3;
/** One picture in so long, for twelve such spans: what the place looked like in the last minute. */
const HISTORY_EVERY_MS = 5000;
const HISTORY_MAX = 12;
/** A candidate for longer belongs to the scene: by then half of the pictures of the time before it are gone. */
const CONFIRM_UNTIL_MS = 30_000;
/** The youngest picture that can show the place without the vehicle: it had not come near yet. */
const HISTORY_BEFORE_MS = 2000;
/** Street surface against a car correlates below 0.3, a car against itself in other light above 0.6. */
const LIKENESS_MIN = 0.5;
/** So much of a box inside of another is a part of it … */
const PART_INSIDE_MIN = 0.7;
/** … unless it stands before it, its foot lower in the picture by more than the jitter of a box (of its height). */
const FOOT_BEFORE = 0.1;
/** A part that was found first came with its vehicle; what was there before is another, now behind it. */
const SAME_ARRIVAL_MS = 5000;
/** Longer than a detector's lapse or a cloud's edge passing; short enough that the next car is another. */
const ABSENT_MAX_MS = 5000;
/** A bus or a lorry in front stays for minutes, not for longer. */
const HIDDEN_MAX_MS = 600_000;
/** A foreground object covers so much of the place when it can hide the car. */
const COVER_SHARE_MIN = 0.2;
/** The remembered picture follows slow changes of light with this time constant. */
const RELEARN_MS = 10_000;

interface Place {
  readonly id: number;
  /** Where and since when: both move on while the vehicle still rolls, and are fixed once confirmed. */
  box: XyxyPx;
  sinceMs: number;
  /** The last box that was found there. */
  foundBox: XyxyPx;
  readonly visits: readonly Visit[];
  readonly votes: Map<Label, number>;
  confirmed: boolean;
  judgedMs: number;
  /** When to look next whether it can be confirmed. */
  lookMs: number;
  /** Number of the track last seen there; 0 = none yet. */
  track: number;
  score: number;
  scoreMax: number;
  hits: number;
  seenMs: number;
  presentMs: number;
  hiddenSinceMs: number | undefined;
  patch: Patch | undefined;
}

export interface StandingOptions {
  readonly zones: readonly ZoneConfig[];
  /** How far the box's centre may move and still stand, in sizes of the box. */
  readonly moveTolerance: number;
  /** Vehicles that the agent knows to stand since before this process lived. */
  readonly known: readonly XyxyNorm[];
}

export class StandingVehicles {
  readonly #zones: readonly Zone[];
  readonly #moveTolerance: number;
  readonly #known: readonly XyxyNorm[];
  #places: Place[] = [];
  #history: { readonly atMs: number; readonly picture: LumaPicture }[] = [];
  /** Vehicles that were seen to drive off: pictures of the time in which they stood show them and no other. */
  #gone: { readonly box: XyxyPx; readonly fromMs: number; readonly toMs: number }[] = [];
  #placesGiven = 0;
  #dropped = 0;

  constructor({ zones, moveTolerance, known }: StandingOptions) {
    this.#zones = zones.map((zone) => new Zone(zone));
    this.#moveTolerance = moveTolerance;
    this.#known = known;
  }

  /** Candidates thrown away since the start because there were too many places. */
  get dropped(): number {
    return this.#dropped;
  }

  /** A vehicle may have come to stand, and is not sure yet. */
  waits(atMs: number): boolean {
    return this.#places.some((place) => {
      const { confirmed, sinceMs, seenMs, hits } = place;
      if (confirmed || !isLikely(place) || atMs - sinceMs > CONFIRM_UNTIL_MS) return false;
      return hits < HITS_MIN || seenMs - sinceMs < FOUND_FOR_MS;
    });
  }

  /** `looked` is false where `detections` are those of an earlier frame: nothing is found anew then. */
  update(
    frame: Frame,
    tracks: readonly Track[],
    detections: readonly Detection[],
    looked = true,
  ): StandingVehicle[] {
    const vehicles = detections.filter(({ group }) => group === 'vehicle');
    const vehicleTracks = tracks.filter(({ group, seen }) => group === 'vehicle' && seen);
    const picture = lumaPicture(frame);
    if (looked) this.#see(vehicles, vehicleTracks, frame.atMs);
    for (const place of this.#places) this.#judge(place, picture, frame.atMs, tracks, vehicles);
    this.#places = this.#places.filter((place) => stays(place, frame.atMs));
    for (const place of this.#places) this.#confirm(place, frame);
    this.#keepHistory(picture, frame.atMs);
    return this.#places.filter(({ confirmed }) => confirmed).map((place) => this.#describe(place, frame));
  }

  #keepHistory(picture: LumaPicture, atMs: number): void {
    const last = this.#history.at(-1);
    const resized = last !== undefined && last.picture.source.widthPx !== picture.source.widthPx;
    if (resized) this.#history = [];
    if (!resized && last !== undefined && atMs - last.atMs < HISTORY_EVERY_MS) return;
    this.#history = [...this.#history.slice(1 - HISTORY_MAX), { atMs, picture: keptLuma(picture) }];
    const oldestMs = this.#history[0]?.atMs ?? atMs;
    this.#gone = this.#gone.filter(({ toMs }) => toMs >= oldestMs);
  }

  #see(vehicles: readonly Detection[], tracks: readonly Track[], atMs: number): void {
    const taken = new Set<Place>();
    for (const detection of vehicles) {
      const place = this.#placeOf(detection.xyxyPx, taken) ?? this.#begin(detection, atMs);
      if (place === undefined) continue;
      taken.add(place);
      place.hits += 1;
      place.score = detection.score;
      place.scoreMax = Math.max(place.scoreMax, detection.score);
      place.seenMs = atMs;
      place.foundBox = detection.xyxyPx;
      place.votes.set(detection.label, (place.votes.get(detection.label) ?? 0) + detection.score);
    }
    for (const place of taken) {
      place.track = best(tracks, place.box)?.id ?? place.track;
    }
  }

  #placeOf(box: XyxyPx, taken: ReadonlySet<Place>): Place | undefined {
    const near = this.#places.filter(
      (place) =>
        !taken.has(place) &&
        iou(place.box, box) >= SAME_BOX_IOU_MIN &&
        distanceSizes(place.box, box) <= this.#moveTolerance,
    );
    return near.sort((a, b) => iou(b.box, box) - iou(a.box, box))[0];
  }

  #begin(detection: Detection, atMs: number): Place | undefined {
    if (this.#places.length >= PLACES_MAX) {
      const youngest = this.#places.findLastIndex(({ confirmed }) => !confirmed);
      if (youngest >= 0) this.#places.splice(youngest, 1);
      this.#dropped += 1;
      if (youngest < 0) return undefined;
    }
    this.#placesGiven += 1;
    const place: Place = {
      id: this.#placesGiven,
      box: detection.xyxyPx,
      sinceMs: atMs,
      foundBox: detection.xyxyPx,
      visits: this.#zones.map(newVisit),
      votes: new Map(),
      confirmed: false,
      judgedMs: Number.NEGATIVE_INFINITY,
      lookMs: atMs + CONFIRM_AFTER_MS,
      track: 0,
      score: detection.score,
      scoreMax: 0,
      hits: 0,
      seenMs: atMs,
      presentMs: atMs,
      hiddenSinceMs: undefined,
      patch: undefined,
    };
    this.#places.push(place);
    return place;
  }

  #confirm(place: Place, { atMs, source }: Frame): void {
    if (place.confirmed || atMs < place.lookMs || place.hits < HITS_MIN) return;
    if (place.seenMs - place.sinceMs < FOUND_FOR_MS || atMs - place.sinceMs > CONFIRM_UNTIL_MS) return;
    place.lookMs = atMs + LOOK_AGAIN_MS;
    if (!this.#isKnown(place, source) && !(isLikely(place) && this.#arrived(place))) return;
    place.confirmed = !this.#places.some((other) => other.confirmed && isSameVehicle(place, other));
  }

  #isKnown({ box }: Place, { widthPx, heightPx }: SizePx): boolean {
    return this.#known.some(([x1, y1, x2, y2]) => {
      const known: XyxyPx = [x1 * widthPx, y1 * heightPx, x2 * widthPx, y2 * heightPx];
      return iou(known, box) >= SAME_BOX_IOU_MIN;
    });
  }

  /** The place looked different, whenever it was looked at before the vehicle came. */
  #arrived({ box, sinceMs, patch }: Place): boolean {
    const gone = this.#gone.filter((other) => iou(other.box, box) >= SAME_BOX_IOU_MIN);
    const before = this.#history.filter(
      ({ atMs }) =>
        atMs <= sinceMs - HISTORY_BEFORE_MS &&
        !gone.some(({ fromMs, toMs }) => atMs >= fromMs && atMs <= toMs),
    );
    if (patch === undefined || before.length === 0) return false;
    return before.every(({ picture }) => {
      const then = patchOf(picture, box);
      return then === undefined || likeness(patch, then) < LIKENESS_MIN;
    });
  }

  /** Is the vehicle still there? Detected, or its picture unchanged, or hidden behind something. */
  #judge(
    place: Place,
    picture: LumaPicture,
    atMs: number,
    tracks: readonly Track[],
    vehicles: readonly Detection[],
  ): void {
    if (atMs - place.judgedMs < JUDGE_EVERY_MS) return;
    // Seen since the last look is seen: a detector that finds it in every second frame has found it.
    const seen = place.seenMs > place.judgedMs;
    place.judgedMs = atMs;
    const now = patchOf(picture, place.box);
    const like = now !== undefined && place.patch !== undefined && likeness(place.patch, now) >= LIKENESS_MIN;
    if (seen || like) {
      if (seen && now !== undefined) {
        // A candidate that looks different from a moment ago still rolls, or was nothing before: it stands from now on.
        if (!place.confirmed && place.patch !== undefined && !like) restart(place, atMs);
        // Its picture is the last one, not a mean.
        const share = 1 - Math.exp(-(atMs - place.presentMs) / RELEARN_MS);
        place.patch =
          place.confirmed && place.patch !== undefined
            ? blend(place.patch, now, share)
            : patchOf(picture, place.box);
      }
      place.presentMs = atMs;
      place.hiddenSinceMs = undefined;
      return;
    }
    if (this.#leaves(place, tracks)) {
      place.presentMs = Number.NEGATIVE_INFINITY;
      if (place.confirmed) this.#gone.push({ box: place.box, fromMs: place.sinceMs, toMs: atMs });
    } else if (place.confirmed && covered(place, tracks, vehicles)) {
      place.hiddenSinceMs ??= atMs;
      if (atMs - place.hiddenSinceMs < HIDDEN_MAX_MS) place.presentMs = atMs;
    }
  }

  /** Its own track is seen to have moved away. */
  #leaves(place: Place, tracks: readonly Track[]): boolean {
    const own = tracks.find(({ id, seen }) => id === place.track && seen);
    return own !== undefined && distanceSizes(place.box, own.xyxyPx) > 2 * this.#moveTolerance;
  }

  #describe(place: Place, { source, atMs }: Frame): StandingVehicle {
    const [x1, y1, x2, y2] = place.box;
    const { widthPx, heightPx } = source;
    const label = [...place.votes].sort(([, a], [, b]) => b - a)[0]?.[0] ?? 'car';
    const zones = this.#zones.flatMap((zone, i) => {
      const visit = place.visits[i] as Visit;
      zone.visit(visit, source, [(x1 + x2) / 2, y2], y2 - y1, atMs);
      return visit.present ? [{ zone: zone.id, sinceMs: place.sinceMs }] : [];
    });
    const presence = place.seenMs === atMs ? 'seen' : place.hiddenSinceMs === undefined ? 'held' : 'hidden';
    return {
      place: place.id,
      presence,
      vehicle: {
        // A vehicle that no track has followed goes by its place's number.
        id: place.track === 0 ? place.id : place.track,
        group: 'vehicle',
        label,
        score: place.score,
        xyxyNorm: [x1 / widthPx, y1 / heightPx, x2 / widthPx, y2 / heightPx],
        ground: [(x1 + x2) / 2 / widthPx, y2 / heightPx],
        velocityNormPerS: [0, 0],
        firstMs: place.sinceMs,
        lastMs: place.seenMs,
        seen: presence === 'seen',
        zones,
      },
    };
  }
}

/** The tracker starts no vehicle lightly either: what it follows has been sure once, or steady. */
function isLikely({ track, scoreMax }: Place): boolean {
  return track !== 0 || scoreMax >= SURE_SCORE_MIN;
}

function stays({ confirmed, presentMs, seenMs }: Place, atMs: number): boolean {
  if (confirmed) return atMs - presentMs < ABSENT_MAX_MS;
  return atMs - presentMs < CANDIDATE_ABSENT_MAX_MS && atMs - seenMs < CANDIDATE_UNSEEN_MAX_MS;
}

/** It stands from now on, where it was found last. */
function restart(place: Place, atMs: number): void {
  place.box = place.foundBox;
  place.sinceMs = atMs;
  place.lookMs = atMs + CONFIRM_AFTER_MS;
}

function best(tracks: readonly Track[], box: XyxyPx): Track | undefined {
  const near = tracks.filter(({ xyxyPx }) => iou(xyxyPx, box) >= SAME_BOX_IOU_MIN);
  return near.sort((a, b) => iou(b.xyxyPx, box) - iou(a.xyxyPx, box))[0];
}

/** Detectors box a vehicle's parts as well, and a place may remain from when it rolled: one track stands at one place. */
function isSameVehicle(place: Place, other: Place): boolean {
  if (other.track !== 0 && other.track === place.track) return true;
  if (iou(other.box, place.box) >= SAME_BOX_IOU_MIN || isPart(place.box, other.box)) return true;
  return isPart(other.box, place.box) && Math.abs(other.sinceMs - place.sinceMs) <= SAME_ARRIVAL_MS;
}

function isPart(part: XyxyPx, whole: XyxyPx): boolean {
  const height = part[3] - part[1];
  return shareInside(part, whole) >= PART_INSIDE_MIN && part[3] - whole[3] <= FOOT_BEFORE * height;
}

/**
 * Does another object lie over a good part of the place? Its own detections would have been counted as seen;
 * of the others only sure ones hide it, since a false box hides nothing.
 */
function covered({ box, track }: Place, tracks: readonly Track[], vehicles: readonly Detection[]): boolean {
  const sure = vehicles.filter(({ score }) => score >= SURE_SCORE_MIN);
  const others = [...tracks.filter(({ id }) => id !== track), ...sure].map(({ xyxyPx }) => xyxyPx);
  return others.some((other) => shareInside(box, other) >= COVER_SHARE_MIN);
}

function area([x1, y1, x2, y2]: XyxyPx): number {
  return (x2 - x1) * (y2 - y1);
}

/** Distance of two boxes' centres in sizes (root of the area) of the first. */
function distanceSizes(a: XyxyPx, b: XyxyPx): number {
  return Math.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2 / Math.sqrt(area(a));
}
