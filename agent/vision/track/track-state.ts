/** State of one tracked object between frames. */
import type { SizePx, XyxyPx } from '../../contract/geometry.ts';
import type { Group, Label } from '../../contract/label.ts';
import { BEFORE_MAX } from '../../contract/observation.ts';
import type { Detection, Track } from '../../contract/picture.ts';
import { blend, type ColourPrint, likeness } from './colour.ts';
import { BoxFilter, type CutSides } from './kalman.ts';
import type { GroupSettings, TrackerSettings } from './settings.ts';

/** Lifetime of a colour print after the last detection, in ms. Colours must not serve to find a person again. */
const PRINT_MS = 2000;

/** Detections after which the velocity is the measured one, whatever was expected. */
const MEASURED_HITS = 4;

/** Detection with the tracker's additions for one update. */
export interface Candidate {
  readonly detection: Detection;
  readonly cutSides: CutSides;
  /** Undefined if the score is too low, or the box too small, for a colour print. */
  readonly print: ColourPrint | undefined;
  /** True if another box overlaps this one, so that some of its colours belong to another object. */
  readonly crowded: boolean;
}

interface FoundBox {
  readonly atMs: number;
  readonly xyxyPx: XyxyPx;
}

const NOWHERE: readonly FoundBox[] = [];

export class TrackState {
  readonly id: number;
  readonly group: Group;
  readonly #settings: TrackerSettings;
  readonly #groupSettings: GroupSettings;
  readonly #filter: BoxFilter;
  readonly #firstMs: number;
  readonly #votes = new Map<Label, number>();
  #label: Label;
  #hits = 0;
  #score = 0;
  #frames = 1;
  #peakScore = 0;
  #lastMs: number;
  #lastHighMs: number;
  #xyxyPx: XyxyPx;
  #print: ColourPrint | undefined;
  #confirmed = false;
  /** Places from before it was confirmed; dropped with the next frame. */
  #before: readonly FoundBox[] = NOWHERE;

