/**
 * Computes the place of each track, its zones with the start of each stay, and its line crossings.
 *
 * INVARIANTS: places are normalised and lie within the frame; memory of a track ends with the track.
 * LIMITS: as many tracks as the tracker gives; 512 crossings a frame, further ones are dropped and counted.
 */
import type { LineConfig, ZoneConfig } from '../../contract/config.ts';
import type { SizePx, XyxyNorm, XyxyPx } from '../../contract/geometry.ts';
import type { Crossing, ObservedTrack } from '../../contract/observation.ts';
import type { Frame, Track } from '../../contract/picture.ts';
import type { Point } from '../../contract/plane.ts';
import { type Approach, newApproach, Tripwire } from '../../contract/tripwire.ts';
import { newVisit, type Visit, Zone } from '../../contract/zone-visit.ts';

/** Maximum number of crossings in the observation's schema. */
const CROSSINGS_MAX = 512;

export interface TrackPlacesOptions {
  readonly zones: readonly ZoneConfig[];
  readonly lines: readonly LineConfig[];
}

/** A track of the tracker, or unclassified motion. */
export type PlacedTrack = Omit<Track, 'group' | 'label'> & Pick<ObservedTrack, 'group' | 'label'>;

/** Further facts about tracks, by number. */
export interface TrackFacts {
  readonly moving: ReadonlySet<number>;
  readonly staticFalsePositives: ReadonlySet<number>;
}

const NOTHING_MORE: TrackFacts = { moving: new Set(), staticFalsePositives: new Set() };

interface Memory {
  readonly visits: readonly Visit[];
  readonly approaches: readonly Approach[];
}

export class TrackPlaces {
  readonly #zones: readonly Zone[];
  readonly #lines: readonly Tripwire[];
  #memories = new Map<number, Memory>();
  #crossingsDropped = 0;

  constructor(options: TrackPlacesOptions) {
    this.#zones = options.zones.map((zone) => new Zone(zone));
    this.#lines = options.lines.map((line) => new Tripwire(line));
  }

  /** Crossings dropped since the start because a frame had too many. */
  get crossingsDropped(): number {
    return this.#crossingsDropped;
  }

  /** Takes the next frame's tracks; returns them with their places, and their line crossings. */
  update(
    { atMs, source }: Pick<Frame, 'atMs' | 'source'>,
    tracks: readonly PlacedTrack[],
    facts: TrackFacts = NOTHING_MORE,
  ): { tracks: ObservedTrack[]; crossings: Crossing[] } {
    const memories = new Map<number, Memory>();
    const crossings: Crossing[] = [];
    const observed: ObservedTrack[] = [];
    for (const track of tracks) {
      const memory = this.#memories.get(track.id) ?? {
        visits: this.#zones.map(newVisit),
        approaches: this.#lines.map(newApproach),
      };
      memories.set(track.id, memory);
      if (track.seen) this.#place(memory, track, source, atMs, crossings);
      observed.push(this.#describe(memory, track, source, facts));
    }
    this.#memories = memories;
    this.#crossingsDropped += Math.max(0, crossings.length - CROSSINGS_MAX);
    if (crossings.length > CROSSINGS_MAX) crossings.length = CROSSINGS_MAX;
    return { tracks: observed, crossings };
  }

  /** Updates the place of a seen track; adds its line crossings to `crossings`. */
  #place(memory: Memory, track: PlacedTrack, source: SizePx, atMs: number, crossings: Crossing[]): void {
    const box = track.xyxyPx;
    const groundPx: Point = [(box[0] + box[2]) / 2, box[3]];
    const heightPx = box[3] - box[1];
    for (let i = 0; i < this.#zones.length; i += 1) {
      (this.#zones[i] as Zone).visit(memory.visits[i] as Visit, source, groundPx, heightPx, atMs);
    }
    for (let i = 0; i < this.#lines.length; i += 1) {
      const line = this.#lines[i] as Tripwire;
      const approach = memory.approaches[i] as Approach;
      // A fast object has crossed a line before its detection is certain.
      if (track.before !== undefined)
        for (const { xyxyPx } of track.before) pass(line, approach, xyxyPx, track.id, source, crossings);
      pass(line, approach, track.xyxyPx, track.id, source, crossings);
    }
  }

  #describe(memory: Memory, track: PlacedTrack, source: SizePx, facts: TrackFacts): ObservedTrack {
    const {
      id,
      group,
      label,
      score,
      bestScore,
      xyxyPx,
      velocityPxPerS,
      firstMs,
      lastMs,
      seen: isSeen,
      before,
    } = track;
    const { widthPx, heightPx } = source;
    const zones: ObservedTrack['zones'] = [];
    for (let i = 0; i < this.#zones.length; i += 1) {
      const { present, sinceMs } = memory.visits[i] as Visit;
      if (present) zones.push({ zone: (this.#zones[i] as Zone).id, sinceMs });
    }
    const observed: ObservedTrack = {
      id,
      group,
      label,
      score,
      bestScore,
      xyxyNorm: normalised(xyxyPx, source),
      ground: [ratioOf((xyxyPx[0] + xyxyPx[2]) / 2, widthPx), ratioOf(xyxyPx[3], heightPx)],
      velocityNormPerS: [velocityPxPerS[0] / widthPx, velocityPxPerS[1] / heightPx],
      firstMs,
      lastMs,
      seen: isSeen,
      pixelsMove: facts.moving.has(id),
      furniture: facts.staticFalsePositives.has(id),
      zones,
    };
    // Most tracks of most frames have none, so they cost only a comparison.
    if (before !== undefined && before.length > 0)
      observed.before = before.map((position) => ({
        atMs: position.atMs,
        xyxyNorm: normalised(position.xyxyPx, source),
      }));
    return observed;
  }
}

function normalised(box: XyxyPx, { widthPx, heightPx }: SizePx): XyxyNorm {
  return [
    ratioOf(box[0], widthPx),
    ratioOf(box[1], heightPx),
    ratioOf(box[2], widthPx),
    ratioOf(box[3], heightPx),
  ];
}

function pass(
  line: Tripwire,
  approach: Approach,
  box: XyxyPx,
  track: number,
  source: SizePx,
  crossings: Crossing[],
): void {
  const at: Point = [(box[0] + box[2]) / 2, box[3]];
  const direction = line.approach(approach, source, at, box[3] - box[1]);
  if (direction !== undefined) crossings.push({ line: line.id, track, direction });
}

/** Returns the position as a ratio of a side of the picture, clipped to 0..1. */
function ratioOf(px: number, sidePx: number): number {
  return Math.min(1, Math.max(0, px / sidePx));
}
