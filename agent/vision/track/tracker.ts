/**
 * Tracks objects from frame to frame. Each has a Kalman filter, and passes of optimal assignment match the surest pairs
 * first (docs/design/003-tracker.md names the papers and measures each part).
 *
 * INVARIANTS:
 * - An id is never used twice in a process; groups never mix.
 * - A track is reported from its confirmation until it is forgotten, `seen` only in frames that show it.
 * - Its colour print is forgotten with it, and at the latest 2 s after its last detection.
 * - The same frames give the same tracks.
 * - A frame without a detector run (`hold`) has no effect: no object is found, missed, moved or forgotten by it.
 * LIMITS: 256 tracks at once, further ones are refused and counted; 2 s of memory.
 */
import { iou, type SizePx, type XyxyNorm, type XyxyPx } from '../../contract/geometry.ts';
import type { GroundPlane } from '../../contract/ground-plane.ts';
import type { Group } from '../../contract/label.ts';
import type { Detection, Frame, Track } from '../../contract/picture.ts';
import { associate, enlarged } from './association.ts';
import { colourPrint } from './colour.ts';
import type { CutSides } from './kalman.ts';
import { PlaceFlow } from './place-flow.ts';
import { SETTINGS, type TrackerSettings } from './settings.ts';
import { type Candidate, TrackState } from './track-state.ts';

/**
 * Longest interval of a frame rate, in ms; a longer one is a gap in the stream. The lowest configurable rate is 0.2/s.
 */
const INTERVAL_MS_MAX = 5000;

/**
 * Speed below which a box is still, in own sizes a second. The jitter of an object at rest is less; a stroll is 0.6.
 */
const STILL_SIZES_PER_S = 0.4;

/** Weight of a new track at rest, against moving on like others there; the second wins if both fit alike. */
const AT_REST_WEIGHT = 0.9;

/**
 * Width of a person's box above which it is invalid, as a ratio of the picture. It is a person close to the lens with
 * feet far below the picture, or a mistaken detection of a completely dark picture with few contrasts.
 */
const PERSON_WIDTH_MAX = 0.9;

export class Tracker {
  readonly #settings: TrackerSettings;
  readonly #ground: GroundPlane | undefined;
  readonly #flows = new Map<Group, PlaceFlow>();
  /** The flow cell in which each track was last recorded. */
  #noted = new Map<number, number>();
  #tracks: TrackState[] = [];
  #nextId: number;
  #atMs: number | undefined;
  #intervalMs = 0;
  #refusedTracks = 0;
  #impossible = 0;

  /**
   * `firstId` distinguishes the numbers of different runs of a process and gives no information about earlier ones.
   * `ground` excludes objects of impossible size.
   */
  constructor(settings: TrackerSettings = SETTINGS, firstId = 1, ground?: GroundPlane) {
    this.#settings = settings;
    this.#nextId = firstId;
    this.#ground = ground;
  }

  /** Tracks that were not begun because there were too many. */
  get refusedTracks(): number {
    return this.#refusedTracks;
  }

  /** Detections that were too large or too small for their place. */
  get impossible(): number {
    return this.#impossible;
  }

