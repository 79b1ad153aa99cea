/**
 * Tracks parked vehicles by place instead of track number. So one parked car stays one through a lost track, a
 * passer-by in front of it and a change of light.
 *
 * A place begins as a candidate where a vehicle is detected. It is confirmed after a vehicle has stayed there: detected
 * at first, with an unchanged picture since. Then it is also known whether its arrival was seen (stationary-arrival.ts).
 * A box that covers half of a confirmed place is the same vehicle.
 *
 * A place ends when its picture has changed and no object is in front of it. A small detector loses a car for many
 * seconds at a time; the picture of its place is reliable. A place that proves to hold several vehicles ends too.
 *
 * INVARIANTS: `sinceMs` of a confirmed place never moves; a confirmed place is reported in every frame until it ends.
 * LIMITS: 64 places, the youngest candidate is removed first (counted); hidden for at most 10 minutes.
 */
import type { ZoneConfig } from '../../contract/config.ts';
import { iou, type XyxyPx } from '../../contract/geometry.ts';
import type { Label } from '../../contract/label.ts';
import type { StationaryVehicle } from '../../contract/observation.ts';
import type { Detection, Frame, Track } from '../../contract/picture.ts';
import { newVisit, type Visit, Zone } from '../../contract/zone-visit.ts';
import { blend, FrameLuma, type LumaPicture, likeness, patchOf } from './patch.ts';
import { LIKENESS_MIN, VehicleArrivals } from './stationary-arrival.ts';
import {
  bestTrack,
  distanceSizes,
  isGroup,
  isInPlace,
  isLikely,
  isOccluded,
  isPartlyOccluded,
  isSameVehicle,
  newPlace,
  noteGroup,
  type Place,
  restart,
  SAME_BOX_IOU_MIN,
  stays,
} from './stationary-place.ts';

const PLACES_MAX = 64;
/**
 * Time for which a vehicle must have been detected at its place, in ms. A rolling vehicle is within the tolerance for a
 * third of that, and the picture one length further may still be its own.
 */
const FOUND_FOR_MS = 1000;
/** Interval of comparing pictures of places, in ms; all evaluated changes last longer. */
const EVALUATE_EVERY_MS = 190;
/** Time until a rejected candidate is evaluated again, in ms, because the comparison with the last minute is costly. */
const RECHECK_MS = 1000;
/** Detections required. A single box is a flicker, two may be; the tracker requires no more. */
const HITS_MIN = 3;
/** Age from which a candidate belongs to the scene, in ms; half of the pictures from before it are then gone. */
const CONFIRM_UNTIL_MS = 30_000;
/** Longest time hidden, in ms: a bus or a lorry in front stays for minutes, not longer. */
const HIDDEN_MAX_MS = 600_000;
/** Time constant in ms with which the stored picture follows slow changes of light. */
const RELEARN_MS = 10_000;

export interface StationaryVehiclesOptions {
  readonly zones: readonly ZoneConfig[];
  /** Largest movement of a parked vehicle's box centre, in sizes of the box. */
  readonly moveTolerance: number;
  /** Returns the number of the next place, unique among all instances. */
  nextPlace(): number;
}

export class StationaryVehicles {
  readonly #zones: readonly Zone[];
  readonly moveTolerance: number;
  readonly #nextPlace: () => number;
  readonly #arrivals = new VehicleArrivals();
  #places: Place[] = [];
  #droppedCandidates = 0;
  /** Time of the last detector run. */
  #seenMs: number | undefined;

  constructor({ zones, moveTolerance, nextPlace }: StationaryVehiclesOptions) {
    this.#zones = zones.map((zone) => new Zone(zone));
    this.moveTolerance = moveTolerance;
    this.#nextPlace = nextPlace;
  }

  /** Candidates removed since the start because there were too many places. */
  get droppedCandidates(): number {
    return this.#droppedCandidates;
  }

  /** Reports whether a vehicle may have stopped but is not certain yet. */
  waits(atMs: number): boolean {
    for (const place of this.#places) {
      const { confirmed, sinceMs, seenMs, hits } = place;
      if (confirmed !== undefined || !isLikely(place) || atMs - sinceMs > CONFIRM_UNTIL_MS) continue;
      if (hits < HITS_MIN || seenMs - sinceMs < FOUND_FOR_MS) return true;
    }
    return false;
  }

