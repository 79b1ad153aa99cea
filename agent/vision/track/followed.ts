/** One object as the tracker remembers it between frames. */
import type { SizePx, XyxyPx } from '../../contract/geometry.ts';
import type { Group, Label } from '../../contract/label.ts';
import type { Detection, Track } from '../../contract/picture.ts';
import { blend, type ColourPrint, likeness } from './colour.ts';
import { BoxFilter, type Cut } from './kalman.ts';
import type { GroupSettings, TrackerSettings } from './settings.ts';

/** Colours are no way to find somebody again: so long after an object was last seen, its print is gone. */
const PRINT_MS = 2000;

/** A detection with what the tracker adds to it for the length of one update. */
export interface Candidate {
  readonly detection: Detection;
  readonly cut: Cut;
  /** Undefined where the score is too low, or the box too small, for a look at its colours. */
  readonly print: ColourPrint | undefined;
  /** Another box overlaps this one, so that some of its colours are not its own. */
  readonly crowded: boolean;
}

export class Followed {
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

  constructor(id: number, candidate: Candidate, atMs: number, settings: TrackerSettings) {
    const { detection, cut, print } = candidate;
    this.id = id;
    this.group = detection.group;
    this.#settings = settings;
    this.#groupSettings = settings.groups[detection.group];
    this.#filter = new BoxFilter(detection.xyxyPx, detection.score, cut, this.#groupSettings.noise);
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

  /** Not confirmed perhaps, but believed enough to become so. */
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

  /** The filtered box, or the predicted one since `predict`. */
  get xyxyPx(): XyxyPx {
    return this.#xyxyPx;
  }

  /** Moves the box on to `atMs`, `seconds` after the frame before. */
  predict(seconds: number, atMs: number): void {
    if (atMs - this.#lastMs > PRINT_MS) this.#print = undefined;
    this.#frames += 1;
    this.#filter.predict(seconds);
    this.#xyxyPx = this.#filter.xyxyPx;
  }

  /** Share of the box that lies outside the frame, 0..1. */
  outsideShare({ widthPx, heightPx }: SizePx): number {
    const [x1, y1, x2, y2] = this.#xyxyPx;
    const width = Math.max(0, Math.min(x2, widthPx) - Math.max(x1, 0));
    const height = Math.max(0, Math.min(y2, heightPx) - Math.max(y1, 0));
    return 1 - (width * height) / ((x2 - x1) * (y2 - y1));
  }

  /**
   * How well a detection fits, given the overlap of the two boxes: 0 where it cannot be, else the overlap
   * times a power of the likeness of colours (1 where one of the two has none).
   */
  worth({ detection, print }: Candidate, overlap: number): number {
    const { distance2Max, likenessMin, likenessPower } = this.#settings;
    if (this.#filter.distance2(detection.xyxyPx, detection.score) > distance2Max) return 0;
    if (this.#print === undefined || print === undefined) return overlap;
    const alike = likeness(this.#print, print);
    return alike < likenessMin ? 0 : overlap * alike ** likenessPower;
  }

  /** Takes in the detection that was matched. */
  match({ detection, cut, print, crowded }: Candidate, atMs: number): void {
    const seconds = (atMs - this.#lastMs) / 1000;
    this.#filter.correct(detection.xyxyPx, detection.score, cut, seconds);
    this.#xyxyPx = this.#filter.xyxyPx;
    this.#count(detection, atMs);
    if (print === undefined || crowded) return;
    if (this.#print === undefined) this.#print = print;
    else blend(this.#print, print, 1 - Math.exp(-seconds / this.#settings.printS));
  }

  /** Nothing was matched in this frame. */
  miss(): void {
    this.#filter.holdSize();
  }

  /** Time in which nobody looked and nothing moved does not count as time out of sight. */
  hold(heldMs: number): void {
    this.#lastMs += heldMs;
    this.#lastHighMs += heldMs;
  }

  /** Speed in sizes of the box (the root of its area) a second. */
  get sizesPerS(): number {
    const [x1, y1, x2, y2] = this.#xyxyPx;
    return Math.hypot(...this.#filter.velocityPxPerS) / Math.sqrt(Math.max(1, (x2 - x1) * (y2 - y1)));
  }

  /** The track as known after the frame at `atMs`. */
  toTrack(atMs: number): Track {
    return {
      id: this.id,
      group: this.group,
      label: this.#label,
      score: this.#score,
      xyxyPx: this.#xyxyPx,
      velocityPxPerS: this.#filter.velocityPxPerS,
      firstMs: this.#firstMs,
      lastMs: this.#lastMs,
      seen: this.#lastMs === atMs,
    };
  }

  #count({ score, label }: Detection, atMs: number): void {
    const { highScoreMin, confirmHits, confirmShare, peakScoreMin, confirmMs } = this.#groupSettings;
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
      this.#hits >= confirmShare * this.#frames &&
      this.#peakScore >= peakScoreMin &&
      atMs - this.#firstMs >= confirmMs;
  }
}