  /** `expected` is the usual velocity at its start, in sizes of the box a second. */
  constructor(
    id: number,
    candidate: Candidate,
    atMs: number,
    settings: TrackerSettings,
    expected?: readonly [number, number],
  ) {
    const { detection, cutSides, print } = candidate;
    this.id = id;
    this.group = detection.group;
    this.#settings = settings;
    this.#groupSettings = settings.groups[detection.group];
    this.#filter = new BoxFilter(
      detection.xyxyPx,
      detection.score,
      cutSides,
      this.#groupSettings.noise,
      expected,
    );
    this.#firstMs = atMs;
    this.#label = detection.label;
    this.#lastMs = atMs;
    this.#lastHighMs = atMs;
    this.#xyxyPx = detection.xyxyPx;
    this.#print = print;
    this.#count(detection, atMs);
  }

  get confirmed(): boolean {
    return this.#confirmed;
  }

  /** True if its score suffices for a confirmation, even if it is not confirmed yet. */
  get likely(): boolean {
    return this.#peakScore >= this.#groupSettings.peakScoreMin;
  }

  /** Media time of the last matched detection, ms. */
  get lastMs(): number {
    return this.#lastMs;
  }

  /** Media time of the last matched detection with a high score, or of the first one, ms. */
  get lastHighMs(): number {
    return this.#lastHighMs;
  }

  /** Last detected box, while movement is only expected, because the object may also be at rest. */
  get foundPx(): XyxyPx | undefined {
    return this.#groupSettings.flow !== true || this.#confirmed ? undefined : this.#before.at(-1)?.xyxyPx;
  }

  /** Velocity in sizes of the box (its longer side) a second, after it was measured by several boxes. */
  get measuredSizesPerS(): readonly [number, number] | undefined {
    if (this.#hits < MEASURED_HITS) return undefined;
    const box = this.#xyxyPx;
    const size = Math.max(box[2] - box[0], box[3] - box[1]);
    const velocity = this.#filter.velocityPxPerS;
    return [velocity[0] / size, velocity[1] / size];
  }

  /** The filtered box, or the predicted one since `predict`. */
  get xyxyPx(): XyxyPx {
    return this.#xyxyPx;
  }

  /** Moves the box on to `atMs`, `seconds` after the previous frame. */
  predict(seconds: number, atMs: number): void {
    if (atMs - this.#lastMs > PRINT_MS) this.#print = undefined;
    this.#frames += 1;
    if (this.#confirmed) this.#before = NOWHERE;
    this.#filter.predict(seconds);
    this.#xyxyPx = this.#filter.xyxyPx;
  }

  /** Returns the ratio of the box that lies outside the frame, 0..1. */
  outsideRatio({ widthPx, heightPx }: SizePx): number {
    const box = this.#xyxyPx;
    const width = Math.max(0, Math.min(box[2], widthPx) - Math.max(box[0], 0));
    const height = Math.max(0, Math.min(box[3], heightPx) - Math.max(box[1], 0));
    return 1 - (width * height) / ((box[2] - box[0]) * (box[3] - box[1]));
  }

  /**
   * Returns how well a detection fits, given the overlap of the two boxes. It is 0 if it cannot match, else the overlap
   * times a power of the colours' likeness (1 if one of them has no print).
   */
  worth({ detection, print }: Candidate, overlap: number): number {
    const { distance2Max, likenessMin, likenessPower } = this.#settings;
    if (this.#filter.distance2(detection.xyxyPx, detection.score) > distance2Max) return 0;
    if (this.#print === undefined || print === undefined) return overlap;
    const alike = likeness(this.#print, print);
    return alike < likenessMin ? 0 : overlap * alike ** likenessPower;
  }

  /** Updates the track with the matched detection. */
  match({ detection, cutSides, print, crowded }: Candidate, atMs: number): void {
    const seconds = (atMs - this.#lastMs) / 1000;
    this.#filter.correct(detection.xyxyPx, detection.score, cutSides, seconds);
    this.#xyxyPx = this.#filter.xyxyPx;
    this.#count(detection, atMs);
    if (print === undefined || crowded) return;
    if (this.#print === undefined) this.#print = print;
    else blend(this.#print, print, 1 - Math.exp(-seconds / this.#settings.printS));
  }

  /** Records that no detection was matched in this frame. */
  miss(): void {
    this.#filter.holdSize();
  }

  /** Shifts the times, because time without a detector run and without motion does not count as out of sight. */
  hold(elapsedMs: number): void {
    this.#before = this.#confirmed ? NOWHERE : this.#before;
    this.#lastMs += elapsedMs;
    this.#lastHighMs += elapsedMs;
  }

  /** Speed in sizes of the box (the root of its area) a second. */
  get sizesPerS(): number {
    const box = this.#xyxyPx;
    const velocity = this.#filter.velocityPxPerS;
    const area = (box[2] - box[0]) * (box[3] - box[1]);
    return Math.hypot(velocity[0], velocity[1]) / Math.sqrt(Math.max(1, area));
  }

  /** Returns the track after the frame at `atMs`. */
  toTrack(atMs: number): Track {
    return {
      id: this.id,
      group: this.group,
      label: this.#label,
      score: this.#score,
      bestScore: this.#peakScore,
      xyxyPx: this.#xyxyPx,
      velocityPxPerS: this.#filter.velocityPxPerS,
      firstMs: this.#firstMs,
      before: this.#confirmed && this.#before.length > 0 ? this.#before : undefined,
      lastMs: this.#lastMs,
      seen: this.#lastMs === atMs,
    };
  }

  #count({ score, label, xyxyPx }: Detection, atMs: number): void {
    const { highScoreMin, confirmHits, confirmRatio, peakScoreMin, confirmMs } = this.#groupSettings;
    this.#hits += 1;
    this.#score = score;
    this.#peakScore = Math.max(this.#peakScore, score);
    this.#lastMs = atMs;
    if (score >= highScoreMin) this.#lastHighMs = atMs;
    const votes = (this.#votes.get(label) ?? 0) + 1;
    this.#votes.set(label, votes);
    if (votes > (this.#votes.get(this.#label) ?? 0)) this.#label = label;
    this.#confirmed ||=
      this.#hits >= confirmHits &&
      this.#hits >= confirmRatio * this.#frames &&
      this.#peakScore >= peakScoreMin &&
      atMs - this.#firstMs >= confirmMs;
    if (!this.#confirmed) this.#before = [...this.#before.slice(1 - BEFORE_MAX), { atMs, xyxyPx }];
  }
}