  /**
   * True if an object is likely but uncertain, out of sight for a moment, or moving: the detector should run on the
   * next frame.
   */
  get waits(): boolean {
    for (const track of this.#tracks) {
      if (!track.confirmed) {
        if (track.likely) return true;
      } else if (track.lastMs !== this.#atMs || track.sizesPerS > STILL_SIZES_PER_S) return true;
    }
    return false;
  }

  /** Takes a frame without motion and without a detector run: every object keeps its place, seen or not. */
  hold({ atMs }: Pick<Frame, 'atMs'>): readonly Track[] {
    const intervalMs = this.#atMs === undefined ? 0 : atMs - this.#atMs;
    this.#atMs = atMs;
    for (const track of this.#tracks) track.hold(intervalMs);
    return this.#confirmed(atMs);
  }

  #confirmed(atMs: number): Track[] {
    const confirmed: Track[] = [];
    for (const track of this.#tracks) if (track.confirmed) confirmed.push(track.toTrack(atMs));
    return confirmed;
  }

  /**
   * Takes a frame's detections; returns the confirmed tracks, including those out of sight for a moment. `dark` states
   * that the picture is dark.
   */
  update(frame: Frame, detections: readonly Detection[], dark = false): readonly Track[] {
    const { atMs } = frame;
    this.#advance(frame);
    const possible = this.#possible(detections, frame.source);
    const { high, low } = this.#sort(frame, possible);
    const matched = this.#associate(high, low, atMs);
    for (const track of this.#tracks) if (track.lastMs !== atMs) track.miss();
    const { groups, groupsInTheDark } = this.#settings;
    const starting = dark ? groupsInTheDark : groups;
    for (const candidate of high) this.#start(candidate, matched, frame, starting);
    for (const candidate of low) this.#start(candidate, matched, frame, starting);
    this.#noteFlow(frame);
    return this.#confirmed(atMs);
  }

  /** Records the traffic flow from moving tracks, once in each place. */
  #noteFlow({ atMs, source }: Frame): void {
    const noted = new Map<number, number>();
    for (const track of this.#tracks) {
      const { id, group, confirmed, lastMs, xyxyPx } = track;
      if (this.#settings.groups[group].flow !== true || !confirmed) continue;
      const { measuredSizesPerS } = track;
      const flow = this.#flows.get(group) ?? new PlaceFlow();
      this.#flows.set(group, flow);
      const before = this.#noted.get(id);
      const cell = flow.cellOf(xyxyPx, source);
      const drives = measuredSizesPerS !== undefined && track.sizesPerS > STILL_SIZES_PER_S;
      if (cell !== before && drives && lastMs === atMs) flow.note(cell, measuredSizesPerS);
      noted.set(id, drives && lastMs === atMs ? cell : (before ?? -1));
    }
    this.#noted = noted;
  }

  #possible(detections: readonly Detection[], source: SizePx): readonly Detection[] {
    const { widthPx, heightPx } = source;
    const possible: Detection[] = [];
    for (const detection of detections) {
      const { group, xyxyPx } = detection;
      if (group === 'person' && xyxyPx[2] - xyxyPx[0] >= PERSON_WIDTH_MAX * widthPx) continue;
      if (this.#ground !== undefined) {
        const [x1, y1, x2, y2] = xyxyPx;
        const box: XyxyNorm = [x1 / widthPx, y1 / heightPx, x2 / widthPx, y2 / heightPx];
        if (!this.#ground.allows(group, box, source)) continue;
      }
      possible.push(detection);
    }
    this.#impossible += detections.length - possible.length;
    return possible;
  }

  /** Forgets tracks that are too old or have left, and predicts the rest. */
  #advance({ atMs, source }: Frame): void {
    const { memoryMs, tentativeMs, outsideRatioMax } = this.#settings;
    const intervalMs = this.#atMs === undefined ? 0 : atMs - this.#atMs;
    this.#atMs = atMs;
    this.#intervalMs = Math.min(intervalMs, INTERVAL_MS_MAX);
    const remaining: TrackState[] = [];
    for (const track of this.#tracks) {
      if (!this.#isWithin(track.confirmed ? memoryMs : tentativeMs, track.lastMs)) continue;
      track.predict(intervalMs / 1000, atMs);
      if (track.outsideRatio(source) <= outsideRatioMax) remaining.push(track);
    }
    this.#tracks = remaining;
  }

  /** Reports whether a time is within the memory, which is never shorter than one missed frame. */
  #isWithin(memoryMs: number, sinceMs: number): boolean {
    return (this.#atMs ?? 0) - sinceMs <= Math.max(memoryMs, 2 * this.#intervalMs);
  }

  /** Splits detections by score: those of the first pass, and those that may only continue a track. */
  #sort(frame: Frame, detections: readonly Detection[]): Record<'high' | 'low', Candidate[]> {
    const { groups, crowdedIou, likenessPower, edgeSlack } = this.#settings;
    const believed: Detection[] = [];
    for (const detection of detections)
      if (detection.score >= groups[detection.group].highScoreMin) believed.push(detection);
    const high: Candidate[] = [];
    const low: Candidate[] = [];
    for (const detection of detections) {
      const { group, score, xyxyPx } = detection;
      const cutSides = cutBy(frame.source, xyxyPx, edgeSlack);
      if (score >= groups[group].highScoreMin) {
        const print = likenessPower > 0 ? colourPrint(frame, xyxyPx) : undefined;
        const crowded = isCrowded(detection, believed, crowdedIou);
        high.push({ detection, cutSides, print, crowded });
      } else if (score >= groups[group].lowScoreMin) {
        low.push({ detection, cutSides, print: undefined, crowded: true });
      }
    }
    return { high, low };
  }

  /** Runs the passes; removes matched detections from `high` and `low` and returns them. */
  #associate(high: Candidate[], low: Candidate[], atMs: number): Candidate[] {
    const { groups, iouMin, lowIouMin, enlargeRatio, enlargedIouMin } = this.#settings;
    const matched: Candidate[] = [];
    const confirmed: TrackState[] = [];
    const tentative: TrackState[] = [];
    for (const track of this.#tracks) (track.confirmed ? confirmed : tentative).push(track);
    this.#pass(confirmed, high, { overlapMin: iouMin, ratio: 0 }, matched);
    this.#pass(this.#mayTakeLow(confirmed, groups), low, { overlapMin: lowIouMin, ratio: 0 }, matched);
    const missed: TrackState[] = [];
    for (const track of confirmed) if (track.lastMs !== atMs) missed.push(track);
    const far = { overlapMin: enlargedIouMin, ratio: enlargeRatio };
    this.#pass(missed, high, far, matched);
    this.#pass(tentative, high, far, matched);
    this.#pass(this.#mayTakeLow(tentative, groups), low, { overlapMin: lowIouMin, ratio: 0 }, matched);
    return matched;
  }

  /** Removes the pairs from both and adds their detections to `matched`. */
  #pass(tracks: TrackState[], candidates: Candidate[], pass: Pass, matched: Candidate[]): void {
    if (tracks.length === 0 || candidates.length === 0) return;
    const atMs = this.#atMs as number;
    const indices = associate(tracks, candidates, worthOf, pass);
    const before = matched.length;
    let remaining = 0;
    for (let i = 0; i < tracks.length; i += 1) {
      const track = tracks[i] as TrackState;
      const index = indices[i] as number;
      if (index < 0) {
        tracks[remaining] = track;
        remaining += 1;
        continue;
      }
      const candidate = candidates[index] as Candidate;
      track.match(candidate, atMs);
      matched.push(candidate);
    }
    tracks.length = remaining;
    if (matched.length > before) leaveOut(candidates, matched, before);
  }

  /** Returns the tracks that a weak detection may continue. */
  #mayTakeLow(tracks: readonly TrackState[], groups: TrackerSettings['groups']): TrackState[] {
    const may: TrackState[] = [];
    for (const track of tracks) {
      if (track.lastMs === this.#atMs) continue;
      if (this.#isWithin(groups[track.group].lowMemoryMs, track.lastHighMs)) may.push(track);
    }
    return may;
  }

  #start(
    candidate: Candidate,
    matched: Candidate[],
    { atMs, source }: Frame,
    groups: TrackerSettings['groups'],
  ): void {
    const { duplicateIou, tracksMax } = this.#settings;
    const { group, score, xyxyPx } = candidate.detection;
    if (score < groups[group].startScoreMin) return;
    if (isAmong(matched, candidate.detection, duplicateIou)) return;
    if (this.#tracks.length >= tracksMax) {
      this.#refusedTracks += 1;
      return;
    }
    const flow = this.#flows.get(group);
    const expected = flow?.at(flow.cellOf(xyxyPx, source));
    const settings = { ...this.#settings, groups };
    this.#tracks.push(new TrackState(this.#nextId, candidate, atMs, settings, expected));
    this.#nextId += 1;
    matched.push(candidate);
  }
}

/** Required overlap of a pair's boxes, after each is enlarged by a ratio of its sides. */
interface Pass {
  readonly overlapMin: number;
  readonly ratio: number;
}

function worthOf(track: TrackState, candidate: Candidate, { overlapMin, ratio }: Pass): number {
  if (track.group !== candidate.detection.group) return 0;
  const detectedBox = enlarged(candidate.detection.xyxyPx, ratio);
  const overlap = Math.max(
    iou(enlarged(track.xyxyPx, ratio), detectedBox),
    track.foundPx === undefined ? 0 : AT_REST_WEIGHT * iou(enlarged(track.foundPx, ratio), detectedBox),
  );
  return overlap < overlapMin ? 0 : track.worth(candidate, overlap);
}

/** Removes the detections matched since `from` from the candidates. */
function leaveOut(candidates: Candidate[], matched: readonly Candidate[], from: number): void {
  let remaining = 0;
  for (const candidate of candidates) {
    if (matched.includes(candidate, from)) continue;
    candidates[remaining] = candidate;
    remaining += 1;
  }
  candidates.length = remaining;
}

/** Reports whether one of its group overlaps it by more than `iouMax`. */
function isAmong(matched: readonly Candidate[], { group, xyxyPx }: Detection, iouMax: number): boolean {
  for (const { detection } of matched)
    if (detection.group === group && iou(detection.xyxyPx, xyxyPx) > iouMax) return true;
  return false;
}

/** Reports whether another first-pass detection overlaps it by more than `iouMax`. */
function isCrowded(detection: Detection, believed: readonly Detection[], iouMax: number): boolean {
  for (const other of believed)
    if (other !== detection && iou(other.xyxyPx, detection.xyxyPx) > iouMax) return true;
  return false;
}

function cutBy({ widthPx, heightPx }: SizePx, box: XyxyPx, slack: number): CutSides {
  return {
    width: box[0] < slack * widthPx || box[2] > (1 - slack) * widthPx,
    height: box[1] < slack * heightPx || box[3] > (1 - slack) * heightPx,
  };
}