  /** Takes the next frame. `detectorRan` is false if `detections` are from an earlier frame, which adds no detections. */
  update(
    frame: Frame,
    tracks: readonly Track[],
    detections: readonly Detection[],
    detectorRan = true,
  ): StationaryVehicle[] {
    const vehicles = detections.filter(isVehicle);
    const vehicleTracks = tracks.filter(isSeenVehicle);
    const picture = new FrameLuma(frame);
    const { widthPx, heightPx } = frame.source;
    // A picture without contrast gives no information about any place; the vehicles are behind it.
    const blank = patchOf(picture, [0, 0, widthPx, heightPx]) === undefined;
    if (!blank) this.#arrivals.begin(picture, vehicleTracks, frame.atMs);
    if (detectorRan) this.#see(vehicles, vehicleTracks, frame.atMs);
    for (const place of this.#places) {
      if (blank) hide(place, frame.atMs);
      else this.#evaluate(place, picture, frame.atMs, tracks, vehicles);
    }
    const places: Place[] = [];
    for (const place of this.#places) if (stays(place, frame.atMs)) places.push(place);
    this.#places = places;
    for (const place of places) this.#confirm(place, frame);
    if (!blank) this.#arrivals.keep(picture, frame.atMs);
    const stationary: StationaryVehicle[] = [];
    for (const place of places) {
      if (place.confirmed !== undefined) stationary.push(this.#describe(place, place.confirmed, frame));
    }
    return stationary;
  }

  /**
   * Restarts the arrivals, because the camera could not see or shows another view. Vehicles there now have unseen
   * arrivals.
   */
  viewReturns(): void {
    this.#arrivals.forget();
  }

  #see(vehicles: readonly Detection[], tracks: readonly Track[], atMs: number): void {
    const takenPlaces = new Set<Place>();
    const elapsedMs = Math.min(RECHECK_MS, atMs - (this.#seenMs ?? atMs));
    this.#seenMs = atMs;
    for (const detection of vehicles) {
      const place = this.#placeOf(detection.xyxyPx, takenPlaces) ?? this.#begin(detection, atMs);
      if (place === undefined) continue;
      takenPlaces.add(place);
      place.hits += 1;
      place.score = Math.max(place.score, detection.score);
      if (place.confirmed === undefined) place.scoreMax = Math.max(place.scoreMax, detection.score);
      place.seenMs = atMs;
      place.foundBox = detection.xyxyPx;
      place.votes.set(detection.label, (place.votes.get(detection.label) ?? 0) + detection.score);
    }
    for (const place of takenPlaces) {
      place.track = bestTrack(tracks, place.box)?.id ?? place.track;
      if (place.confirmed === 'appeared' && this.#arrivals.wasThere(place)) place.confirmed = 'unseen';
    }
    for (const place of this.#places)
      if (place.confirmed !== undefined) noteGroup(place, vehicles, takenPlaces.has(place), elapsedMs);
  }

  #placeOf(box: XyxyPx, takenPlaces: ReadonlySet<Place>): Place | undefined {
    let best: Place | undefined;
    let maxOverlap = 0;
    for (const place of this.#places) {
      if (takenPlaces.has(place)) continue;
      const overlap = iou(place.box, box);
      if (overlap < SAME_BOX_IOU_MIN || overlap <= maxOverlap) continue;
      if (distanceSizes(place.box, box) > this.moveTolerance) continue;
      maxOverlap = overlap;
      best = place;
    }
    return best;
  }

  #begin(detection: Detection, atMs: number): Place | undefined {
    if (this.#places.length >= PLACES_MAX) {
      const youngest = this.#places.findLastIndex(({ confirmed }) => confirmed === undefined);
      if (youngest >= 0) this.#places.splice(youngest, 1);
      this.#droppedCandidates += 1;
      if (youngest < 0) return undefined;
    }
    const place = newPlace(this.#nextPlace(), detection, this.#zones.map(newVisit), atMs);
    this.#places.push(place);
    return place;
  }

  #confirm(place: Place, { atMs }: Frame): void {
    if (place.confirmed !== undefined || atMs < place.confirmDueMs || place.hits < HITS_MIN) return;
    if (place.seenMs - place.sinceMs < FOUND_FOR_MS || atMs - place.sinceMs > CONFIRM_UNTIL_MS) return;
    place.confirmDueMs = atMs + RECHECK_MS;
    if (!isLikely(place)) return;
    const confirmedBoxes: XyxyPx[] = [];
    for (const other of this.#places) {
      if (other.confirmed === undefined) continue;
      if (isSameVehicle(place, other)) return;
      confirmedBoxes.push(other.box);
    }
    if (isGroup(place, confirmedBoxes)) return;
    place.confirmed = this.#arrivals.of(place);
    place.scoreMax = Math.max(place.scoreMax, this.#arrivals.bestOf(place.track));
  }

  /** Evaluates whether the vehicle is still there: detected, with an unchanged picture, or hidden by an object. */
  #evaluate(
    place: Place,
    picture: LumaPicture,
    atMs: number,
    tracks: readonly Track[],
    vehicles: readonly Detection[],
  ): void {
    if (atMs - place.evaluatedMs < EVALUATE_EVERY_MS) return;
    // One detection since the last evaluation suffices, so a detector may find it in every second frame only.
    const isSeen = place.seenMs > place.evaluatedMs;
    place.evaluatedMs = atMs;
    const now = patchOf(picture, place.box);
    const like = now !== undefined && place.patch !== undefined && likeness(place.patch, now) >= LIKENESS_MIN;
    const inSight = isInPlace(place) && !isPartlyOccluded(place, tracks, vehicles);
    if (place.confirmed === 'unseen' && isSeen && !like && inSight) {
      // Another vehicle at the same place, or the same in another light, which will be detected again.
      this.#arrivals.changes(place);
      place.presentMs = Number.NEGATIVE_INFINITY;
      return;
    }
    if (like) place.scoreMax = Math.max(place.scoreMax, place.score);
    place.score = 0;
    if (isSeen || like) {
      if (isSeen && now !== undefined) {
        // A candidate that looks different is still rolling, was absent before, or has a person in front of it. Except
        // in the last case its stop restarts.
        const hasChanged = place.confirmed === undefined && place.patch !== undefined && !like;
        if (hasChanged && (inSight || !isInPlace(place))) restart(place, atMs);
        // A candidate has the last picture, not a mean.
        const ratio = 1 - Math.exp(-(atMs - place.presentMs) / RELEARN_MS);
        place.patch =
          place.confirmed !== undefined && place.patch !== undefined
            ? blend(place.patch, now, ratio)
            : patchOf(picture, place.box);
      }
      place.presentMs = atMs;
      place.hiddenSinceMs = undefined;
      return;
    }
    if (this.#leaves(place, tracks)) {
      place.presentMs = Number.NEGATIVE_INFINITY;
      if (place.confirmed !== undefined) this.#arrivals.leaves(place, atMs);
    } else {
      const { presentMs } = place;
      hide(place, atMs);
      if (!isOccluded(place, tracks, vehicles)) place.presentMs = presentMs;
    }
  }

  /** Reports whether its own track was seen to move away. */
  #leaves(place: Place, tracks: readonly Track[]): boolean {
    let own: Track | undefined;
    for (const track of tracks) if (own === undefined && track.id === place.track && track.seen) own = track;
    return own !== undefined && distanceSizes(place.box, own.xyxyPx) > 2 * this.moveTolerance;
  }

  #describe(place: Place, arrival: StationaryVehicle['arrival'], { source, atMs }: Frame): StationaryVehicle {
    const x1 = place.box[0];
    const y1 = place.box[1];
    const x2 = place.box[2];
    const y2 = place.box[3];
    const { widthPx, heightPx } = source;
    const zones: StationaryVehicle['vehicle']['zones'] = [];
    for (let i = 0; i < this.#zones.length; i += 1) {
      const zone = this.#zones[i] as Zone;
      const visit = place.visits[i] as Visit;
      zone.visit(visit, source, [(x1 + x2) / 2, y2], y2 - y1, atMs);
      if (visit.present) zones.push({ zone: zone.id, sinceMs: place.sinceMs });
    }
    const presence = place.seenMs === atMs ? 'seen' : place.hiddenSinceMs === undefined ? 'held' : 'hidden';
    const vehicle: StationaryVehicle['vehicle'] = {
      // A vehicle without a track has the number of its place.
      id: place.track === 0 ? place.id : place.track,
      group: 'vehicle',
      label: mostVoted(place.votes) ?? 'car',
      score: place.scoreMax,
      bestScore: place.scoreMax,
      xyxyNorm: [x1 / widthPx, y1 / heightPx, x2 / widthPx, y2 / heightPx],
      ground: [(x1 + x2) / 2 / widthPx, y2 / heightPx],
      velocityNormPerS: [0, 0],
      firstMs: place.sinceMs,
      lastMs: place.seenMs,
      seen: presence === 'seen',
      pixelsMove: false,
      furniture: false,
      zones,
    };
    return { place: place.id, arrival, moveTolerance: this.moveTolerance, presence, vehicle };
  }
}

function isVehicle({ group }: Detection): boolean {
  return group === 'vehicle';
}

function isSeenVehicle({ group, seen: isSeen }: Track): boolean {
  return group === 'vehicle' && isSeen;
}

/** Returns the label with the highest sum; the first of equal ones. */
function mostVoted(votes: ReadonlyMap<Label, number>): Label | undefined {
  let best: Label | undefined;
  let maxScore = Number.NEGATIVE_INFINITY;
  for (const [label, score] of votes) {
    if (score <= maxScore) continue;
    maxScore = score;
    best = label;
  }
  return best;
}

/** Gives an undetected vehicle, which may be hidden by an object, time to be seen again. */
function hide(place: Place, atMs: number): void {
  if (place.confirmed === undefined) return;
  place.hiddenSinceMs ??= atMs;
  if (atMs - place.hiddenSinceMs < HIDDEN_MAX_MS) place.presentMs = atMs;
}
